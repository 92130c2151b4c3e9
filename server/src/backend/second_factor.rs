//! Second factors: authenticator apps (TOTP) and recovery codes.

use super::{
    Backend, BackendError,
    accounts::{self, Subjects},
    people::withdraw_unfinished,
    sessions::{Client, known_browser},
    support::withdraw_support_of,
};
use crate::{
    random,
    store::{StoreError, audit, second_factors, second_factors::StoredFactor, signed_in, users},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    actor::Actor,
    application::By,
    id::{OrganizationId, SessionId, UserId},
    pending_reset::{PendingReset, ResetKind, is_delayed},
    people::Person,
    second_factor::{self, RECOVERY_CODES, RecoveryCode, SecondFactor, SecondFactorError, TotpSecret, Typed},
    time::Timestamp,
};
use sqlx::AnyConnection;
use std::{net::IpAddr, time::Duration};
use zeroize::Zeroizing;

/// Wrong codes for one account from one address, session or known browser, after which attempts are throttled until the
/// window ends.
const MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS: i64 = 5;
/// The same limit for one account over all unknown browsers. It is low because the password is already correct at this
/// point, and three of a million codes are valid at any time.
const MAX_FAILURES_OF_ACCOUNT: i64 = 20;

/// Consecutive wrong codes from unknown browsers after which the app's codes are no longer accepted there, however slow
/// the guessing (NIST SP 800-63B, 5.2.2: at most 100).
const MAX_WRONG_CODES: i64 = 100;
/// Consecutive wrong codes from one session or known browser after which the app's codes are no longer accepted there.
/// An attacker gets as many guesses again for each session or browser of the user that they have stolen.
const MAX_WRONG_CODES_HERE: i64 = 20;
/// Minimum interval between two e-mails about wrong codes.
const LETTER_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// How long the form with a new secret can be submitted.
const ENROLMENT_WINDOW: Duration = Duration::from_secs(60 * 60);

/// A new secret for a user's authenticator app. It is not stored: the form carries it, encrypted.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret.
    pub secret: TotpSecret,
    /// The encrypted secret for the form.
    pub sealed: String,
}

/// The result of checking a code.
#[derive(Debug)]
pub enum CodeCheck {
    /// The code is accepted.
    Right,
    /// The code is wrong.
    Wrong,
    /// The code is wrong and came from a browser that the user has not signed in from. The user must be notified,
    /// because someone else may know their password.
    WrongAndNotify(Box<Actor>),
}

