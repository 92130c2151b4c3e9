//! Passkeys: made, used and removed.
//!
//! A browser is given something to answer, a *prompt*; the answer comes back in a form and counts once, within five minutes.

use super::{
    Backend, BackendError,
    accounts::{Entrant, freshly_proven},
};
use crate::{
    random,
    store::{
        StoreError, audit,
        passkeys::{self, Challenge, Purpose, StoredPasskey},
        second_factors, users,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    actor::{Actor, ActorKind},
    id::{PasskeyId, UserId},
    passkey::{self, ANSWER_WITHIN, Passkey, PasskeyError, Prompt},
    second_factor::RecoveryCode,
    text::PasskeyName,
};
use serde::{Serialize, de::DeserializeOwned};
use std::net::IpAddr;
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Webauthn, WebauthnBuilder, WebauthnError,
};

/// Whom passkeys are made for: the console, by its name. They work nowhere else.
#[derive(Debug)]
pub struct RelyingParty(Webauthn);

impl RelyingParty {
    /// The console at `origin`; `None` where browsers use no passkeys: at an IP address, and over http but on this machine.
    pub fn at(origin: &str) -> Option<Self> {
        let origin = Url::parse(origin).ok()?;
        let name = origin.domain()?;
        let is_secure = origin.scheme() == "https" || name == "localhost" || name.ends_with(".localhost");
        let builder = WebauthnBuilder::new(name, &origin).ok().filter(|_| is_secure)?;
        builder.rp_name("Nuvera").timeout(ANSWER_WITHIN).build().ok().map(Self)
    }
}

/// Whom they are made for in each of the console's areas: a passkey of one is none in the other where their names differ.
#[derive(Debug, Default)]
pub struct RelyingParties {
    partners: Option<RelyingParty>,
    nuvera: Option<RelyingParty>,
}

impl RelyingParties {
    fn of(&self, side: ActorKind) -> Option<&Webauthn> {
        let found = match side {
            ActorKind::Partner => &self.partners,
            ActorKind::Nuvera => &self.nuvera,
        };
        found.as_ref().map(|RelyingParty(webauthn)| webauthn)
    }
}

/// What a browser answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// In whose area.
    pub side: ActorKind,
    /// The prompt's challenge.
    pub challenge: &'a str,
    /// The passkey's answer, in JSON.
    pub text: &'a str,
}

impl Backend {
    /// Uses passkeys at the partners' origin and at Nuvera's, where browsers do.
    #[must_use]
    pub fn with_passkeys_at(self, partners: &str, nuvera: &str) -> Self {
        let relying_parties = RelyingParties { partners: RelyingParty::at(partners), nuvera: RelyingParty::at(nuvera) };
        Self { relying_parties, ..self }
    }

    /// Whether passkeys can be used where the people of `side` are.
    pub fn uses_passkeys(&self, side: ActorKind) -> bool {
        self.relying_parties.of(side).is_some()
    }

