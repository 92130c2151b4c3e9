//! The second factor: an authenticator app, and recovery codes.

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

/// Wrong codes for one account from one address, session or known browser after which the next attempt waits for the window's end.
const MAX_FAILURES_OF_ACCOUNT_AND_ADDRESS: i64 = 5;
/// Wrong codes for one account from unknown browsers, whatever the address. Few: only who has the password gets here, and of a million codes
/// three are right at any moment.
const MAX_FAILURES_OF_ACCOUNT: i64 = 20;

/// Wrong codes in a row from unknown browsers after which the app's codes are no longer accepted there, however long the
/// guessing takes (NIST SP 800-63B, 5.2.2: at most 100).
const MAX_WRONG_CODES: i64 = 100;
/// Wrong codes in a row from one open session or one known browser after which the app's codes are no longer accepted there.
/// A guesser gets that many more for each session or browser of the user that they have stolen.
const MAX_WRONG_CODES_HERE: i64 = 20;
/// Time between two letters about wrong codes.
const LETTER_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// For how long the page that shows a new secret can be sent.
const ENROLMENT_WINDOW: Duration = Duration::from_secs(60 * 60);

/// A secret that somebody is about to add to their app. It is remembered nowhere: the form brings it back, encrypted.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret.
    pub secret: TotpSecret,
    /// What the form brings back.
    pub sealed: String,
}

/// The result of checking a code.
#[derive(Debug)]
pub enum CodeCheck {
    /// It is right.
    Right,
    /// It is not.
    Wrong,
    /// It is not, it came from a browser that the user has not signed in with, and the user has to be notified: someone else
    /// may know their password.
    WrongAndNotify(Box<Actor>),
}

impl Backend {
    /// One's own second factor, where there is one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn second_factor(&self, actor: &Actor) -> Result<Option<SecondFactor>, BackendError> {
        let mut conn = self.store.read().await?;
        Ok(second_factors::find(&mut conn, actor.user_id).await?.map(|stored| stored.factor))
    }

    /// How many recovery codes one has left.
    ///
    /// # Errors
    /// The database fails.
    pub async fn recovery_codes_left(&self, actor: &Actor) -> Result<usize, BackendError> {
        Ok(second_factors::recovery_codes(&mut *self.store.read().await?, actor.user_id).await?)
    }

    /// A secret to add to one's app: the one that the form had before where it is still good, so that it need not be added
    /// again after a typing error.
    ///
    /// # Errors
    /// They have to prove first that it is they.
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

    /// The secret that a form brings back, where it is this actor's and not too old.
    fn enrolled(&self, actor: &Actor, sealed: &str) -> Option<TotpSecret> {
        let text = self.pepper.decrypt(&enrolment_of(actor.user_id), sealed)?;
        let (at, secret) = text.split_first_chunk::<8>()?;
        let at = Timestamp::from_millis(i64::from_be_bytes(*at));
        let secret = TotpSecret::new(secret.try_into().ok()?);
        (self.clock.now().since(at) < ENROLMENT_WINDOW).then_some(secret)
    }

    /// Sets up a second factor, or replaces the one before: once its first code is right. The recovery codes are new ones.
    ///
    /// # Errors
    /// They have to prove first that it is they; the code is wrong; the page is too old; the database fails.
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

    /// Gives somebody a second factor whose secret is known already: for the people of `--demo`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn give_factor(&self, user: UserId, secret: &TotpSecret) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        self.save_factor(&mut transaction, user, secret, 0).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Makes recovery codes in place of all that there are.
    ///
    /// # Errors
    /// They have to prove first that it is they; there is no second factor; the database fails.
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

    /// Removes one's own second factor.
    ///
    /// # Errors
    /// They have to prove first that it is they; they must have one; there is none; the database fails.
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

    /// Removes the second factor that a member has lost, and ends their sessions; or requests that, where it has to wait
    /// (see [`domain::pending_reset`]): the second value is the pending reset then.
    ///
    /// # Errors
    /// Not allowed; not found; it is oneself; they have none; the database fails.
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

    /// Checks whether `typed` is a code of the user's app that was not used yet, or one of their recovery codes. Either is used
    /// up by it. `session` is the open session in which the code is typed, if there is one.
    ///
    /// A failure counts for the session or the known browser that it came from; from any other browser, for the account and
    /// the address. So nobody elsewhere locks the user out of where they are.
    ///
    /// # Errors
    /// Too many attempts failed, lately or in a row; they are gone, or have no second factor; the database fails.
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
            // A right code from elsewhere does not reset this count: otherwise each sign-in of the user would give a guesser
            // a hundred guesses more.
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

    /// 80 random bits need no slow hash; no API key begins like what is hashed here.
    fn recovery_hash(&self, user: UserId, code: &RecoveryCode) -> String {
        let text = Zeroizing::new(format!("nuvera recovery code of {user} {}", code.text()));
        URL_SAFE_NO_PAD.encode(self.pepper.hash(text.as_bytes()).0)
    }
}

/// What the stored secret of `user` is encrypted for.
fn secret_of(user: UserId) -> String {
    format!("second factor of {user}")
}

/// What a secret is encrypted for that `user` has not confirmed yet.
fn enrolment_of(user: UserId) -> String {
    format!("enrolment of {user}")
}

/// Refuses codes of the app where too many in a row were wrong: at `place`, or from unknown browsers.
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

/// What wrong codes are counted by within a window: `place` is the open session or the known browser. Apart from those for
/// passwords: a right password resets the count of wrong ones, and must not do so for codes.
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
