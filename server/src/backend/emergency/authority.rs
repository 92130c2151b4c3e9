//! A cache of recently authenticated sessions, so that an emergency stop can be authorized without the database.
//!
//! A session is cached when one of its requests was authenticated by the database, for at most [`REMEMBERED`] and never
//! beyond its expiry. The cache is used for emergency stops only, and only while the database does not answer. Anything
//! in this process that ends a session or changes what its user may do removes it from the cache at the same time.
//! Changes by another process take effect when the database answers again.

use crate::clock::Clock;
use domain::{
    access::{Operation, allows},
    actor::Actor,
    id::{OrganizationId, SessionId, UserId},
    sign_in::SignedIn,
    time::Timestamp,
};
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a session is cached.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// Maximum number of cached sessions.
const CAPACITY: usize = 10_000;

/// The cached sessions whose users may stop something, by the id in their cookie.
pub struct Authority {
    clock: Clock,
    sessions: Mutex<HashMap<i128, Remembered>>,
    /// Number of removals. A session that was read from the database before a removal must not be cached after it.
    forgotten: AtomicU64,
}

struct Remembered {
    at: Timestamp,
    session: SignedIn,
    actor: Actor,
}

impl Authority {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, sessions: Mutex::default(), forgotten: AtomicU64::new(0) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i128, Remembered>> {
        // Every change of the map is a single call, so a panic leaves it consistent.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the epoch to pass to [`Authority::remember`]. Must be called before the database is read.
    pub fn epoch(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }

    /// Caches the session to which `cookie` refers, as read from the database. Does nothing if a session was removed
    /// since `epoch`, because the data may be out of date.
    pub fn remember(&self, epoch: u64, cookie: i128, session: &SignedIn, actor: &Actor) {
        let may_stop = [Operation::DisableApplication, Operation::StopSigningKey];
        if !may_stop.into_iter().any(|operation| allows(actor.role, operation)) || actor.lacks_factor() {
            return;
        }
        let now = self.clock.now();
        let mut sessions = self.lock();
        if self.epoch() != epoch {
            return;
        }
        if sessions.len() >= CAPACITY && !sessions.contains_key(&cookie) {
            sessions.retain(|_, known| is_current(known, now));
            let oldest = sessions.iter().min_by_key(|(_, known)| known.at).map(|(cookie, _)| *cookie);
            if let (true, Some(oldest)) = (sessions.len() >= CAPACITY, oldest) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(cookie, Remembered { at: now, session: session.clone(), actor: actor.clone() });
    }

    /// Returns the cached session and its user for `cookie`.
    pub fn find(&self, cookie: i128) -> Option<(SignedIn, Actor)> {
        let now = self.clock.now();
        let sessions = self.lock();
        let known = sessions.get(&cookie).filter(|known| is_current(known, now))?;
        Some((known.session.clone(), known.actor.clone()))
    }

    /// Removes the session of `cookie`, which the database no longer has.
    pub fn forget_cookie(&self, cookie: i128) {
        self.forget(|known_cookie, _| known_cookie == cookie);
    }

    /// Removes a session that was ended.
    pub fn forget_session(&self, id: SessionId) {
        self.forget(|_, known| known.session.id == id);
    }

    /// Removes the sessions of a user whose authority may have been reduced or revoked.
    pub fn forget_user(&self, id: UserId) {
        self.forget(|_, known| known.actor.user_id == id);
    }

    /// Removes the sessions of an organization's users.
    pub fn forget_organization(&self, id: OrganizationId) {
        self.forget(|_, known| known.actor.organization_id == id);
    }

    fn forget(&self, ended: impl Fn(i128, &Remembered) -> bool) {
        let mut sessions = self.lock();
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        sessions.retain(|cookie, known| !ended(*cookie, known));
    }
}

fn is_current(known: &Remembered, now: Timestamp) -> bool {
    now >= known.at && now.since(known.at) < REMEMBERED && !known.session.is_over(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        access::Role,
        actor::ActorKind,
        second_factor::Factors,
        sign_in::{Method, lifetime},
    };
    use uuid::Uuid;

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn actor(role: Role) -> Actor {
        Actor {
            user_id: UserId(Uuid::from_u128(1)),
            name: "Olivia".to_owned(),
            email: "olivia@alpine.example".to_owned(),
            organization_id: OrganizationId(Uuid::from_u128(2)),
            organization_name: "Alpine Pay".to_owned(),
            role,
            address: None,
            session: Some(SessionId(Uuid::from_u128(3))),
            is_proven: true,
            factors: Factors::default(),
            must_have_factor: false,
        }
    }

    fn session() -> SignedIn {
        SignedIn {
            id: SessionId(Uuid::from_u128(3)),
            user_id: UserId(Uuid::from_u128(1)),
            side: ActorKind::Partner,
            signed_in_at: START,
            used_at: START,
            proven_at: START,
            method: Method::Password,
            address: None,
            browser: String::new(),
            told_until: START,
        }
    }

    fn remembering() -> (Clock, Authority) {
        let clock = Clock::manual(START);
        let authority = Authority::new(clock.clone());
        authority.remember(authority.epoch(), 7, &session(), &actor(Role::PartnerOwner));
        (clock, authority)
    }

    #[test]
    fn a_session_is_known_for_a_while_and_not_longer_than_it_lives() {
        let (clock, authority) = remembering();
        assert_eq!(authority.find(7), Some((session(), actor(Role::PartnerOwner))));
        assert_eq!(authority.find(8), None);
        clock.advance(REMEMBERED - Duration::from_millis(1));
        assert!(authority.find(7).is_some());
        clock.advance(Duration::from_millis(1));
        assert_eq!(authority.find(7), None);

        let (clock, authority) = remembering();
        let idle = lifetime(ActorKind::Partner).idle;
        let used = SignedIn { used_at: START.minus(idle - Duration::from_secs(1)), ..session() };
        authority.remember(authority.epoch(), 7, &used, &actor(Role::PartnerOwner));
        assert!(authority.find(7).is_some());
        clock.advance(Duration::from_secs(1));
        assert_eq!(authority.find(7), None);
    }

    #[test]
    fn whatever_ends_a_session_ends_it_here() {
        let ways: [fn(&Authority); 4] = [
            |authority| authority.forget_cookie(7),
            |authority| authority.forget_session(session().id),
            |authority| authority.forget_user(session().user_id),
            |authority| authority.forget_organization(actor(Role::PartnerOwner).organization_id),
        ];
        for forget in ways {
            let (_clock, authority) = remembering();
            let epoch = authority.epoch();
            forget(&authority);
            assert_eq!(authority.find(7), None);
            // A request that read the database before must not cache it again.
            authority.remember(epoch, 7, &session(), &actor(Role::PartnerOwner));
            assert_eq!(authority.find(7), None);
        }
        let (_clock, authority) = remembering();
        authority.forget_session(SessionId(Uuid::from_u128(4)));
        assert!(authority.find(7).is_some(), "the control");
    }

    #[test]
    fn who_may_stop_nothing_is_not_remembered() {
        let authority = Authority::new(Clock::manual(START));
        authority.remember(0, 7, &session(), &actor(Role::PartnerViewer));
        authority.remember(0, 8, &session(), &Actor { must_have_factor: true, ..actor(Role::PartnerOwner) });
        assert_eq!((authority.find(7), authority.find(8)), (None, None));
    }
}