    /// Somebody's own passkeys, the oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn passkeys(&self, actor: &Actor) -> Result<Vec<Passkey>, BackendError> {
        let mut conn = self.store.read().await?;
        let stored = passkeys::of_user(&mut conn, actor.user_id).await?;
        Ok(stored.into_iter().map(|stored| stored.passkey).collect())
    }

    /// One of somebody's own passkeys.
    ///
    /// # Errors
    /// A fresh proof is needed; not found; the database fails.
    pub async fn passkey(&self, actor: &Actor, id: PasskeyId) -> Result<Passkey, BackendError> {
        freshly_proven(actor)?;
        let found = self.passkeys(actor).await?.into_iter().find(|passkey| passkey.id == id);
        found.ok_or(BackendError::NotFound)
    }

    /// What a browser makes a new passkey from.
    ///
    /// # Errors
    /// A fresh proof is needed; passkeys cannot be used here, or are not for them; the database fails.
    pub async fn ask_for_new_passkey(&self, actor: &Actor) -> Result<Prompt, BackendError> {
        freshly_proven(actor)?;
        let webauthn = self.own_relying_party(actor).await?;
        let mut conn = self.store.read().await?;
        let known = passkeys::of_user(&mut conn, actor.user_id).await?;
        drop(conn);
        let known = known.iter().map(credential).collect::<Result<Vec<_>, _>>()?;
        let known = known.iter().map(|credential| credential.cred_id().clone()).collect();
        let (asked, state) = webauthn
            .start_passkey_registration(actor.user_id.0, &actor.email, &actor.name, Some(known))
            .map_err(failed)?;
        let mut options = json(&asked.public_key)?;
        // Kept on the device so that it is found there without an e-mail address, where the device has room for it.
        options["authenticatorSelection"]["residentKey"] = "preferred".into();
        self.prompt(Purpose::Register, Some(actor.user_id), options, &state).await
    }

    /// Whether somebody is offered passkeys: not whom an identity provider vouches for, who has no password here, and whose
    /// factors are the provider's concern.
    ///
    /// # Errors
    /// The database fails.
    pub async fn is_offered_passkeys(&self, actor: &Actor) -> Result<bool, BackendError> {
        Ok(self.proofs(actor).await?.password)
    }

    async fn own_relying_party(&self, actor: &Actor) -> Result<&Webauthn, BackendError> {
        let webauthn = self.relying_parties.of(actor.kind()).ok_or(BackendError::NotFound)?;
        if self.is_offered_passkeys(actor).await? { Ok(webauthn) } else { Err(BackendError::NotFound) }
    }

    /// Adds the passkey that a browser has made. Whoever had no second factor before gets recovery codes.
    ///
    /// # Errors
    /// A fresh proof is needed; the answer is not taken, or the name; the database fails.
    pub async fn add_passkey(
        &self,
        actor: &Actor,
        name: PasskeyName,
        answer: Answer<'_>,
    ) -> Result<Option<Vec<RecoveryCode>>, BackendError> {
        freshly_proven(actor)?;
        let webauthn = self.own_relying_party(actor).await?;
        let state: PasskeyRegistration = self.asked(Purpose::Register, Some(actor.user_id), answer).await?;
        let made: RegisterPublicKeyCredential = read_answer(answer)?;
        let made = webauthn.finish_passkey_registration(&made, &state).map_err(refused)?;

        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        let by = self.by(&actor);
        let present = passkeys::of_user(&mut transaction, actor.user_id).await?;
        let present: Vec<_> = present.into_iter().map(|stored| stored.passkey).collect();
        let event = passkey::added(&name, &present, by)?;
        let id = PasskeyId(random::uuid(by.at));
        let new = Passkey { id, name, added_at: by.at, used_at: None, suspected_at: None };
        let credential_id = URL_SAFE_NO_PAD.encode(made.cred_id());
        let known = |error| match error {
            StoreError::Taken => PasskeyError::Known.into(),
            error => BackendError::from(error),
        };
        let credential = json(&made)?.to_string();
        passkeys::insert(&mut transaction, actor.user_id, &new, &credential_id, &credential).await.map_err(known)?;
        audit::append(&mut transaction, &[event]).await?;
        let codes = match actor.factors.any() {
            true => None,
            false => Some(self.new_recovery_codes(&mut transaction, actor.user_id).await?),
        };
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// Removes one of somebody's own passkeys; with the last second factor go the recovery codes.
    ///
    /// # Errors
    /// A fresh proof is needed; not found; they must have a second factor, and have no other; the database fails.
    pub async fn remove_passkey(&self, actor: &Actor, id: PasskeyId) -> Result<(), BackendError> {
        freshly_proven(actor)?;
        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        let present = passkeys::of_user(&mut transaction, actor.user_id).await?;
        let is_last = present.len() == 1;
        let found = present.into_iter().find(|stored| stored.passkey.id == id).ok_or(BackendError::NotFound)?;
        let event = found.passkey.removed(is_last, self.by(&actor))?;
        passkeys::delete(&mut transaction, actor.user_id, id).await?;
        if is_last && !actor.factors.authenticator {
            second_factors::delete_recovery_codes(&mut transaction, actor.user_id).await?;
        }
        audit::append(&mut transaction, &[event]).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// What `user` answers with one of their passkeys; `None` where they have none that is taken here.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ask_for_passkey_of(&self, user: UserId, side: ActorKind) -> Result<Option<Prompt>, BackendError> {
        let Some(webauthn) = self.relying_parties.of(side) else { return Ok(None) };
        let mut conn = self.store.read().await?;
        let stored = passkeys::of_user(&mut conn, user).await?;
        drop(conn);
        let taken = stored.iter().filter(|stored| stored.passkey.suspected_at.is_none());
        let taken = taken.map(credential).collect::<Result<Vec<_>, _>>()?;
        if taken.is_empty() {
            return Ok(None);
        }
        // Answers are verified against what the passkey is by then, as those of a passkey that nobody was asked for are.
        // What is asked for differs in this only: it is one of theirs.
        let (of_theirs, _) = webauthn.start_passkey_authentication(&taken).map_err(failed)?;
        let (mut asked, state) = webauthn.start_discoverable_authentication().map_err(failed)?;
        asked.public_key.allow_credentials = of_theirs.public_key.allow_credentials;
        self.prompt(Purpose::Prove, Some(user), json(&asked.public_key)?, &state).await.map(Some)
    }

    /// What somebody signs in with who has a passkey on their device; `None` where passkeys cannot be used here.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ask_for_any_passkey(&self, side: ActorKind) -> Result<Option<Prompt>, BackendError> {
        let Some(webauthn) = self.relying_parties.of(side) else { return Ok(None) };
        let (asked, state) = webauthn.start_discoverable_authentication().map_err(failed)?;
        self.prompt(Purpose::SignIn, None, json(&asked.public_key)?, &state).await.map(Some)
    }

    /// Whose passkey has answered: `user`'s, where they were asked, or anybody's. Whoever it is was verified by their device.
    ///
    /// # Errors
    /// [`BackendError::Passkey`] where it proves nothing; the database fails.
    pub async fn check_passkey(
        &self,
        user: Option<UserId>,
        answer: Answer<'_>,
        address: Option<IpAddr>,
    ) -> Result<Entrant, BackendError> {
        let Some(webauthn) = self.relying_parties.of(answer.side) else { return Err(BackendError::NotFound) };
        let purpose = if user.is_some() { Purpose::Prove } else { Purpose::SignIn };
        let state: DiscoverableAuthentication = self.asked(purpose, user, answer).await?;
        let given: PublicKeyCredential = read_answer(answer)?;
        let mut transaction = self.store.write().await?;
        let credential_id = URL_SAFE_NO_PAD.encode(&given.raw_id);
        let stored = passkeys::find_by_credential(&mut transaction, &credential_id).await?;
        let stored = stored.filter(|stored| user.is_none_or(|user| user == stored.user_id));
        let stored = stored.ok_or(PasskeyError::Unknown)?;
        // Before the passkey is written: one that is taken away meanwhile proves nothing.
        let sign_ins_ended = users::sign_ins_ended(&mut transaction, stored.user_id).await?;
        // Where nobody in particular was asked, the passkey says whose it is, and is right.
        let says = given.get_user_unique_id();
        if says.map_or(user.is_none(), |says| says != stored.user_id.0.as_bytes()) {
            return Err(PasskeyError::NotVerified.into());
        }
        if stored.passkey.suspected_at.is_some() {
            return Err(PasskeyError::Suspected.into());
        }
        let mut credential = credential(&stored)?;
        match webauthn.finish_discoverable_authentication_v2(&given, state, &credential) {
            Ok(result) => {
                credential.update_credential(&result);
                let credential = json(&credential)?.to_string();
                let used = passkeys::used(&mut transaction, &stored, &credential, self.clock.now()).await;
                used.map_err(too_late)?;
                transaction.commit().await.map_err(StoreError::from)?;
                Ok(Entrant { user_id: stored.user_id, sign_ins_ended, proven_at: None })
            }
            Err(WebauthnError::CredentialPossibleCompromise) => {
                let actor = users::find_actor(&mut transaction, stored.user_id, address).await?;
                let actor = actor.ok_or(PasskeyError::Unknown)?;
                tracing::warn!(user = %stored.user_id, passkey = %stored.passkey.id, "a passkey counted backwards: it may have been copied");
                let (suspect, event) = stored.passkey.suspected(self.by(&actor));
                passkeys::set_suspected(&mut transaction, suspect.id, self.clock.now()).await?;
                audit::append(&mut transaction, &[event]).await?;
                transaction.commit().await.map_err(StoreError::from)?;
                Err(PasskeyError::Suspected.into())
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Remembers what a browser is asked for.
    async fn prompt(
        &self,
        purpose: Purpose,
        user_id: Option<UserId>,
        options: serde_json::Value,
        state: &impl Serialize,
    ) -> Result<Prompt, BackendError> {
        let now = self.clock.now();
        let challenge = URL_SAFE_NO_PAD.encode(random::bytes::<16>());
        let state = json(state)?.to_string();
        let expires_at = now.plus(ANSWER_WITHIN);
        let kept = Challenge { id: &challenge, purpose, user_id, state: &state, expires_at };
        let mut transaction = self.store.write().await?;
        passkeys::insert_challenge(&mut transaction, kept, now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(Prompt { challenge, options: options.to_string() })
    }

    /// What was asked for, for the only time: whatever comes of the answer, there is no second one.
    async fn asked<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        user: Option<UserId>,
        answer: Answer<'_>,
    ) -> Result<T, BackendError> {
        let mut transaction = self.store.write().await?;
        let taken = passkeys::take_challenge(&mut transaction, answer.challenge, purpose, user, self.clock.now()).await;
        let taken = taken.map_err(too_late)?;
        transaction.commit().await.map_err(StoreError::from)?;
        // One that this version of the program cannot read was written by another one, minutes ago.
        let state = taken.and_then(|state| serde_json::from_str(&state).ok());
        Ok(state.ok_or(PasskeyError::TooLate)?)
    }
}

fn read_answer<T: DeserializeOwned>(answer: Answer<'_>) -> Result<T, PasskeyError> {
    serde_json::from_str(answer.text).map_err(|_| PasskeyError::NoAnswer)
}

fn credential(stored: &StoredPasskey) -> Result<Credential, StoreError> {
    serde_json::from_str(&stored.credential).map_err(|_| StoreError::Corrupt {
        table: "passkeys",
        column: "credential",
        id: stored.passkey.id.to_string(),
        found: stored.credential.clone(),
    })
}

fn json(value: &impl Serialize) -> Result<serde_json::Value, BackendError> {
    serde_json::to_value(value).map_err(|error| BackendError::Webauthn(error.to_string()))
}

/// Somebody else has just used up the same thing.
fn too_late(error: StoreError) -> BackendError {
    match error {
        StoreError::Conflict => PasskeyError::TooLate.into(),
        error => error.into(),
    }
}

/// What is wrong with an answer; the log says more.
fn refused(error: WebauthnError) -> BackendError {
    tracing::warn!(%error, "the answer of a passkey was refused");
    match error {
        WebauthnError::UserNotVerified | WebauthnError::UserNotPresent => PasskeyError::NobodyVerified.into(),
        WebauthnError::CredentialBackupEligibilityInconsistent | WebauthnError::CredentialMayNotBeHardwareBound => {
            PasskeyError::BackupStateChanged.into()
        }
        // What the browser was asked not to make once more. webauthn-rs 0.6.2 calls it an altered algorithm, which browsers
        // do not send.
        WebauthnError::CredentialExcludedFromRequest | WebauthnError::CredentialAlteredAlgFromRequest => {
            PasskeyError::Known.into()
        }
        _ => PasskeyError::NotVerified.into(),
    }
}

/// The library did not begin: nothing that anybody sent makes it fail.
fn failed(error: WebauthnError) -> BackendError {
    BackendError::Webauthn(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::RelyingParty;

    #[test]
    fn passkeys_are_for_consoles_that_have_a_name_and_a_secure_address() {
        for origin in ["https://console.example", "https://console.example:8443", "http://localhost:3000"] {
            assert!(RelyingParty::at(origin).is_some(), "{origin}");
        }
        for origin in ["http://console.example", "http://127.0.0.1:3000", "https://[::1]", "https://10.0.0.1", "x"] {
            assert!(RelyingParty::at(origin).is_none(), "{origin}");
        }
    }
}
