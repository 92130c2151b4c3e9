//! What the gateway saw of each key: when it was first and last used, from where, and how often. Counted in memory and
//! taken out in batches by whoever writes it down; a request never waits for that.

use domain::{
    id::{ApiKeyId, SigningKeyId},
    time::Timestamp,
};
use prometheus_client::metrics::counter::Counter;
use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio::sync::Notify;

/// The most characters of a user agent that are kept.
const MAX_USER_AGENT_CHARACTERS: usize = 200;

/// The most keys of each kind that are counted, about 30 MB in all. Uses of further keys are only counted together.
const MAX_KEYS: usize = 50_000;

const SHARDS: usize = 16;

/// What was seen of each key since it was last drained.
#[derive(Default)]
pub struct Usage {
    api_keys: Counters<ApiKeyId>,
    signing_keys: Counters<SigningKeyId>,
    first_use: Notify,
    uncounted: Counter,
    /// Milliseconds since 1970.
    flushed_at: AtomicI64,
}

/// What was seen of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse<Id> {
    /// Which key.
    pub id: Id,
    /// When it was first used since the last batch.
    pub first_at: Timestamp,
    /// When it was last used.
    pub last_at: Timestamp,
    /// From where it was last used.
    pub address: IpAddr,
    /// What program used it last, in its own words: at most 200 characters, and no control character.
    pub user_agent: String,
    /// How often it was used.
    pub count: u64,
}

/// What was seen since the last batch. Dropping it loses it: see [`Usage::restore`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "what is in it is counted nowhere else any more"]
pub struct UsageBatch {
    /// API keys that were used.
    pub api_keys: Vec<KeyUse<ApiKeyId>>,
    /// Signing keys that verified a request.
    pub signing_keys: Vec<KeyUse<SigningKeyId>>,
}

/// A request that was verified.
#[derive(Clone, Copy)]
pub(super) struct Use<'a> {
    pub(super) api_key: ApiKeyId,
    pub(super) signing_key: SigningKeyId,
    pub(super) at: Timestamp,
    pub(super) address: IpAddr,
    pub(super) user_agent: &'a [u8],
}

impl UsageBatch {
    /// Whether nothing was used.
    pub fn is_empty(&self) -> bool {
        self.api_keys.is_empty() && self.signing_keys.is_empty()
    }
}

impl Usage {
    /// Nothing was used yet, and nothing need be written.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { flushed_at: AtomicI64::new(now.as_millis()), ..Self::default() }
    }

    /// Remembers that everything that had been drained by `now` is written down.
    pub fn flushed(&self, now: Timestamp) {
        self.flushed_at.fetch_max(now.as_millis(), Ordering::Relaxed);
    }

    /// When that last was.
    pub(super) fn flushed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.flushed_at.load(Ordering::Relaxed))
    }

    /// Takes out what was seen since the last time.
    pub fn drain(&self) -> UsageBatch {
        UsageBatch { api_keys: self.api_keys.drain(), signing_keys: self.signing_keys.drain() }
    }

    /// Puts a batch back that could not be written; the next [`Usage::drain`] has it again, with what came since.
    pub fn restore(&self, batch: UsageBatch) {
        for key in batch.api_keys {
            self.api_keys.restore(key);
        }
        for key in batch.signing_keys {
            self.signing_keys.restore(key);
        }
    }

    /// Completes when a key was used that had not been used since the start: somebody may be waiting to see just that.
    /// A use that came while nobody waited completes the next call.
    pub async fn first_use(&self) {
        self.first_use.notified().await;
    }

    /// How many uses were not counted since the start, because too many different keys were used.
    pub fn uncounted(&self) -> u64 {
        self.uncounted.get()
    }

    /// The counter of those.
    pub(super) fn uncounted_counter(&self) -> Counter {
        self.uncounted.clone()
    }

    pub(super) fn record(&self, seen: Use<'_>) {
        let api_key = self.api_keys.count(seen.api_key, &seen);
        let signing_key = self.signing_keys.count(seen.signing_key, &seen);
        for counted in [api_key, signing_key] {
            match counted {
                Counted::First => self.first_use.notify_one(),
                Counted::Again => {}
                Counted::No => drop(self.uncounted.inc()),
            }
        }
    }
}

enum Counted {
    First,
    Again,
    No,
}

/// A key's entry stays when it is drained, with a count of zero: that is how its first use is told from later ones.
struct Counters<Id> {
    shards: [Mutex<HashMap<Id, KeyUse<Id>>>; SHARDS],
    choose: RandomState,
}

impl<Id> Default for Counters<Id> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), choose: RandomState::new() }
    }
}

impl<Id: Copy + Eq + Hash> Counters<Id> {
    fn count(&self, id: Id, seen: &Use<'_>) -> Counted {
        let mut shard = lock(self.shard(id));
        let full = shard.len() >= MAX_KEYS / SHARDS;
        match shard.entry(id) {
            Entry::Occupied(mut known) => {
                known.get_mut().again(seen);
                Counted::Again
            }
            Entry::Vacant(_) if full => Counted::No,
            Entry::Vacant(place) => {
                place.insert(KeyUse {
                    id,
                    first_at: seen.at,
                    last_at: seen.at,
                    address: seen.address,
                    user_agent: readable(seen.user_agent),
                    count: 1,
                });
                Counted::First
            }
        }
    }

    fn drain(&self) -> Vec<KeyUse<Id>> {
        let mut batch = Vec::new();
        for shard in &self.shards {
            for known in lock(shard).values_mut().filter(|known| known.count > 0) {
                batch.push(known.clone());
                known.count = 0;
            }
        }
        batch
    }

    fn restore(&self, old: KeyUse<Id>) {
        match lock(self.shard(old.id)).entry(old.id) {
            Entry::Occupied(mut known) => known.get_mut().merge(old),
            Entry::Vacant(place) => drop(place.insert(old)),
        }
    }

    fn shard(&self, id: Id) -> &Mutex<HashMap<Id, KeyUse<Id>>> {
        &self.shards[self.choose.hash_one(id) as usize % SHARDS]
    }
}

impl<Id> KeyUse<Id> {
    fn again(&mut self, seen: &Use<'_>) {
        if self.count == 0 {
            self.first_at = seen.at;
        }
        self.count += 1;
        // Two requests may get here in another order than they were verified in.
        if seen.at >= self.last_at {
            self.last_at = seen.at;
            self.address = seen.address;
            if self.user_agent.as_bytes() != seen.user_agent {
                self.user_agent = readable(seen.user_agent);
            }
        }
    }

    fn merge(&mut self, old: Self) {
        let used_since = self.count > 0;
        self.first_at = if used_since { self.first_at.min(old.first_at) } else { old.first_at };
        self.count += old.count;
        if old.last_at > self.last_at {
            self.last_at = old.last_at;
            self.address = old.address;
            self.user_agent = old.user_agent;
        }
    }
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    // An entry is whole at every moment: a panic elsewhere costs at most one count.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn readable(user_agent: &[u8]) -> String {
    let text = String::from_utf8_lossy(user_agent);
    let characters = text.chars().take(MAX_USER_AGENT_CHARACTERS);
    characters.map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests;
