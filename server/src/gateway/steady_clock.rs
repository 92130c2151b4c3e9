//! The gateway's own time: the wall clock's, except that it never runs backwards.

use crate::clock::Clock;
use domain::time::Timestamp;
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

/// A wall clock with a high-water mark. Where the clock below is set back, this one stands still until it is overtaken:
/// a deadline that has passed stays passed, and a `jti` whose time is over stays unusable.
pub(super) struct SteadyClock {
    clock: Clock,
    latest_millis: AtomicI64,
}

impl SteadyClock {
    pub(super) fn new(clock: Clock) -> Self {
        let latest_millis = AtomicI64::new(clock.now().as_millis());
        Self { clock, latest_millis }
    }

    /// The latest instant that any caller has seen so far.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now().as_millis();
        // Most calls fall into a millisecond that was seen already: reading is cheaper than writing to a shared place.
        let latest = self.latest_millis.load(Ordering::Acquire);
        let latest = if now > latest { self.latest_millis.fetch_max(now, Ordering::AcqRel) } else { latest };
        Timestamp::from_millis(now.max(latest))
    }

    /// By how much this clock is ahead of the one below, because that one was set back.
    pub(super) fn ahead(&self) -> Duration {
        self.now().since(self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stands_still_while_the_clock_below_is_set_back() {
        let at = |millis| Timestamp::from_millis(millis);
        let clock = Clock::manual(at(10_000));
        let steady = SteadyClock::new(clock.clone());
        assert_eq!(steady.now(), at(10_000));
        clock.set(at(4_000));
        assert_eq!(steady.now(), at(10_000));
        assert_eq!(steady.ahead(), Duration::from_secs(6));
        clock.advance(Duration::from_millis(6_001));
        assert_eq!(steady.now(), at(10_001));
        assert_eq!(steady.ahead(), Duration::ZERO);
    }
}
