//! How often somebody may ask: token buckets, kept as the instant at which each would be full again (the generic cell
//! rate algorithm, ITU-T I.371): one number a bucket, and nothing to refill.

use crate::address::client_network;
use domain::time::Timestamp;
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// A token bucket's size and how quickly it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Microseconds until one more is let through.
    interval: i64,
    /// Microseconds that a full bucket takes to fill: the burst.
    depth: i64,
}

impl RateLimit {
    /// `count` in each `period`, all of them at once if need be; `None` where `count` is zero: no limit.
    pub fn new(count: u32, period: Duration) -> Option<Self> {
        let depth = i64::try_from(period.as_micros()).ok()?;
        (count > 0).then(|| Self { interval: (depth / i64::from(count)).max(1), depth })
    }

    /// The same number `factor` times in the same period.
    pub(super) fn times(self, factor: u32) -> Self {
        Self { interval: (self.interval / i64::from(factor)).max(1), ..self }
    }

    /// The bucket after one more was taken from it, or how long to wait until that can be.
    pub(super) fn take(self, full_at: i64, now: i64) -> Result<i64, Duration> {
        let next = full_at.max(now) + self.interval;
        match u64::try_from(next - now - self.depth) {
            Ok(wait @ 1..) => Err(Duration::from_micros(wait)),
            _ => Ok(next),
        }
    }

    /// The bucket after one more was taken from it; it is never emptier than empty.
    pub(super) fn take_even_if_empty(self, full_at: i64, now: i64) -> i64 {
        (full_at.max(now) + self.interval).min(now + self.depth)
    }

    /// The bucket after `count` were put back.
    pub(super) fn give_back(self, full_at: i64, count: i64) -> i64 {
        full_at.saturating_sub(self.interval.saturating_mul(count))
    }
}

/// One application's bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicI64);

impl Bucket {
    /// Takes one.
    ///
    /// # Errors
    /// It is empty for this long still.
    pub(super) fn take(&self, limit: RateLimit, now: Timestamp) -> Result<(), Duration> {
        let now = micros(now);
        let mut full_at = self.0.load(Ordering::Acquire);
        loop {
            let next = limit.take(full_at, now)?;
            match self.0.compare_exchange_weak(full_at, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }
}

const SHARDS: usize = 16;

/// The most addresses that are remembered, about 8 MB in all. While there are more, the further ones are not limited:
/// what is limited here is no defence of a key, whose 190 random bits nobody guesses.
const MAX_ADDRESSES: usize = 100_000;

/// Failed attempts, by the network address they came from.
pub(super) struct FailedAttempts {
    limit: Option<RateLimit>,
    shards: [Mutex<HashMap<IpAddr, i64>>; SHARDS],
    choose: RandomState,
}

impl FailedAttempts {
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        Self { limit, shards: std::array::from_fn(|_| Mutex::default()), choose: RandomState::new() }
    }

    /// Counts a failed attempt.
    ///
    /// # Errors
    /// There were too many from this address; the next one counts after this long.
    pub(super) fn count(&self, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(limit) = self.limit else { return Ok(()) };
        let (network, now) = (client_network(address), micros(now));
        let shard = &self.shards[self.choose.hash_one(network) as usize % SHARDS];
        // A bucket is one number, right at every moment.
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_ADDRESSES / SHARDS {
            buckets.retain(|_, full_at| *full_at > now);
        }
        let full_at = buckets.get(&network).copied().unwrap_or_default();
        let next = limit.take(full_at, now)?;
        if buckets.len() < MAX_ADDRESSES / SHARDS || full_at != 0 {
            buckets.insert(network, next);
        }
        Ok(())
    }
}

pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_millis().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_at_a_time() {
        let limit = RateLimit::new(10, Duration::from_secs(1)).unwrap();
        let bucket = Bucket::default();
        for _ in 0..10 {
            assert_eq!(bucket.take(limit, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(limit, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(limit, at(99)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(limit, at(100)), Ok(()));
        assert_eq!(bucket.take(limit, at(100)), Err(Duration::from_millis(100)));
        // Idle, it is no fuller than full.
        let given = (0..50).filter(|_| bucket.take(limit, at(60_000)).is_ok()).count();
        assert_eq!(given, 10);
        assert_eq!(RateLimit::new(0, Duration::from_secs(1)), None);
    }

    #[test]
    fn of_any_number_at_once_the_burst_goes_through() {
        let limit = RateLimit::new(100, Duration::from_secs(1)).unwrap();
        let bucket = Bucket::default();
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000).filter(|_| bucket.take(limit, at(0)).is_ok()).count()))
                .collect();
            takers.into_iter().map(|taker| taker.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }

    #[test]
    fn attempts_count_by_network_and_are_forgotten() {
        let attempts = FailedAttempts::new(RateLimit::new(2, Duration::from_secs(60)));
        let count = |address: &str, millis| attempts.count(address.parse().unwrap(), at(millis));
        assert_eq!((count("2001:db8::1", 0), count("2001:db8::2", 0)), (Ok(()), Ok(())));
        assert_eq!(count("2001:db8::3", 0), Err(Duration::from_secs(30)));
        assert_eq!(count("2001:db8:0:1::1", 0), Ok(()));
        assert_eq!(count("2001:db8::3", 30_000), Ok(()));
        assert_eq!(count("192.0.2.1", 0), Ok(()));
    }

    #[test]
    fn memory_is_bounded_by_forgetting_what_is_over_first() {
        let attempts = FailedAttempts::new(RateLimit::new(2, Duration::from_secs(60)));
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..200_000 {
            attempts.count(address(number), at(0)).unwrap();
        }
        let held = || attempts.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        assert!(held() <= MAX_ADDRESSES, "{}", held());
        attempts.count(address(1), at(120_000)).unwrap();
        for number in 300_000..400_000 {
            attempts.count(address(number), at(120_000)).unwrap();
        }
        assert!(held() <= MAX_ADDRESSES && held() > MAX_ADDRESSES / 2, "{}", held());
    }
}
