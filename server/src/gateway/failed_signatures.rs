//! Limits how many invalid signatures are verified. Verifying one costs as much as everything else about a request
//! together, so an attacker who has an API key but not the private key must not be able to send any number of them.
//!
//! An empty budget refuses a request before its signature is verified, so valid requests that share the budget are refused
//! as well. Three rules keep that from becoming a way to block others:
//!
//! - The first budget belongs to an application *and* a network address: an attacker who has an application's API key
//!   and sends from elsewhere does not use up what its owner has.
//! - The second budget belongs to a network address, for all applications together, and is larger: it bounds an attacker
//!   who has many API keys. It applies only to applications with a failure of their own at that address, because many
//!   partners may share one (a NAT, or a proxy in front of a gateway without `--trust-forwarded-for`).
//! - A valid signature gives back several failures. So instances that sign with the wrong key do not stop the others behind
//!   the same address, and the work for invalid signatures is bounded by a multiple of the work for valid ones.
//!
//! What remains: an attacker who has the API key *and* sends from the owner's own address can hold up the owner there.

use super::limits::{RateLimit, micros};
use crate::address::client_network;
use domain::{id::ApplicationId, time::Timestamp};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How much larger the budget of an address is than that of an application at that address.
const APPLICATIONS_PER_ADDRESS: u32 = 10;

/// How many failures a verified signature gives back: a deployment goes on while at most eight of nine requests fail.
const EARNED_BY_SUCCESS: i64 = 8;

const SHARDS: usize = 16;

/// The most budgets that are kept, about 10 MB in all. One that is full is not kept. While there are more, failures of
/// further addresses are not counted: an attacker with that many networks has enough budgets already.
const MAX_BUDGETS: usize = 100_000;

/// The owner of a budget: an application at a network address, or the network address itself.
type Owner = (IpAddr, Option<ApplicationId>);

/// Budgets for signatures that do not verify.
pub(super) struct FailedSignatures {
    limits: Option<Limits>,
    shards: [Mutex<HashMap<Owner, i64>>; SHARDS],
    choose: RandomState,
    max_per_shard: usize,
    /// Number of budgets that are not full. While it is zero, as it nearly always is, a request costs one load.
    kept: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Limits {
    application: RateLimit,
    address: RateLimit,
}

impl FailedSignatures {
    /// Creates budgets of `limit` for an application at one address; `None`: any number of failures.
    pub(super) fn new(limit: Option<RateLimit>) -> Self {
        let limits = limit.map(|limit| Limits { application: limit, address: limit.times(APPLICATIONS_PER_ADDRESS) });
        let shards = std::array::from_fn(|_| Mutex::default());
        Self {
            limits,
            shards,
            choose: RandomState::new(),
            max_per_shard: MAX_BUDGETS / SHARDS,
            kept: AtomicUsize::new(0),
        }
    }

    /// Checks that a signature of `application` from `address` may be verified.
    ///
    /// # Errors
    /// The budget is empty for this much longer.
    pub(super) fn check(&self, application: ApplicationId, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let Some(limits) = self.limits.filter(|_| self.kept.load(Ordering::Relaxed) > 0) else { return Ok(()) };
        let (network, now) = (client_network(address), micros(now));
        let full_at = |owner: Owner| self.shard(&owner).get(&owner).copied().unwrap_or_default();
        let own = full_at((network, Some(application)));
        if own <= now {
            return Ok(());
        }
        limits.application.take(own, now)?;
        limits.address.take(full_at((network, None)), now).map(drop)
    }

    /// Counts a signature that did not verify.
    pub(super) fn failed(&self, application: ApplicationId, address: IpAddr, now: Timestamp) {
        let Some(limits) = self.limits else { return };
        let (network, now) = (client_network(address), micros(now));
        for (owner, limit) in [((network, Some(application)), limits.application), ((network, None), limits.address)] {
            self.change(owner, now, |full_at| limit.take_even_if_empty(full_at, now));
        }
    }

    /// Counts a signature that verified.
    pub(super) fn verified(&self, application: ApplicationId, address: IpAddr, now: Timestamp) {
        let Some(limits) = self.limits.filter(|_| self.kept.load(Ordering::Relaxed) > 0) else { return };
        let (network, now) = (client_network(address), micros(now));
        for (owner, limit) in [((network, Some(application)), limits.application), ((network, None), limits.address)] {
            self.change(owner, now, |full_at| limit.give_back(full_at, EARNED_BY_SUCCESS));
        }
    }

