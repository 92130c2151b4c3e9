//! Password rules (NIST SP 800-63B-4, 3.1.1.2): passwords must be long, not part of a known breach and hard to guess.
//! No kinds of characters are required or forbidden. Also changes and resets of passwords.
//!
//! The list of breached passwords is embedded in this program: all those with 15 characters or more, regardless of
//! case, that attackers try first (`scripts/breached-passwords` names the sources). zxcvbn, which finds common words,
//! names and patterns inside a password, would accept nine in ten of them (1,846 of 2,000 drawn from the list).

use super::{
    Backend, BackendError,
    accounts::freshly_proven,
    cpu_pool::Requester,
    password_hashing, pending_resets,
    people::{LinkToken, hash, withdraw_unfinished},
    sessions::{self, Kept},
    support::withdraw_support_of,
};
use crate::store::{StoreError, audit, passkeys, password_resets, second_factors, users};
use aws_lc_rs::digest;
use domain::{
    access::Operation,
    actor::Actor,
    application::By,
    id::{OrganizationId, UserId},
    pending_reset::{PendingReset, ResetKind, is_delayed},
    people::{Person, RESET_LIFETIME, password_changed, password_reset, recovered},
    second_factor::{self, FactorList, FactorRemoval, RecoveryCode, SecondFactorError},
    text::{Reason, Why},
    time::Timestamp,
};
use sqlx::AnyConnection;
use std::net::IpAddr;
use zxcvbn::{Score, zxcvbn};

/// Minimum length. A password may be all that a user signs in with.
pub const MIN_CHARACTERS: usize = 15;
/// Maximum length: far more than users type, and cheap to hash.
pub const MAX_CHARACTERS: usize = 256;
/// Number of leading characters that zxcvbn estimates. Its time grows faster than the square of the length: 100 crafted
/// characters took 0.56 s. A password whose first 40 characters are hard to guess is so as a whole.
const ESTIMATED_CHARACTERS: usize = 40;

/// The reason why a password is rejected. The messages are shown to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer characters than [`MIN_CHARACTERS`].
    #[error(
        "Use at least {MIN_CHARACTERS} characters: a few words that have nothing to do with each other, for example."
    )]
    TooShort,
    /// More characters than [`MAX_CHARACTERS`].
    #[error("Use at most {MAX_CHARACTERS} characters.")]
    TooLong,
    /// The password is on the list of breached passwords.
    #[error(
        "This password is on a list of those that were stolen elsewhere, and is among the first that an attacker tries. Choose another one."
    )]
    Breached,
    /// The password consists of common words, repetitions, or what is known about the user.
    #[error("This password would be guessed: it is made of common words, names or repetitions. Choose another one.")]
    Guessable,
}

/// A link with which a member chooses a new password.
pub struct PasswordReset {
    /// The member whose password it resets.
    pub person: Person,
    /// The token in the link.
    pub token: LinkToken,
    /// The first instant at which the link no longer works.
    pub expires_at: Timestamp,
}

/// The result of a password change.
#[derive(Debug)]
pub struct ChangedPassword {
    /// New recovery codes, if the user chose to replace the earlier ones and keeps a second factor.
    pub codes: Option<Vec<RecoveryCode>>,
    /// Number of open invitations that were withdrawn.
    pub withdrawn_invitations: usize,
}

/// The result of starting a password reset.
pub enum BegunReset {
    /// The link works now and must be mailed.
    Link(PasswordReset),
    /// The reset is delayed: see [`domain::pending_reset`].
    Pending(PendingReset),
}

impl Backend {
    /// Returns the user's second factors for the password change form, in which they remove those that they do not
    /// recognize.
    ///
    /// # Errors
    /// A fresh proof is needed; [`BackendError::NotFound`] if they sign in through an identity provider only; the
    /// database fails.
    pub async fn factors_at_password_change(&self, actor: &Actor) -> Result<FactorList, BackendError> {
        freshly_proven(actor)?;
        if !self.proofs(actor).await?.password {
            return Err(BackendError::NotFound);
        }
        Ok(factor_list(&mut *self.store.read().await?, actor.user_id).await?)
    }

