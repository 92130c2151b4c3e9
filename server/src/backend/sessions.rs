//! Sessions of signed-in users, the history of sign-in attempts, and known browsers.

use super::{
    Backend, BackendError,
    accounts::{Entrant, FAILURE_WINDOW, turn_to_write},
};
use crate::{
    events::EVENTS,
    random,
    store::{Store, StoreError, password_resets, second_factors, sign_in_failures, sign_ins, signed_in, users},
};
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    actor::{Actor, ActorKind},
    id::{SessionId, UserId},
    sign_in::{Attempt, HISTORY_LIFETIME, Method, Outcome, SignedIn, lifetime},
};
use sqlx::AnyConnection;
use std::{net::IpAddr, time::Duration};

/// Number of sign-in attempts shown to a user.
const SHOWN: i64 = 20;
/// The resolution of timestamps in the database.
const INSTANT: Duration = Duration::from_millis(1);

/// The client from which a user signs in.
#[derive(Clone, Debug)]
pub struct Client {
    /// The network address.
    pub address: Option<IpAddr>,
    /// A description of the browser.
    pub browser: String,
    /// The token in the browser's cookie by which it is recognized.
    pub token: Option<String>,
}

/// A session that has just begun.
#[derive(Debug)]
pub struct Begun {
    /// The session's id.
    pub id: SessionId,
    /// The token to store in the browser's cookie, so that it is recognized.
    pub token: String,
    /// Whether the user must be notified: they have signed in before, but never from this browser.
    pub is_new_browser: bool,
}

impl Backend {
    /// Begins a session of a user who has just signed in on the sign-in page of `side`, and ends the session that the
    /// browser had in this area before.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] if all their sign-ins were ended since their credentials were accepted, or they were
    /// removed; the database fails.
    pub async fn begin_session(
        &self,
        entrant: Entrant,
        side: ActorKind,
        method: Method,
        client: Client,
        replaced: Option<SessionId>,
    ) -> Result<Begun, BackendError> {
        let now = self.clock.now();
        let id = SessionId(random::uuid(now));
        let Client { address, browser, token } = client;
        let token = token.unwrap_or_else(|| URL_SAFE_NO_PAD.encode(random::bytes::<32>()));
        let user = entrant.user_id;
        let known_as = browser_hash(user, &token);
        let mut transaction = self.store.write().await?;
        users::signed_in(&mut transaction, user, entrant.sign_ins_ended, now).await.map_err(BackendError::gone)?;
        let (seen_at, has_others) = sign_ins::browser_seen(&mut transaction, user, &known_as).await?;
        let outcome = if seen_at.is_none() && has_others { Outcome::NewBrowser } else { Outcome::Accepted };
        if let Some(replaced) = replaced {
            signed_in::close(&mut transaction, replaced, side).await?;
        }
        let session = SignedIn {
            id,
            user_id: user,
            side,
            signed_in_at: now,
            used_at: now,
            proven_at: entrant.proven_at.map_or(now, |at| at.min(now)),
            method,
            address,
            browser: browser.clone(),
            // A known browser shows new browsers since its last sign-in, an unknown one only those from now on.
            told_until: seen_at.unwrap_or(now.plus(INSTANT)),
        };
        signed_in::insert(&mut transaction, &session).await?;
        sign_ins::see_browser(&mut transaction, user, &known_as, now).await?;
        let attempt = Attempt { at: now, outcome, method, address, browser, session: Some(id) };
        sign_ins::add(&mut transaction, random::uuid(now), user, &attempt).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        EVENTS.sign_in(method, outcome);
        if let Some(replaced) = replaced {
            self.emergency.authority.forget_session(replaced);
        }
        Ok(Begun { id, token, is_new_browser: outcome == Outcome::NewBrowser })
    }

    /// The session with this id in the area of `side`, and the latest sign-in from a new browser that it has not shown
    /// yet. Deletes an expired session.
    ///
    /// # Errors
    /// The database fails.
    pub async fn session(
        &self,
        id: SessionId,
        side: ActorKind,
    ) -> Result<Option<(SignedIn, Option<Attempt>)>, BackendError> {
        let mut conn = self.store.read().await?;
        let found = signed_in::find(&mut conn, id).await?.filter(|session| session.side == side);
        let Some(session) = found else { return Ok(None) };
        if session.is_over(self.clock.now()) {
            drop(conn);
            self.emergency.authority.forget_session(id);
            // The session has expired, whether or not its row is deleted now.
            let store = self.store.clone();
            self.write_shortly(async move { close(&store, id, side).await }).await;
            return Ok(None);
        }
        let news = sign_ins::new_browser(&mut conn, session.user_id, session.told_until, id).await?;
        Ok(Some((session, news)))
    }

    /// Records that a session was used. Waits only briefly, and a failure does not prevent the page.
    pub async fn touch_session(&self, id: SessionId, address: Option<IpAddr>) {
        let (store, now) = (self.store.clone(), self.clock.now());
        let touch = async move {
            let mut transaction = store.write().await?;
            signed_in::touch(&mut transaction, id, address, now).await?;
            Ok(transaction.commit().await.map_err(StoreError::from)?)
        };
        self.write_shortly(touch).await;
    }

    /// Records that the user of a session has just proven their identity.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prove_session(&self, id: SessionId) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        signed_in::prove(&mut transaction, id, self.clock.now()).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Ends a session whose user signs out.
    ///
    /// # Errors
    /// The database fails.
    pub async fn close_session(&self, id: SessionId, side: ActorKind) -> Result<(), BackendError> {
        self.emergency.authority.forget_session(id);
        let closed = close(&self.store, id, side).await;
        self.emergency.authority.forget_session(id);
        closed
    }

