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
