//! Where somebody is signed in, what came of attempts to sign in as them, and how a session ends.

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

/// How many attempts to sign in a person is shown.
const SHOWN: i64 = 20;
/// The greatest difference between two instants that the database calls one.
const INSTANT: Duration = Duration::from_millis(1);

/// From where, and with what, somebody signs in.
#[derive(Clone, Debug)]
pub struct Client {
    /// The network address.
    pub address: Option<IpAddr>,
    /// The browser, in words.
    pub browser: String,
    /// What the browser keeps, so that it is known again.
    pub token: Option<String>,
}

/// A session that has begun.
#[derive(Debug)]
pub struct Begun {
    /// Which.
    pub id: SessionId,
    /// What the browser is to keep, so that it is known again.
    pub token: String,
    /// Set where the person has to be told: they have signed in before, and never with this browser.
    pub is_new_browser: bool,
}

impl Backend {
    /// Begins a session of somebody who has just signed in at the door of `side`, in the place of the one that the browser had in this area.
    ///
    /// # Errors
    /// [`BackendError::NotFound`] where all their sign-ins were ended since they proved who they are, or they are gone; the
    /// database fails.
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
            // What came since somebody was last here with this browser is news; to a new one, what comes from now on.
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

    /// The session that a cookie leads to, in the area of `side`; and the latest new browser that is not known in it. One
    /// that has ended by itself is taken away.
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
            // It has ended, whether its row is taken away now or later.
            let store = self.store.clone();
            self.write_shortly(async move { close(&store, id, side).await }).await;
            return Ok(None);
        }
        let news = sign_ins::new_browser(&mut conn, session.user_id, session.told_until, id).await?;
        Ok(Some((session, news)))
    }

    /// Remembers that a session was used. A page does not wait for it for long, and is shown where it fails.
    pub async fn touch_session(&self, id: SessionId, address: Option<IpAddr>) {
        let (store, now) = (self.store.clone(), self.clock.now());
        let touch = async move {
            let mut transaction = store.write().await?;
            signed_in::touch(&mut transaction, id, address, now).await?;
            Ok(transaction.commit().await.map_err(StoreError::from)?)
        };
        self.write_shortly(touch).await;
    }

    /// Remembers that whoever is signed in has just proved that it is they.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prove_session(&self, id: SessionId) -> Result<(), BackendError> {
        let mut transaction = self.store.write().await?;
        signed_in::prove(&mut transaction, id, self.clock.now()).await?;
        Ok(transaction.commit().await.map_err(StoreError::from)?)
    }

    /// Ends a session: its owner signs out.
    ///
    /// # Errors
    /// The database fails.
    pub async fn close_session(&self, id: SessionId, side: ActorKind) -> Result<(), BackendError> {
        self.emergency.authority.forget_session(id);
        let closed = close(&self.store, id, side).await;
        self.emergency.authority.forget_session(id);
        closed
    }

    /// Where somebody is signed in, the last used first, and the latest attempts to sign in as them. Whatever they are shown
    /// of new browsers is known in this session from now on.
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

    /// Ends one of one's own sessions. The next request that comes with it is refused.
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

    /// Ends all of one's own sessions but this one.
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

    /// Remembers a refused attempt to sign in, for whoever the address belongs to. Where it belongs to nobody that takes as
    /// long.
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

    /// Remembers an attempt to sign in as somebody that was refused.
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

    /// Forgets sessions that are over, attempts that are too old, and links that are good for nothing.
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

/// The session, and the browser it is in, that a change of password keeps.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The session.
    pub session: SessionId,
    /// The token of the browser.
    pub browser: Option<String>,
}

/// Ends everything that a user, or an attacker, could go on with: sessions, known browsers, sign-ins under way and links to
/// choose a password. The user was removed, or their password was changed.
pub(super) async fn end_all(conn: &mut AnyConnection, user: UserId, kept: Option<&Kept>) -> Result<(), StoreError> {
    signed_in::end_all(&mut *conn, user, kept.map(|kept| kept.session)).await?;
    let browser = kept.and_then(|kept| kept.browser.as_deref()).map(|token| browser_hash(user, token));
    sign_ins::forget_browsers(&mut *conn, user, browser.as_deref()).await?;
    password_resets::delete_of_user(conn, user).await
}

/// What the browser that keeps `token` is known by, where `user` has signed in with it before.
///
/// # Errors
/// The database fails.
pub async fn known_browser(conn: &mut AnyConnection, user: UserId, token: &str) -> Result<Option<String>, StoreError> {
    let known_as = browser_hash(user, token);
    let (seen_at, _) = sign_ins::browser_seen(conn, user, &known_as).await?;
    Ok(seen_at.map(|_| known_as))
}

/// What a browser is known by for somebody: nobody else's is like it, even in the same browser.
fn browser_hash(user: UserId, token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, format!("{user} {token}").as_bytes()))
}