    /// Changes the user's own password. Also removes the second factors in `removal` and ends all other sessions, known
    /// browsers, sign-ins in progress and password reset links, so that an attacker keeps no access. Links that the
    /// account has issued to others are withdrawn too.
    ///
    /// `seen` is the [`FactorList::fingerprint`] of the list from which the user chose.
    ///
    /// # Errors
    /// A fresh proof is needed; the password is rejected; there is a factor that was not listed; the database fails.
    pub async fn change_password(
        &self,
        actor: &Actor,
        here: Kept,
        password: &str,
        removal: &FactorRemoval,
        seen: &str,
    ) -> Result<ChangedPassword, BackendError> {
        freshly_proven(actor)?;
        let password_hash = self.hash_new_password(actor, password).await?;
        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        let user = actor.user_id;
        let list = factor_list(&mut transaction, user).await?;
        if list.has_unseen(seen) {
            return Err(SecondFactorError::ListChanged.into());
        }
        let by = self.by(&actor);
        let withdrawn = withdraw_unfinished(&mut transaction, actor.organization_id, user, by).await?;
        users::set_password(&mut transaction, user, &password_hash).await.map_err(BackendError::gone)?;
        sessions::end_all(&mut transaction, user, Some(&here)).await?;
        // Codes are only requested after the password, so whoever guessed them knew the old one.
        second_factors::forget_wrong_codes(&mut transaction, user).await?;
        let mut events = vec![password_changed(by)];
        let removes_app = removal.app && list.app.is_some();
        if removes_app {
            events.push(second_factor::removed_with_password(by));
            second_factors::delete(&mut transaction, user).await?;
        }
        let removed = list.passkeys.iter().filter(|passkey| removal.passkeys.contains(&passkey.id));
        let removed: Vec<_> = removed.collect();
        for passkey in &removed {
            events.push(passkey.removed_with_password(by));
            passkeys::delete(&mut transaction, user, passkey.id).await?;
        }
        let keeps_factor = list.app.is_some() && !removes_app || removed.len() < list.passkeys.len();
        let codes = if !keeps_factor {
            second_factors::delete_recovery_codes(&mut transaction, user).await?;
            None
        } else if removal.recovery_codes {
            events.push(second_factor::recovery_codes_made(by, list.recovery_codes));
            Some(self.new_recovery_codes(&mut transaction, user).await?)
        } else {
            None
        };
        audit::append(&mut transaction, &events).await?;
        pending_resets::cancel_involving(&mut transaction, user, by).await?;
        let committed = transaction.commit().await.map_err(StoreError::from);
        self.emergency.authority.forget_user(user);
        committed?;
        Ok(ChangedPassword { codes, withdrawn_invitations: withdrawn })
    }

    async fn hash_new_password(&self, actor: &Actor, password: &str) -> Result<String, BackendError> {
        let known = [actor.name.as_str(), &actor.email, &actor.organization_name];
        let cost = self.password_cost.clone();
        password_hashing::check_and_hash(Requester::Account(actor.user_id.0), password, &known, cost).await
    }

