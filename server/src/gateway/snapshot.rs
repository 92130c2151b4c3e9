//! What the gateway knows of applications and keys: a table in memory that is read without a lock and replaced whole.
//!
//! A reader sees the table as it was before a change or after it, never something between. A change copies the table
//! without its entries (they are shared), about a millisecond for 50,000 keys, which is nothing beside the database
//! write that comes with it.

use super::{
    deny_list::{DenyList, DenyScope},
    limits::Bucket,
    receive::BodyShare,
    recent::RecentRequests,
};
use crate::clock::Clock;
use arc_swap::ArcSwap;
use aws_lc_rs::{
    digest::{Digest, SHA256, digest},
    error::KeyRejected,
    signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256},
};
use domain::{
    actor::ActorKind,
    api_key::{ApiKey, ApiKeyHash, ApiKeyStatus},
    application::{ApiApplication, Disabled},
    id::{ApplicationId, OrganizationId, SigningKeyId},
    permission::PermissionSet,
    public_key::PublicKey,
    request::{Refusal, RetiredSignature, SeenRequest, UnverifiedToken},
    signing_key::{SigningKey, SigningKeyState},
    text::{ApplicationName, Why},
    time::Timestamp,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// How long a key that no longer works is remembered, so that a refusal can say why: long enough for a forgotten
/// deployment to be told. After that the key is as unknown as any other text.
const REMEMBER_DEAD_KEYS: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many retired signing keys of an application are known, the newest ones: so that a deployment that was forgotten
/// when the key was replaced is told so. Each costs a failed request one more verification.
const KNOWN_RETIRED_KEYS: usize = 3;

/// The applications and keys that requests are judged by. Whoever changes an application calls [`Snapshot::apply`]
/// before the change is acknowledged: no request that starts later is judged by the old state.
pub struct Snapshot {
    table: ArcSwap<Table>,
    /// Checked over every table; no change of the table touches it.
    deny_list: DenyList,
    /// Held while a new table is made: two changes at once would lose one of them.
    changing: Mutex<()>,
    /// Milliseconds since 1970.
    changed_at: AtomicI64,
    clock: Clock,
}

#[derive(Clone, Default)]
struct Table {
    keys: HashMap<ApiKeyHash, Arc<KnownKey>>,
    applications: HashMap<ApplicationId, Arc<KnownApplication>>,
    /// The fingerprints of blocked signing keys.
    blocked_keys: HashSet<String>,
    suspended: HashSet<OrganizationId>,
}

/// An API key, and whose it is.
pub(super) struct KnownKey {
    pub(super) key: ApiKey,
    pub(super) application: Arc<KnownApplication>,
}

/// What the gateway needs of an application.
pub(super) struct KnownApplication {
    pub(super) id: ApplicationId,
    pub(super) organization_id: OrganizationId,
    pub(super) name: String,
    pub(super) enabled: bool,
    /// Counts its changes.
    version: i64,
    pub(super) permissions: PermissionSet,
    /// How much of its rate limit is left. It stays the same through changes.
    pub(super) bucket: Arc<Bucket>,
    /// How much of the room for bodies it holds. It stays the same through changes.
    pub(super) body_share: Arc<BodyShare>,
    /// What came of its latest requests, until it is written down. It stays the same through changes.
    pub(super) recent: Arc<RecentRequests>,
    /// The current one first, then retiring ones, then the newest of those that are retired. Which of them verify is
    /// judged at use.
    signing_keys: Vec<VerifyingKey>,
}

/// What verifies with a public key.
enum Parsed {
    /// The processor's vectors.
    Vectors(Box<verifier::Key>),
    /// aws-lc.
    Library(ParsedPublicKey),
}

/// A signing key, its public half parsed.
pub(super) struct VerifyingKey {
    pub(super) key: SigningKey,
    pub(super) fingerprint: String,
    parsed: Arc<Parsed>,
}

impl Snapshot {
    /// One that knows nothing.
    pub(super) fn new(clock: Clock) -> Self {
        let changed_at = AtomicI64::new(clock.now().as_millis());
        Self { table: ArcSwap::default(), deny_list: DenyList::default(), changing: Mutex::new(()), changed_at, clock }
    }

    /// Forgets everything, and knows `applications` from now on.
    pub fn load(&self, applications: Vec<ApiApplication>) {
        let _changing = self.lock();
        let known = self.table.load();
        let (blocked_keys, suspended) = (known.blocked_keys.clone(), known.suspended.clone());
        let mut table = Table { blocked_keys, suspended, ..Table::default() };
        for application in &applications {
            table.insert(application, known.applications.get(&application.id), self.clock.now());
        }
        self.replace(table);
    }

    /// Knows `application` as it is now. When this returns, no request that starts later is judged by what was before.
    pub fn apply(&self, application: &ApiApplication) {
        self.apply_all(std::slice::from_ref(application));
    }

    /// As [`Snapshot::apply`], for several applications that were changed together.
    pub fn apply_all(&self, applications: &[ApiApplication]) {
        let _changing = self.lock();
        let mut table = Table::clone(&self.table.load());
        let changed: HashSet<_> = applications.iter().map(|application| application.id).collect();
        table.keys.retain(|_, known| !changed.contains(&known.application.id));
        for application in applications {
            let before = table.applications.remove(&application.id);
            table.insert(application, before.as_ref(), self.clock.now());
        }
        self.replace(table);
    }

    /// How many keys are known, and when what is known last changed.
    pub(super) fn size_and_age(&self) -> (usize, Timestamp) {
        let changed_at = Timestamp::from_millis(self.changed_at.load(Ordering::Relaxed));
        (self.table.load().keys.len(), changed_at)
    }

    /// The key whose hash this is, in whatever state.
    pub(super) fn find(&self, hash: &ApiKeyHash) -> Option<Arc<KnownKey>> {
        self.table.load().keys.get(hash).cloned()
    }

    /// Takes out what came of every application's requests since the last time, the oldest of each first.
    pub fn take_recent_requests(&self) -> Vec<(ApplicationId, VecDeque<SeenRequest>)> {
        let table = self.table.load();
        let taken = table.applications.values().map(|application| (application.id, application.recent.take()));
        taken.filter(|(_, requests)| !requests.is_empty()).collect()
    }

    /// A number that changes with every request of an application and with every change to it; `None` where it is not
    /// that organization's.
    pub fn activity(&self, organization: OrganizationId, application: ApplicationId) -> Option<u64> {
        let table = self.table.load();
        let known = table.applications.get(&application).filter(|known| known.organization_id == organization)?;
        Some(known.recent.seen().wrapping_add(known.version.unsigned_abs()))
    }

    /// The emergency stops that are not recorded yet.
    pub fn deny_list(&self) -> &DenyList {
        &self.deny_list
    }

    /// The applications that a stop of `scope` affects at `now`, by organization and name: as far as the gateway knows them,
    /// without how and by whom they were created, and disabled while any stop affects them.
    pub fn in_scope(&self, scope: &DenyScope, now: Timestamp) -> Vec<ApiApplication> {
        let table = self.table.load();
        let of_api_key = match scope {
            DenyScope::ApiKey(prefix) => table.keys.values().find(|entry| entry.key.prefix.as_str() == prefix),
            _ => None,
        };
        let of_api_key = of_api_key.map(|entry| entry.application.id);
        let affected = |known: &&Arc<KnownApplication>| match scope {
            DenyScope::Application { organization, application } => {
                known.id == *application && known.organization_id == *organization
            }
            DenyScope::Organization(organization) => known.organization_id == *organization,
            DenyScope::ApiKey(_) => of_api_key == Some(known.id),
            DenyScope::Fingerprint(fingerprint) => known.verifying_fingerprints(now).any(|known| known == fingerprint),
            DenyScope::Everything => true,
        };
        let mut found: Vec<_> = table.applications.values().filter(affected).collect();
        found.sort_by(|one, other| (one.organization_id, &one.name).cmp(&(other.organization_id, &other.name)));
        found.into_iter().filter_map(|known| self.as_application(known, now)).collect()
    }

    fn as_application(&self, known: &KnownApplication, now: Timestamp) -> Option<ApiApplication> {
        let is_stopped = !known.enabled || self.is_denied(known, now);
        let unknown = Timestamp::from_millis(0);
        Some(ApiApplication {
            id: known.id,
            organization_id: known.organization_id,
            name: ApplicationName::from_stored(&known.name).ok()?,
            created_at: unknown,
            created_by: String::new(),
            disabled: is_stopped.then(|| Disabled {
                at: unknown,
                by: String::new(),
                by_kind: ActorKind::Partner,
                reason: Why::in_emergency("", ""),
            }),
            permissions: known.permissions,
            api_keys: Vec::new(),
            signing_keys: known.signing_keys.iter().map(|known| known.key.clone()).collect(),
            prepared_replacement: None,
            proposed_change: None,
            auto_finish: None,
            version: known.version,
        })
    }

    /// The organization that owns an application.
    pub fn organization_of(&self, id: ApplicationId) -> Option<OrganizationId> {
        self.table.load().applications.get(&id).map(|known| known.organization_id)
    }

    /// Whether an emergency stop affects the application of that organization that is not recorded yet.
    pub fn is_application_denied(&self, organization: OrganizationId, id: ApplicationId, now: Timestamp) -> bool {
        let table = self.table.load();
        let known = table.applications.get(&id).filter(|known| known.organization_id == organization);
        known.is_some_and(|known| self.is_denied(known, now))
    }

    /// Whether an emergency stop affects an application.
    pub(super) fn is_denied(&self, known: &KnownApplication, now: Timestamp) -> bool {
        self.deny_list.stops_application(known.id, known.organization_id, known.verifying_fingerprints(now))
    }

    /// Replaces the set of blocked signing keys.
    pub fn set_blocked_keys(&self, fingerprints: Vec<String>) {
        self.change(|table| table.blocked_keys = fingerprints.into_iter().collect());
    }

    /// Blocks the signing key with `fingerprint`: from the return on, no request that it signed is accepted.
    pub fn block_key(&self, fingerprint: &str) {
        self.change(|table| {
            table.blocked_keys.insert(fingerprint.to_owned());
        });
    }

    /// Ends the block of the signing key with `fingerprint`.
    pub fn release_key(&self, fingerprint: &str) {
        self.change(|table| {
            table.blocked_keys.remove(fingerprint);
        });
    }

    /// Replaces the set of suspended organizations.
    pub fn set_suspended(&self, organizations: Vec<OrganizationId>) {
        self.change(|table| table.suspended = organizations.into_iter().collect());
    }

    /// Suspends or reinstates an organization: no request that starts later is judged by what was before.
    pub fn suspend(&self, organization: OrganizationId, is_suspended: bool) {
        self.change(|table| {
            if is_suspended {
                table.suspended.insert(organization)
            } else {
                table.suspended.remove(&organization)
            };
        });
    }

    /// Whether an organization is suspended.
    pub fn is_suspended(&self, organization: OrganizationId) -> bool {
        self.table.load().suspended.contains(&organization)
    }

    fn change(&self, change: impl FnOnce(&mut Table)) {
        let _changing = self.lock();
        let mut table = Table::clone(&self.table.load());
        change(&mut table);
        self.replace(table);
    }

    /// Refuses a signing key that is blocked.
    ///
    /// # Errors
    /// [`Refusal::SigningKeyBlocked`]
    pub(super) fn check_blocked(&self, key: &VerifyingKey) -> Result<(), Refusal> {
        let table = self.table.load();
        // Almost always there is none: then nothing is hashed.
        let is_blocked = !table.blocked_keys.is_empty() && table.blocked_keys.contains(&key.fingerprint)
            || self.deny_list.stops_signing_key(&key.fingerprint);
        let is_replaced = key.key.state != SigningKeyState::Current;
        if is_blocked { Err(Refusal::SigningKeyBlocked { is_replaced }) } else { Ok(()) }
    }

    fn replace(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.changed_at.store(self.clock.now().as_millis(), Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        // The lock guards no data of its own: a panic of its last holder left the table as it was.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, application: &ApiApplication, before: Option<&Arc<KnownApplication>>, now: Timestamp) {
        let known = Arc::new(KnownApplication::new(application, before.map(Arc::as_ref)));
        for key in application.api_keys.iter().filter(|key| !is_long_dead(key, now)) {
            let entry = KnownKey { key: key.clone(), application: known.clone() };
            self.keys.insert(key.hash, Arc::new(entry));
        }
        self.applications.insert(application.id, known);
    }
}

impl KnownApplication {
    fn new(application: &ApiApplication, before: Option<&Self>) -> Self {
        let is_retired = |key: &&SigningKey| matches!(key.state, SigningKeyState::Retired { .. });
        let (retired, mut verifying): (Vec<_>, Vec<_>) = application.signing_keys.iter().partition(is_retired);
        verifying.sort_by_key(|key| key.state != SigningKeyState::Current);
        let known = verifying.into_iter().chain(retired.into_iter().take(KNOWN_RETIRED_KEYS));
        Self {
            id: application.id,
            organization_id: application.organization_id,
            name: application.name.to_string(),
            enabled: application.is_enabled(),
            version: application.version,
            permissions: application.permissions,
            bucket: before.map_or_else(Arc::default, |before| before.bucket.clone()),
            body_share: before.map_or_else(Arc::default, |before| before.body_share.clone()),
            recent: before.map_or_else(Arc::default, |before| before.recent.clone()),
            signing_keys: known.filter_map(|key| VerifyingKey::new(key, before)).collect(),
        }
    }

    /// The first signing key among those that `which` names that verifies `token`.
    pub(super) fn signed_with(
        &self,
        token: &UnverifiedToken<'_>,
        which: impl Fn(&SigningKey) -> bool,
    ) -> Option<&VerifyingKey> {
        let signed = digest(&SHA256, token.signing_input());
        let mut asked = self.signing_keys.iter().filter(|known| which(&known.key));
        asked.find(|known| known.verifies(&signed, token.signature()))
    }

    fn verifying_fingerprints(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.signing_keys.iter().filter(move |known| known.key.verifies(now)).map(|known| known.fingerprint.as_str())
    }

    /// The current signing key.
    pub(super) fn current_signing_key(&self) -> Option<&VerifyingKey> {
        self.signing_keys.iter().find(|known| known.key.state == SigningKeyState::Current)
    }

    /// The signing key with this id, in whatever state, where it is known still.
    pub(super) fn signing_key(&self, id: SigningKeyId) -> Option<&VerifyingKey> {
        self.signing_keys.iter().find(|known| known.key.id == id)
    }

    /// What to tell where no key that counts at `now` verifies `token`. `check` refuses a key that was retired because it is
    /// blocked.
    pub(super) fn invalid_signature(
        &self,
        token: &UnverifiedToken<'_>,
        now: Timestamp,
        check: impl Fn(&VerifyingKey) -> Result<(), Refusal>,
    ) -> Refusal {
        let retired = self.signed_with(token, |key| !key.verifies(now));
        if let Some(Err(refusal)) = retired.map(check) {
            return refusal;
        }
        Refusal::InvalidSignature(retired.zip(self.signing_keys.first()).map(|(retired, current)| RetiredSignature {
            current: current.fingerprint.clone(),
            signed_with: retired.fingerprint.clone(),
        }))
    }
}

impl VerifyingKey {
    /// `None` where aws-lc does not take a key that the domain took: the application's other keys work all the same,
    /// and requests signed with this one are refused.
    fn new(key: &SigningKey, before: Option<&KnownApplication>) -> Option<Self> {
        let mut known = before.into_iter().flat_map(|known| &known.signing_keys);
        let parsed = match known.find(|known| known.key.public_key == key.public_key) {
            Some(known) => known.parsed.clone(),
            None => match Parsed::new(&key.public_key) {
                Ok(parsed) => Arc::new(parsed),
                Err(error) => {
                    tracing::error!(signing_key_id = %key.id, %error, "a registered public key cannot be used");
                    return None;
                }
            },
        };
        Some(Self { key: key.clone(), fingerprint: key.public_key.fingerprint(), parsed })
    }

    /// Whether `signature` is this key's over the message with this SHA-256 (RSASSA-PKCS1-v1_5; RFC 8017, 8.2.2).
    pub(super) fn verifies(&self, message: &Digest, signature: &[u8]) -> bool {
        match &*self.parsed {
            Parsed::Vectors(key) => message.as_ref().try_into().is_ok_and(|sha256| key.verifies(sha256, signature)),
            Parsed::Library(key) => key.verify_digest_sig(message, signature).is_ok(),
        }
    }
}

impl Parsed {
    /// The quickest way there is on this processor. The library parses every key: what it does not take is not used.
    fn new(key: &PublicKey) -> Result<Self, KeyRejected> {
        let library = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.der())?;
        let (modulus, exponent) = key.numbers();
        Ok(verifier::Key::new(&modulus, &exponent).map_or(Self::Library(library), |key| Self::Vectors(Box::new(key))))
    }
}

fn is_long_dead(key: &ApiKey, now: Timestamp) -> bool {
    match key.status(now) {
        ApiKeyStatus::Expired { at } | ApiKeyStatus::Revoked { at } => now.since(at) > REMEMBER_DEAD_KEYS,
        ApiKeyStatus::Active | ApiKeyStatus::Expiring { .. } => false,
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod wycheproof;