impl Backend {
    /// The actor's own authenticator app, if there is one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn second_factor(&self, actor: &Actor) -> Result<Option<SecondFactor>, BackendError> {
        let mut conn = self.store.read().await?;
        Ok(second_factors::find(&mut conn, actor.user_id).await?.map(|stored| stored.factor))
    }

    /// Number of unused recovery codes of the actor.
    ///
    /// # Errors
    /// The database fails.
    pub async fn recovery_codes_left(&self, actor: &Actor) -> Result<usize, BackendError> {
        Ok(second_factors::recovery_codes(&mut *self.store.read().await?, actor.user_id).await?)
    }

    /// Returns a secret for an authenticator app. Reuses the one that the form had before while it is valid, so that a
    /// mistyped code does not require adding it to the app again.
    ///
    /// # Errors
    /// A fresh proof is needed.
    pub fn enrolment(&self, actor: &Actor, before: Option<&str>) -> Result<Enrolment, BackendError> {
        accounts::freshly_proven(actor)?;
        if let Some((secret, sealed)) = before.and_then(|sealed| Some((self.enrolled(actor, sealed)?, sealed))) {
            return Ok(Enrolment { secret, sealed: sealed.to_owned() });
        }
        let secret = TotpSecret::generate(random::fill);
        let now = self.clock.now().as_millis().to_be_bytes();
        let text = Zeroizing::new([&now, secret.bytes()].concat());
        let sealed = self.pepper.encrypt(&enrolment_of(actor.user_id), &text);
        Ok(Enrolment { secret, sealed })
    }

    /// Decrypts the secret that a form carries, if it was issued to this actor and has not expired.
    fn enrolled(&self, actor: &Actor, sealed: &str) -> Option<TotpSecret> {
        let text = self.pepper.decrypt(&enrolment_of(actor.user_id), sealed)?;
        let (at, secret) = text.split_first_chunk::<8>()?;
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        let secret = TotpSecret::new(secret.try_into().ok()?);
        (self.clock.now().since(at) < ENROLMENT_WINDOW).then_some(secret)
    }

    /// Sets up or replaces the authenticator app, if the first code is correct. Issues new recovery codes.
    ///
    /// # Errors
    /// A fresh proof is needed; the code is wrong; the form has expired; the database fails.
    pub async fn set_up_factor(
        &self,
        actor: &Actor,
        sealed: &str,
        typed: &str,
    ) -> Result<Vec<RecoveryCode>, BackendError> {
        accounts::freshly_proven(actor)?;
        let secret = self.enrolled(actor, sealed).ok_or(SecondFactorError::TooLate)?;
        let now = self.clock.now();
        let step = match Typed::read(typed) {
            Some(Typed::Code(code)) => secret.accepts(&code, 0, now),
            _ => None,
        };
        let step = step.ok_or(SecondFactorError::WrongCode)?;
        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        let event = second_factor::set_up(By { actor: &actor, at: now, reason: None }, actor.factors.authenticator);
        self.save_factor(&mut transaction, actor.user_id, &secret, step).await?;
        let codes = self.new_recovery_codes(&mut transaction, actor.user_id).await?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// Gives a user an authenticator app with a given secret, for the users of `--demo`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn give_factor(&self, user: UserId, secret: &TotpSecret) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        self.save_factor(&mut transaction, user, secret, 0).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Generates recovery codes that replace all existing ones.
    ///
    /// # Errors
    /// A fresh proof is needed; there is no second factor; the database fails.
    pub async fn make_recovery_codes(&self, actor: &Actor) -> Result<Vec<RecoveryCode>, BackendError> {
        accounts::freshly_proven(actor)?;
        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        if !actor.factors.any() {
            return Err(SecondFactorError::None.into());
        }
        let left = second_factors::recovery_codes(&mut transaction, actor.user_id).await?;
        let event = second_factor::recovery_codes_made(By { actor: &actor, at: self.clock.now(), reason: None }, left);
        let codes = self.new_recovery_codes(&mut transaction, actor.user_id).await?;
        audit::append(&mut transaction, &[event]).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(codes)
    }

    /// Removes the actor's own authenticator app.
    ///
    /// # Errors
    /// A fresh proof is needed; the actor must have a second factor and has no other; there is none; the database
    /// fails.
    pub async fn remove_factor(&self, actor: &Actor) -> Result<(), BackendError> {
        accounts::freshly_proven(actor)?;
        let (_settled, actor, mut transaction) = self.own_turn(actor).await?;
        if !actor.factors.authenticator {
            return Err(SecondFactorError::None.into());
        }
        let event = second_factor::removed(By { actor: &actor, at: self.clock.now(), reason: None })?;
        second_factors::delete(&mut transaction, actor.user_id).await?;
        if !actor.factors.passkeys {
            second_factors::delete_recovery_codes(&mut transaction, actor.user_id).await?;
        }
        audit::append(&mut transaction, &[event]).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Removes the second factors that a member has lost and ends their sessions; or, if the reset must be delayed (see
    /// [`domain::pending_reset`]), requests it and returns it as the second value.
    ///
    /// # Errors
    /// Not allowed; not found; the actor is the member; the member has no second factor; the database fails.
    pub async fn reset_factor(
        &self,
        actor: &Actor,
        organization: OrganizationId,
        id: UserId,
    ) -> Result<(Person, Option<PendingReset>), BackendError> {
        let (mut settled, mut transaction) = self.begin_people_change(actor, organization).await?;
        let found = users::find(&mut transaction, organization, id).await?.ok_or(BackendError::NotFound)?;
        let by = self.by(actor);
        let event = found.reset_factor(by)?;
        if is_delayed(&found) {
            let pending = self.request_reset(transaction, &found, ResetKind::SecondFactor, by).await?;
            return Ok((found, Some(pending)));
        }
        withdraw_unfinished(&mut transaction, organization, id, by).await?;
        second_factors::delete_all(&mut transaction, id).await?;
        signed_in::end_all(&mut transaction, id, None).await?;
        audit::append(&mut transaction, &[event]).await?;
        let withdrawn = withdraw_support_of(&mut transaction, id, by).await?;
        let committed = self.commit_all(transaction, &mut settled, &withdrawn).await;
        self.emergency.authority.forget_user(id);
        committed?;
        Ok((found, None))
    }

    /// Checks whether `typed` is an unused code of the user's app or one of their recovery codes, and consumes it.
    /// `session` is the session in which the code is typed, if there is one.
    ///
    /// A failure is counted for the session or known browser it came from, or otherwise for the account and the
    /// address, so that attempts from elsewhere do not lock the user out of their own sessions and browsers.
    ///
    /// # Errors
    /// Too many attempts have failed recently or in a row; the user was removed or has no second factor; the database
    /// fails.
    pub async fn check_second_factor(
        &self,
        user: UserId,
        client: &Client,
        session: Option<SessionId>,
        typed: &str,
    ) -> Result<CodeCheck, BackendError> {
        let now = self.clock.now();
        let mut transaction = self.store.write().await?;
        let actor = users::find_actor(&mut transaction, user, client.address).await?.ok_or(BackendError::NotFound)?;
        let place = match (session, &client.token) {
            (Some(session), _) => Some(format!("session {session}")),
            (None, Some(token)) => known_browser(&mut transaction, user, token).await?,
            (None, None) => None,
        };
        let subjects = guesses_at(user, client.address, place.as_deref());
        accounts::count_attempt(&mut transaction, &subjects, now).await?;
        if !actor.factors.any() {
            return Err(BackendError::NotFound);
        }
        let typed = Typed::read(typed);
        let is_code = matches!(typed, Some(Typed::Code(_)));
        let is_right = match typed {
            Some(Typed::Code(code)) => match second_factors::find(&mut transaction, user).await? {
                Some(stored) => {
                    check_wrong_codes(&mut transaction, &stored, place.as_deref()).await?;
                    let secret = self.stored_secret(user, &stored.sealed_secret)?;
                    match secret.accepts(&code, stored.last_step, now) {
                        Some(step) => second_factors::use_step(&mut transaction, user, step).await?,
                        None => false,
                    }
                }
                None => false,
            },
            Some(Typed::Recovery(code)) => {
                let hash = self.recovery_hash(user, &code);
                let before = second_factors::recovery_codes(&mut transaction, user).await?;
                let is_used = second_factors::use_recovery_code(&mut transaction, user, &hash).await?;
                if is_used {
                    second_factors::forget_wrong_codes(&mut transaction, user).await?;
                    let by = By { actor: &actor, at: now, reason: None };
                    let event = second_factor::recovery_code_used(by, before);
                    audit::append(&mut transaction, &[event]).await?;
                }
                is_used
            }
            None => false,
        };
        match (&place, is_right) {
            // A correct code from elsewhere does not reset this counter. Otherwise each sign-in of the user would give
            // an attacker another hundred guesses.
            (None, true) => second_factors::forget_wrong_codes(&mut transaction, user).await?,
            (Some(place), true) => second_factors::forget_wrong_codes_at(&mut transaction, place).await?,
            (None, false) if is_code => second_factors::wrong_code(&mut transaction, user).await?,
            (Some(place), false) if is_code => {
                second_factors::wrong_code_at(&mut transaction, user, place, now).await?;
            }
            (_, false) => {}
        }
        if is_right {
            accounts::attempt_succeeded(&mut transaction, &subjects).await?;
        }
        let notify = !is_right
            && place.is_none()
            && users::notify_of_wrong_codes(&mut transaction, user, now.minus(LETTER_INTERVAL), now).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok(match (is_right, notify) {
            (true, _) => CodeCheck::Right,
            (false, false) => CodeCheck::Wrong,
            (false, true) => CodeCheck::WrongAndNotify(Box::new(actor)),
        })
    }

    async fn save_factor(
        &self,
        conn: &mut AnyConnection,
        user: UserId,
        secret: &TotpSecret,
        last_step: i64,
    ) -> Result<(), StoreError> {
        let sealed = self.pepper.encrypt(&secret_of(user), secret.bytes());
        second_factors::save(conn, user, &sealed, last_step, self.clock.now()).await
    }

    fn stored_secret(&self, user: UserId, sealed: &str) -> Result<TotpSecret, StoreError> {
        let bytes = self.pepper.decrypt(&secret_of(user), sealed);
        bytes.and_then(|bytes| bytes.as_slice().try_into().ok()).map(TotpSecret::new).ok_or_else(|| {
            let found = "a secret that this pepper does not open".to_owned();
            StoreError::Corrupt { table: "second_factors", column: "sealed_secret", id: user.to_string(), found }
        })
    }

    pub(super) async fn new_recovery_codes(
        &self,
        conn: &mut AnyConnection,
        user: UserId,
    ) -> Result<Vec<RecoveryCode>, StoreError> {
        let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| RecoveryCode::generate(random::fill)).collect();
        let hashes: Vec<_> = codes.iter().map(|code| self.recovery_hash(user, code)).collect();
        second_factors::replace_recovery_codes(conn, user, &hashes, self.clock.now()).await?;
        Ok(codes)
    }

    /// Hashes a recovery code. Its 80 random bits need no slow hash, and the prefix keeps it apart from the hash of any
    /// API key.
    fn recovery_hash(&self, user: UserId, code: &RecoveryCode) -> String {
        let text = Zeroizing::new(format!("nuvera recovery code of {user} {}", code.text()));
        URL_SAFE_NO_PAD.encode(self.pepper.hash(text.as_bytes()).0)
    }
}

/// The context to which the stored secret of `user` is bound when it is encrypted.
fn secret_of(user: UserId) -> String {
    format!("second factor of {user}")
}

/// The context to which a secret that `user` has not confirmed yet is bound when it is encrypted.
fn enrolment_of(user: UserId) -> String {
    format!("enrolment of {user}")
}

/// Rejects codes of the app after too many consecutive wrong ones, at `place` or from unknown browsers.
async fn check_wrong_codes(
    conn: &mut AnyConnection,
    stored: &StoredFactor,
    place: Option<&str>,
) -> Result<(), BackendError> {
    match place {
        None if stored.wrong_codes >= MAX_WRONG_CODES => Err(SecondFactorError::TooManyWrongCodes.into()),
        Some(place) if second_factors::wrong_codes_at(conn, place).await? >= MAX_WRONG_CODES_HERE => {
            Err(SecondFactorError::TooManyWrongCodesHere.into())
        }
        _ => Ok(()),
    }
}

/// Returns the counters for wrong codes; `place` is the session or the known browser. They are separate from those for
/// passwords, because a correct password resets its counter and must not reset this one.
fn guesses_at(user: UserId, address: Option<IpAddr>, place: Option<&str>) -> Subjects {
    let address = accounts::known(address);
    match place {
        Some(place) => vec![(format!("second factor of {user} in {place}"), MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS)],
        None => vec![
            (format!("second factor of {user} from {address}"), MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS),
            (format!("address {address}"), accounts::MAX_FAILURES_OF_ADDRESS),
            (format!("second factor of {user}"), MAX_FAILURES_OF_ACCOUNT),
        ],
    }
}