    /// Starts a reset of the password of a member of the actor's organization. Unless the reset is delayed, a link that
    /// was sent before stops working.
    ///
    /// # Errors
    /// Not allowed; not found; the actor is the member; the database fails.
    pub async fn begin_password_reset(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<BegunReset, BackendError> {
        let (_settled, mut transaction) = self.turn(actor, organization, Operation::ManagePeople).await?;
        let person = users::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let by = self.by(actor);
        let event = person.reset_password(by)?;
        if is_delayed(&person) {
            let pending = self.request_reset(transaction, &person, ResetKind::Password, by).await?;
            return Ok(BegunReset::Pending(pending));
        }
        let (token, expires_at) = (LinkToken::generate(), by.at.plus(RESET_LIFETIME));
        password_resets::insert(&mut transaction, id, Some(actor.user_id), &hash(token.reveal()), expires_at).await?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(BegunReset::Link(PasswordReset { person, token, expires_at }))
    }

    /// Recovers the account of a user who has lost all credentials and whom no other user can help. For the operator,
    /// on the command line. Their password and second factors stop working, and their sessions end.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if no user signs in with this address and a password; the database fails.
    pub async fn recover(&self, email: &str) -> Result<(Actor, LinkToken, Timestamp), BackendError> {
        let unknown_password = LinkToken::generate();
        let unusable_hash = password_hashing::hash_here(unknown_password.reveal(), self.password_cost.clone());
        let mut settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        let account = users::find_account(&mut transaction, email.trim()).await?;
        let account = account.filter(|account| account.password_hash.is_some()).ok_or(BackendError::NotFound)?;
        let id = account.user_id;
        let actor = users::find_actor(&mut transaction, id, None).await?.ok_or(BackendError::NotFound)?;
        let why = Reason::new("On the server’s command line, by whoever runs it").ok().map(Why::from);
        let now = self.clock.now();
        let by = By { actor: &actor, at: now, reason: why.as_ref() };
        let events = recovered(by);
        withdraw_unfinished(&mut transaction, actor.organization_id, id, by).await?;
        second_factors::delete_all(&mut transaction, id).await?;
        users::set_password(&mut transaction, id, &unusable_hash).await.map_err(BackendError::gone)?;
        sessions::end_all(&mut transaction, id, None).await?;
        let (token, expires_at) = (LinkToken::generate(), now.plus(RESET_LIFETIME));
        password_resets::insert(&mut transaction, id, None, &hash(token.reveal()), expires_at).await?;
        audit::append(&mut transaction, &events).await?;
        pending_resets::cancel_involving(&mut transaction, id, by).await?;
        let withdrawn = withdraw_support_of(&mut transaction, id, by).await?;
        self.commit_all(transaction, &mut settled, &withdrawn).await?;
        Ok((actor, token, expires_at))
    }

    /// The user whose password the link with this token resets, while it is valid.
    ///
    /// # Errors
    /// The database fails.
    pub async fn password_reset(&self, token: &str, address: Option<IpAddr>) -> Result<Option<Actor>, BackendError> {
        let mut conn = self.store.read().await?;
        let found = password_resets::find_by_token(&mut conn, &hash(token)).await?;
        match found.filter(|link| self.clock.now() < link.expires_at) {
            Some(link) => Ok(users::find_actor(&mut conn, link.user_id, address).await?),
            None => Ok(None),
        }
    }

    /// Sets the password that a user chose through a link, which can be used once. Their sessions, known browsers,
    /// second factors and recovery codes are removed, since any of them may be an attacker's. The user is not signed
    /// in. Returns the user.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if the link is not valid; the password is rejected; the database fails.
    pub async fn finish_password_reset(
        &self,
        token: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Actor, BackendError> {
        let actor = self.password_reset(token, address).await?.ok_or(BackendError::NotFound)?;
        let password_hash = self.hash_new_password(&actor, password).await?;
        let mut settled = self.settled().await?;
        let mut transaction = self.store.write().await?;
        // Called first, because it locks the organization.
        let by = By { actor: &actor, at: self.clock.now(), reason: None };
        withdraw_unfinished(&mut transaction, actor.organization_id, actor.user_id, by).await?;
        // The link may have been used, replaced or withdrawn while the password was hashed.
        let link = password_resets::find_by_token(&mut transaction, &hash(token)).await?;
        let link = link.ok_or(BackendError::NotFound)?;
        password_resets::delete(&mut transaction, &hash(token)).await.map_err(BackendError::gone)?;
        let actor = users::find_actor(&mut transaction, actor.user_id, address).await?.ok_or(BackendError::NotFound)?;
        users::set_password(&mut transaction, actor.user_id, &password_hash).await.map_err(BackendError::gone)?;
        second_factors::delete_all(&mut transaction, actor.user_id).await?;
        sessions::end_all(&mut transaction, actor.user_id, None).await?;
        let by = By { actor: &actor, at: self.clock.now(), reason: None };
        audit::append(&mut transaction, &password_reset(by, link.started_by.as_deref())).await?;
        pending_resets::cancel_involving(&mut transaction, actor.user_id, by).await?;
        let withdrawn = withdraw_support_of(&mut transaction, actor.user_id, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(actor.user_id);
        committed?;
        Ok(actor)
    }
}

async fn factor_list(conn: &mut AnyConnection, user: UserId) -> Result<FactorList, StoreError> {
    let passkeys = passkeys::of_user(&mut *conn, user).await?;
    Ok(FactorList {
        app: second_factors::find(&mut *conn, user).await?.map(|stored| stored.factor),
        passkeys: passkeys.into_iter().map(|stored| stored.passkey).collect(),
        recovery_codes: second_factors::recovery_codes(&mut *conn, user).await?,
        recovery_codes_made_at: second_factors::recovery_codes_made_at(conn, user).await?,
    })
}

/// The first bytes of the SHA-256 of each breached password, sorted. About one in three million other passwords shares
/// such a prefix and is rejected as well.
static BREACHED: &[u8] = include_bytes!("breached_passwords.bin");
const BEGINNING: usize = 5;

fn is_breached(password: &str) -> bool {
    let hash = digest::digest(&digest::SHA256, password.to_lowercase().as_bytes());
    let (beginning, _) = hash.as_ref().split_first_chunk::<BEGINNING>().expect("SHA-256 has 32 bytes");
    let (beginnings, _) = BREACHED.as_chunks::<BEGINNING>();
    beginnings.binary_search(beginning).is_ok()
}

/// Checks a password. `known` is public information about the user: name, address and organization.
///
/// # Errors
/// It is too short, too long, known from a breach, or easy to guess.
pub fn check(password: &str, known: &[&str]) -> Result<(), PasswordError> {
    match password.chars().count() {
        ..MIN_CHARACTERS => return Err(PasswordError::TooShort),
        count if count > MAX_CHARACTERS => return Err(PasswordError::TooLong),
        _ => {}
    }
    if is_breached(password) {
        return Err(PasswordError::Breached);
    }
    let mut words: Vec<&str> = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric())).collect();
    words.extend(known);
    words.push("nuvera");
    words.retain(|word| word.len() > 2);
    let estimated = password.char_indices().nth(ESTIMATED_CHARACTERS).map_or(password, |(end, _)| &password[..end]);
    // A score below three means fewer than 10^8 guesses.
    if zxcvbn(estimated, &words).score() < Score::Three { Err(PasswordError::Guessable) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["Grace Okonkwo-Featherstonehaugh", "grace.okonkwo@alpinepay.example", "Alpine Pay"];

    #[test]
    fn length_is_asked_for_and_kinds_of_characters_are_not() {
        assert_eq!(check("tulip gravel 84", &KNOWN), Ok(()));
        assert_eq!(check("tulip gravel 8", &KNOWN), Err(PasswordError::TooShort));
        assert_eq!(check("плёнка синий утюг", &KNOWN), Ok(()));
        assert_eq!(check(&"tulip gravel 84 ".repeat(16), &KNOWN), Ok(()));
        assert_eq!(check(&"tulip gravel 84 ".repeat(17), &KNOWN), Err(PasswordError::TooLong));
    }

    #[test]
    fn no_more_than_the_first_characters_are_estimated() {
        // The end of this password alone would be strong enough.
        let weak_at_first = "abc".repeat(14) + "tulip gravel 84 harbour";
        assert_eq!(check(&weak_at_first, &KNOWN), Err(PasswordError::Guessable));
        let strong_at_first = "tulip gravel 84 harbour mosaic lantern 7".to_owned() + &"a".repeat(200);
        assert_eq!(check(&strong_at_first, &KNOWN), Ok(()));
    }

    #[test]
    fn what_was_in_a_breach_is_refused_however_hard_it_looks() {
        for breached in [
            "passwordpassword",
            "qwertyuiopasdfghjkl",
            "123456789012345678",
            "aaaaaaaaaaaaaaaaaaaaaa",
            "CesarioKeller2504!!69.",
            "f75gFAwwfYIJHEaz",
            "F75GFAWWFYIJHEAZ",
        ] {
            assert_eq!(check(breached, &KNOWN), Err(PasswordError::Breached), "{breached}");
        }
        // The control: with one letter more it is not on the list.
        assert_eq!(check("f75gFAwwfYIJHEazq", &KNOWN), Ok(()));
    }

    #[test]
    fn the_list_is_whole_and_in_order() {
        let (beginnings, rest) = BREACHED.as_chunks::<BEGINNING>();
        assert!(rest.is_empty() && beginnings.len() > 300_000);
        assert!(beginnings.is_sorted());
    }

    #[test]
    fn what_would_be_guessed_is_refused_however_long() {
        for guessed in
            ["abcabcabcabcabcabcabc", "grace.okonkwo@alpinepay.example", "Featherstonehaugh", "nuvera nuvera nuvera"]
        {
            assert_eq!(check(guessed, &KNOWN), Err(PasswordError::Guessable), "{guessed}");
        }
        assert_eq!(check("Featherstonehaugh", &[]), Ok(()), "it is refused for whose name it is");
    }
}
