//! The only module that reads the system clock.

use domain::time::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A source of the current time: the system's clock, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stays at `now` until it is moved. Its clones move with it.
    pub fn manual(now: Timestamp) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(now.as_millis()))) }
    }

    /// Moves a manual clock forward. Has no effect on the system's clock.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets a manual clock, forward or back. Has no effect on the system's clock.
    pub fn set(&self, now: Timestamp) {
        if let Some(manual) = &self.manual {
            manual.store(now.as_millis(), Ordering::SeqCst);
        }
    }

    /// The current time.
    #[allow(clippy::disallowed_methods)] // Only this module may read the system clock.
    pub fn now(&self) -> Timestamp {
        let millis = match &self.manual {
            Some(manual) => manual.load(Ordering::SeqCst),
            // Before 1970 there were no requests: a clock set there reads as the epoch, and every token is refused.
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64),
        };
        Timestamp::from_millis(millis)
    }
}

/// A job that is due periodically by the same wall clock as deadlines, so that it catches up at once after the machine
/// was suspended.
#[derive(Debug)]
pub struct Every {
    clock: Clock,
    period: Duration,
    last: Option<Timestamp>,
}

impl Every {
    /// Creates a job that is due at once, and then after every `period`.
    pub fn new(clock: Clock, period: Duration) -> Self {
        Self { clock, period, last: None }
    }

    /// Returns whether the job is due, and if so, starts the next period. A clock that was set back makes it due, too.
    pub fn is_due(&mut self) -> bool {
        let now = self.clock.now();
        if self.last.is_some_and(|last| last <= now && now.since(last) < self.period) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_every_minute_is_due_once_a_minute_and_whenever_the_clock_was_set_back() {
        let start = Timestamp::from_millis(1_000_000);
        let minute = Duration::from_secs(60);
        let clock = Clock::manual(start);
        let mut every = Every::new(clock.clone(), minute);
        assert!(every.is_due() && !every.is_due());
        clock.advance(minute - Duration::from_millis(1));
        assert!(!every.is_due());
        clock.advance(Duration::from_millis(1));
        assert!(every.is_due() && !every.is_due());
        clock.advance(minute * 60);
        assert!(every.is_due() && !every.is_due());
        clock.set(start);
        assert!(every.is_due() && !every.is_due());
    }
}
