//! Which tokens were used: each `jti` of an application once.
//!
//! Sizes, for 10,000 requests a second with `exp = iat + 60` and a leeway of 5 s: an entry is 16 bytes plus the hash
//! set's slack, 19 to 39 bytes in all; it is kept for 70 to 102 seconds, so about a million are, in some 30 MB.
//!
//! An entry is a 128-bit keyed hash of (application, jti): nobody outside can aim for a collision, and by chance there
//! is none (10^7 entries: 10^-25). Entries lie in buckets by the `exp` of their token, and a bucket is dropped whole.
//! A `jti` is looked for in every bucket, because a second token with the same `jti` may have another `exp`.

use aws_lc_rs::cmac;
use domain::id::ApplicationId;
use domain::time::Timestamp;
use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How many seconds of `exp` share a bucket. Tokens that are acceptable at one time differ by at most 60 seconds and
/// two leeways, so a look-up visits four or five buckets.
const BUCKET_SECONDS: i64 = 32;

/// Enough that two workers seldom want the same one.
const SHARDS: usize = 64;

/// The tokens that were used, in memory.
pub(super) struct Replay {
    key: cmac::Key,
    shards: Vec<Mutex<Shard>>,
    /// Entries in all shards.
    used: AtomicUsize,
    capacity: usize,
    /// How long after its tokens' `exp` a bucket is kept: two leeways. For one of them the token itself is accepted
    /// still. The other is for requests that passed that check in its last moment and get here a little later; one that
    /// comes too late even for that is refused.
    keep: Duration,
}

/// Why a token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayError {
    /// Its `jti` was used by this application.
    Used,
    /// What was remembered of its time is gone: whether it was used is unknown.
    TooLate,
    /// No more can be remembered.
    Full,
}

/// Buckets by rising number, without gaps.
#[derive(Default)]
struct Shard {
    /// The number of the first bucket.
    first: i64,
    buckets: VecDeque<Bucket>,
    /// Buckets with a lower number were dropped. Callers read the time before they wait for the lock, so one may come
    /// with a time that is over: not its own idea of what is kept counts, but this.
    floor: i64,
}

type Bucket = HashSet<u128, BuildHasherDefault<Itself>>;

impl Replay {
    /// Remembers at most `capacity` tokens.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give.
    pub(super) fn new(capacity: usize, leeway: Duration) -> Self {
        Self {
            key: cmac::Key::generate(cmac::AES_128).expect("the operating system gives random bytes"),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            used: AtomicUsize::new(0),
            capacity,
            keep: 2 * leeway,
        }
    }

    /// How many tokens are remembered, those included whose time is over and that nobody has asked for since.
    pub(super) fn len(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Uses `jti` up, in one step: of any number of callers with the same `jti` at the same time one succeeds.
    /// `expires_at` is the token's `exp` in seconds; `now` must never run backwards.
    ///
    /// # Errors
    /// It was used, that cannot be told any more, or it cannot be remembered.
    pub(super) fn reserve(
        &self,
        application: ApplicationId,
        jti: &str,
        expires_at: i64,
        now: Timestamp,
    ) -> Result<(), ReplayError> {
        let entry = self.hash(application, jti);
        // The set's own hash uses the low bits.
        let shard = &self.shards[(entry >> 120) as usize % SHARDS];
        match self.try_reserve(&mut lock(shard), entry, expires_at, now) {
            Err(ReplayError::Full) => {}
            done => return done,
        }
        // Shards that nobody asked for a while still hold what is over.
        for shard in &self.shards {
            self.drop_old(&mut lock(shard), now);
        }
        self.try_reserve(&mut lock(shard), entry, expires_at, now)
    }

    fn try_reserve(&self, shard: &mut Shard, entry: u128, expires_at: i64, now: Timestamp) -> Result<(), ReplayError> {
        self.drop_old(shard, now);
        if shard.buckets.iter().any(|bucket| bucket.contains(&entry)) {
            return Err(ReplayError::Used);
        }
        let number = expires_at.div_euclid(BUCKET_SECONDS);
        if number < shard.floor {
            return Err(ReplayError::TooLate);
        }
        if self.used.fetch_add(1, Ordering::AcqRel) >= self.capacity {
            self.used.fetch_sub(1, Ordering::AcqRel);
            return Err(ReplayError::Full);
        }
        shard.bucket(number).insert(entry);
        Ok(())
    }

    fn drop_old(&self, shard: &mut Shard, now: Timestamp) {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.as_millis().saturating_sub(keep).div_euclid(BUCKET_SECONDS * 1000);
        shard.floor = shard.floor.max(oldest);
        while shard.first < shard.floor
            && let Some(bucket) = shard.buckets.pop_front()
        {
            self.used.fetch_sub(bucket.len(), Ordering::AcqRel);
            shard.first += 1;
        }
    }

    fn hash(&self, application: ApplicationId, jti: &str) -> u128 {
        let mut context = cmac::Context::with_key(&self.key);
        // AES-CMAC (RFC 4493) fails for want of memory only; the process ends then, here as anywhere.
        let mut update = |part: &[u8]| context.update(part).expect("aws-lc computes a CMAC");
        update(application.0.as_bytes());
        update(jti.as_bytes());
        let tag = context.sign().expect("aws-lc computes a CMAC");
        let mut bytes = [0; 16];
        bytes.copy_from_slice(tag.as_ref());
        u128::from_le_bytes(bytes)
    }
}

impl Shard {
    /// The bucket `number`, which is made where it is missing.
    fn bucket(&mut self, number: i64) -> &mut Bucket {
        if self.buckets.is_empty() {
            self.first = number;
        }
        while number < self.first {
            self.buckets.push_front(Bucket::default());
            self.first -= 1;
        }
        // The caller checked `exp`: the number is at most a few ahead.
        let index = (number - self.first) as usize;
        while self.buckets.len() <= index {
            self.buckets.push_back(Bucket::default());
        }
        &mut self.buckets[index]
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing between taking and releasing the lock leaves a shard half changed, except for want of memory.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The hash of an entry is the entry itself: it is the output of a keyed hash already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write_u128(&mut self, entry: u128) {
        self.0 = entry as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("entries are hashed as one u128");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
