//! Passkeys: registered, used and removed with WebAuthn.
//!
//! A browser receives a *prompt* (a challenge with its options). Its response is submitted in a form and is accepted
//! once, within five minutes.

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

/// The console as a WebAuthn relying party. Passkeys are bound to its host name.
#[derive(Debug)]
pub struct RelyingParty(Webauthn);

impl RelyingParty {
    /// Returns the console at `origin`; `None` if browsers do not support passkeys there: at an IP address, and over
    /// http except on localhost.
    pub fn at(origin: &str) -> Option<Self> {
        let origin = Url::parse(origin).ok()?;
        let name = origin.domain()?;
        let is_secure = origin.scheme() == "https" || name == "localhost" || name.ends_with(".localhost");
        let builder = WebauthnBuilder::new(name, &origin).ok().filter(|_| is_secure)?;
        builder.rp_name("Nuvera").timeout(ANSWER_WITHIN).build().ok().map(Self)
    }
}

/// The relying parties of the console's two areas. If their host names differ, a passkey of one cannot be used in the
/// other.
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

/// A browser's response to a prompt.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The area in which the form was submitted.
    pub side: ActorKind,
    /// The prompt's challenge.
    pub challenge: &'a str,
    /// The authenticator's response, as JSON.
    pub text: &'a str,
}

impl Backend {
    /// Enables passkeys at the partners' origin and at Nuvera's, if browsers support them there.
    #[must_use]
    pub fn with_passkeys_at(self, partners: &str, nuvera: &str) -> Self {
        let relying_parties = RelyingParties { partners: RelyingParty::at(partners), nuvera: RelyingParty::at(nuvera) };
        Self { relying_parties, ..self }
    }

    /// Whether passkeys can be used in the area of `side`.
    pub fn uses_passkeys(&self, side: ActorKind) -> bool {
        self.relying_parties.of(side).is_some()
    }

    /// The actor's own passkeys, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub async fn passkeys(&self, actor: &Actor) -> Result<Vec<Passkey>, BackendError> {
        let mut conn = self.store.read().await?;
        let stored = passkeys::of_user(&mut conn, actor.user_id).await?;
        Ok(stored.into_iter().map(|stored| stored.passkey).collect())
    }

    /// One of the actor's own passkeys.
    ///
    /// # Errors
    /// A fresh proof is needed; not found; the database fails.
    pub async fn passkey(&self, actor: &Actor, id: PasskeyId) -> Result<Passkey, BackendError> {
        freshly_proven(actor)?;
        let found = self.passkeys(actor).await?.into_iter().find(|passkey| passkey.id == id);
        found.ok_or(BackendError::NotFound)
    }

    /// Creates a prompt for registering a new passkey.
    ///
    /// # Errors
    /// A fresh proof is needed; passkeys are not available here or to this user; the database fails.
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
        // Asks for a discoverable credential if the device has room for one, so that it can be used without an e-mail
        // address.
        options["authenticatorSelection"]["residentKey"] = "preferred".into();
        self.prompt(Purpose::Register, Some(actor.user_id), options, &state).await
    }

    /// Whether passkeys are available to a user. They are not for users who sign in through an identity provider only:
    /// these have no password here, and the provider is responsible for their factors.
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

    /// Registers the passkey that a browser has created. A user who had no second factor gets recovery codes.
    ///
    /// # Errors
    /// A fresh proof is needed; the response or the name is rejected; the database fails.
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

    /// Removes one of the actor's own passkeys. The recovery codes are removed with the last second factor.
    ///
    /// # Errors
    /// A fresh proof is needed; not found; it is the last second factor of a user who must have one; the database
    /// fails.
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

    /// Creates a prompt for one of the passkeys of `user`; `None` if they have none that is accepted here.
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
        // Uses the discoverable ceremony here too, so that the response is verified against the passkey as stored by
        // then, and not against a copy in the challenge's state. Only the list of allowed credentials is the user's.
        let (of_theirs, _) = webauthn.start_passkey_authentication(&taken).map_err(failed)?;
        let (mut asked, state) = webauthn.start_discoverable_authentication().map_err(failed)?;
        asked.public_key.allow_credentials = of_theirs.public_key.allow_credentials;
        self.prompt(Purpose::Prove, Some(user), json(&asked.public_key)?, &state).await.map(Some)
    }

    /// Creates a prompt for signing in with any passkey on the device; `None` if passkeys cannot be used here.
    ///
    /// # Errors
    /// The database fails.
    pub async fn ask_for_any_passkey(&self, side: ActorKind) -> Result<Option<Prompt>, BackendError> {
        let Some(webauthn) = self.relying_parties.of(side) else { return Ok(None) };
        let (asked, state) = webauthn.start_discoverable_authentication().map_err(failed)?;
        self.prompt(Purpose::SignIn, None, json(&asked.public_key)?, &state).await.map(Some)
    }

    /// Verifies the response of a passkey: one of `user`, if given, or anyone's. The user was verified by their device.
    ///
    /// # Errors
    /// [`BackendError::Passkey`] if the response is rejected; the database fails.
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
        // Read before the passkey is updated: if the passkey is removed in between, the update fails.
        let sign_ins_ended = users::sign_ins_ended(&mut transaction, stored.user_id).await?;
        // Unless a user was given, the response must name one. A user that it names must be the passkey's.
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

    /// Stores a challenge and returns it as a prompt.
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

    /// Consumes a challenge and returns its state. Whatever the response turns out to be, the challenge cannot be used
    /// again.
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
        // A state that this version cannot read was written by another version, minutes ago.
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

/// Maps a conflict to [`PasskeyError::TooLate`]: a concurrent request has just used the challenge or the passkey.
fn too_late(error: StoreError) -> BackendError {
    match error {
        StoreError::Conflict => PasskeyError::TooLate.into(),
        error => error.into(),
    }
}

/// Maps an error in a response to one for the user, and logs the details.
fn refused(error: WebauthnError) -> BackendError {
    tracing::warn!(%error, "the answer of a passkey was refused");
    match error {
        WebauthnError::UserNotVerified | WebauthnError::UserNotPresent => PasskeyError::NobodyVerified.into(),
        WebauthnError::CredentialBackupEligibilityInconsistent | WebauthnError::CredentialMayNotBeHardwareBound => {
            PasskeyError::BackupStateChanged.into()
        }
        // The browser was asked not to register this passkey again. webauthn-rs 0.6.2 reports it as an altered
        // algorithm, which browsers do not send.
        WebauthnError::CredentialExcludedFromRequest | WebauthnError::CredentialAlteredAlgFromRequest => {
            PasskeyError::Known.into()
        }
        _ => PasskeyError::NotVerified.into(),
    }
}

/// Maps an error of the library that no client input can cause.
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
