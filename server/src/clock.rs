//! The one place that reads the clock.

use domain::time::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Tells the time: the system's, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `now` until it is moved; its clones move with it.
    pub fn manual(now: Timestamp) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(now.as_millis()))) }
    }

    /// Moves a manual clock forward. The system's clock is nobody's to move: it stays.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets a manual clock, back as well as forward. The system's clock stays.
    pub fn set(&self, now: Timestamp) {
        if let Some(manual) = &self.manual {
            manual.store(now.as_millis(), Ordering::SeqCst);
        }
    }

    /// The present instant.
    #[allow(clippy::disallowed_methods)] // This is the module that may.
    pub fn now(&self) -> Timestamp {
        let millis = match &self.manual {
            Some(manual) => manual.load(Ordering::SeqCst),
            // Before 1970 there were no requests: a clock set there reads as the epoch, and every token is refused.
            None => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64),
        };
        Timestamp::from_millis(millis)
    }
}

/// What is to be done again whenever a period has passed by a clock: the one that deadlines go by, so that a machine that
/// slept catches up at once.
#[derive(Debug)]
pub struct Every {
    clock: Clock,
    period: Duration,
    last: Option<Timestamp>,
}

impl Every {
    /// Due at once, and then every `period`.
    pub fn new(clock: Clock, period: Duration) -> Self {
        Self { clock, period, last: None }
    }

    /// Whether it is due; then it is so again a period later. A clock that was set back makes it due, too.
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