    fn change(&self, owner: Owner, now: i64, change: impl FnOnce(i64) -> i64) {
        let mut budgets = self.shard(&owner);
        let before = budgets.len();
        let full_at = budgets.get(&owner).copied();
        let next = change(full_at.unwrap_or_default());
        if next <= now {
            budgets.remove(&owner);
        } else {
            if full_at.is_none() && before >= self.max_per_shard {
                budgets.retain(|_, full_at| *full_at > now);
            }
            if full_at.is_some() || budgets.len() < self.max_per_shard {
                budgets.insert(owner, next);
            }
        }
        let after = budgets.len();
        // Under the shard's lock: the sum of all changes is the number of budgets.
        if after > before {
            self.kept.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.kept.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn shard(&self, owner: &Owner) -> MutexGuard<'_, HashMap<Owner, i64>> {
        // Each budget is one number, valid at every moment.
        self.shards[self.choose.hash_one(owner) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const MINUTE: Duration = Duration::from_secs(60);

    fn budgets(limit: u32) -> FailedSignatures {
        FailedSignatures::new(RateLimit::new(limit, MINUTE))
    }

    fn application(number: u128) -> ApplicationId {
        ApplicationId(Uuid::from_u128(number))
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    /// Sends `count` requests with a signature that does not verify, and returns how many of them were tried.
    fn attack(budgets: &FailedSignatures, owner: (u128, u32), count: usize, millis: i64) -> usize {
        let (application, address) = (application(owner.0), address(owner.1));
        (0..count)
            .filter(|_| {
                let tried = budgets.check(application, address, at(millis)).is_ok();
                if tried {
                    budgets.failed(application, address, at(millis));
                }
                tried
            })
            .count()
    }

    #[test]
    fn failures_of_an_application_at_an_address_use_up_neither_another_address_nor_another_application() {
        let budgets = budgets(5);
        assert_eq!(attack(&budgets, (1, 1), 100, 0), 5);
        assert_eq!(budgets.check(application(1), address(1), at(0)), Err(Duration::from_secs(12)));
        assert_eq!(budgets.check(application(1), address(2), at(0)), Ok(()));
        assert_eq!(budgets.check(application(2), address(1), at(0)), Ok(()));
        assert_eq!(attack(&budgets, (1, 1), 100, 12_000), 1);
        assert_eq!(attack(&budgets, (1, 1), 100, 3_600_000), 5);
    }

    #[test]
    fn many_api_keys_at_one_address_share_a_budget_that_an_application_without_failures_does_not_need() {
        let budgets = budgets(5);
        let tried: usize = (0..1_000).map(|number| attack(&budgets, (number, 1), 100, 0)).sum();
        // 50 by the address's budget, and one for each application that had no failure yet.
        assert!((1_000..=1_060).contains(&tried), "{tried}");
        assert_eq!(budgets.check(application(5_000), address(1), at(0)), Ok(()), "another partner behind the address");
        assert_eq!(attack(&budgets, (5, 2), 100, 0), 5, "another address");
    }

    #[test]
    fn a_deployment_of_which_a_part_signs_with_the_wrong_key_goes_on() {
        for (failing, goes_on) in [(1, true), (7, true), (8, true), (20, false)] {
            let budgets = budgets(10);
            let (application, address) = (application(1), address(1));
            let passed = (0..2_000).filter(|_| {
                attack(&budgets, (1, 1), failing, 0);
                let passes = budgets.check(application, address, at(0)).is_ok();
                if passes {
                    budgets.verified(application, address, at(0));
                }
                passes
            });
            assert_eq!(passed.count() == 2_000, goes_on, "{failing} of {} fail", failing + 1);
        }
    }

    #[test]
    fn many_at_once_cannot_owe_more_than_a_full_budget() {
        let budgets = budgets(5);
        // All were checked before the first had failed.
        for _ in 0..1_000 {
            budgets.failed(application(1), address(1), at(0));
        }
        assert_eq!(budgets.check(application(1), address(1), at(0)), Err(Duration::from_secs(12)));
        assert_eq!(attack(&budgets, (1, 1), 100, 60_000), 5);
    }

    #[test]
    fn memory_is_bounded_and_full_budgets_are_forgotten() {
        let budgets = FailedSignatures { max_per_shard: 100, ..budgets(2) };
        let held = || budgets.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        for number in 0..5_000 {
            budgets.failed(application(1), address(number), at(0));
        }
        assert_eq!(held(), 100 * SHARDS);
        assert_eq!(budgets.kept.load(Ordering::Relaxed), held());
        let before = held();
        budgets.failed(application(2), address(7), at(120_000));
        assert!(held() < before, "{}", held());
        budgets.verified(application(2), address(7), at(120_000));
        assert_eq!(budgets.kept.load(Ordering::Relaxed), held());
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let budgets = FailedSignatures::new(None);
        assert_eq!(attack(&budgets, (1, 1), 1_000, 0), 1_000);
        assert_eq!(budgets.kept.load(Ordering::Relaxed), 0);
    }
}