    /// The actor's sessions, last used first, and the latest sign-in attempts. Records that this session has shown all
    /// sign-ins from new browsers.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sign_in_activity(
        &self,
        actor: &Actor,
        here: SessionId,
    ) -> Result<(Vec<SignedIn>, Vec<Attempt>), BackendError> {
        let now = self.clock.now();
        let mut transaction = self.store.write().await?;
        let mut sessions = signed_in::of_user(&mut transaction, actor.user_id).await?;
        sessions.retain(|session| !session.is_over(now));
        let attempts = sign_ins::of_user(&mut transaction, actor.user_id, SHOWN).await?;
        signed_in::told(&mut transaction, here, now.plus(INSTANT)).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok((sessions, attempts))
    }

    /// Ends one of the actor's own sessions. The next request in it is rejected.
    ///
    /// # Errors
    /// Not found; the database fails.
    pub async fn end_session(&self, actor: &Actor, id: SessionId) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        signed_in::end(&mut transaction, actor.user_id, id).await.map_err(BackendError::gone)?;
        let committed = transaction.commit().await.map_err(StoreError::from);
        self.emergency.authority.forget_session(id);
        Ok(committed?)
    }

    /// Ends all of the actor's own sessions except `here`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn end_other_sessions(&self, actor: &Actor, here: SessionId) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        signed_in::end_all(&mut transaction, actor.user_id, Some(here)).await?;
        let committed = transaction.commit().await.map_err(StoreError::from);
        self.emergency.authority.forget_user(actor.user_id);
        Ok(committed?)
    }

    /// Records a rejected sign-in attempt for the account with this e-mail address. Takes as long if there is none, so
    /// that the response time does not disclose that.
    ///
    /// # Errors
    /// The database fails.
    pub async fn record_refused(
        &self,
        email: &str,
        outcome: Outcome,
        method: Method,
        client: Client,
    ) -> Result<(), BackendError> {
        let _turn = turn_to_write().await?;
        let mut conn = self.store.read().await?;
        let found = users::find_account(&mut conn, email.trim()).await?;
        drop(conn);
        match found {
            Some(account) => self.record_attempt(account.user_id, outcome, method, client).await,
            None => {
                EVENTS.sign_in(method, outcome);
                tracing::info!(
                    outcome = outcome.code(),
                    method = method.code(),
                    "an attempt to sign in to no account was refused"
                );
                let now = self.clock.now();
                let mut transaction = self.store.write().await?;
                sign_in_failures::add(&mut transaction, "nobody", now.minus(FAILURE_WINDOW), now).await?;
                Ok(transaction.commit().await.map_err(StoreError::from)?)
            }
        }
    }

    /// Records a rejected attempt to sign in as `user`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn record_attempt(
        &self,
        user: UserId,
        outcome: Outcome,
        method: Method,
        client: Client,
    ) -> Result<(), BackendError> {
        EVENTS.sign_in(method, outcome);
        tracing::info!(
            user_id = %user,
            outcome = outcome.code(),
            method = method.code(),
            "an attempt to sign in was refused"
        );
        let now = self.clock.now();
        let Client { address, browser, .. } = client;
        let attempt = Attempt { at: now, outcome, method, address, browser, session: None };
        let mut transaction = self.store.write().await?;
        sign_ins::add(&mut transaction, random::uuid(now), user, &attempt).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Deletes expired sessions, old sign-in attempts and wrong-code counters, and expired password reset links.
    ///
    /// # Errors
    /// The database fails.
    pub async fn purge_sign_ins(&self) -> Result<(), BackendError> {
        let now = self.clock.now();
        let longest = lifetime(ActorKind::Partner).absolute.max(lifetime(ActorKind::Nuvera).absolute);
        let mut transaction = self.store.write().await?;
        signed_in::purge(&mut transaction, now.minus(longest)).await?;
        sign_ins::purge(&mut transaction, now.minus(HISTORY_LIFETIME)).await?;
        second_factors::purge_wrong_codes(&mut transaction, now.minus(HISTORY_LIFETIME)).await?;
        password_resets::purge(&mut transaction, now).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }
}

async fn close(store: &Store, id: SessionId, side: ActorKind) -> Result<(), BackendError> {
    let mut transaction = store.write().await?;
    signed_in::close(&mut transaction, id, side).await?;
    Ok(transaction.commit().await.map_err(StoreError::from)?)
}

/// The session and browser that remain known after a password change.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The session.
    pub session: SessionId,
    /// The browser's token.
    pub browser: Option<String>,
}

/// Ends all sessions, known browsers, sign-ins in progress and password reset links of a user except `kept`, because
/// they were removed or their password was changed.
pub(super) async fn end_all(conn: &mut AnyConnection, user: UserId, kept: Option<&Kept>) -> Result<(), StoreError> {
    signed_in::end_all(&mut *conn, user, kept.map(|kept| kept.session)).await?;
    let browser = kept.and_then(|kept| kept.browser.as_deref()).map(|token| browser_hash(user, token));
    sign_ins::forget_browsers(&mut *conn, user, browser.as_deref()).await?;
    password_resets::delete_of_user(conn, user).await
}

/// Returns the hash that identifies the browser with `token`, if `user` has signed in from it before.
///
/// # Errors
/// The database fails.
pub async fn known_browser(conn: &mut AnyConnection, user: UserId, token: &str) -> Result<Option<String>, StoreError> {
    let known_as = browser_hash(user, token);
    let (seen_at, _) = sign_ins::browser_seen(conn, user, &known_as).await?;
    Ok(seen_at.map(|_| known_as))
}

/// Returns the hash that identifies a browser for one user. Differs between users of the same browser.
fn browser_hash(user: UserId, token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, format!("{user} {token}").as_bytes()))
}
