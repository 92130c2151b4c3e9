//! The requests of an application that nobody has written down yet.

use domain::request::{KEPT_REQUESTS, SeenRequest};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The newest requests of one application: as many as are kept at all, so that a flood of them takes no more room.
#[derive(Default)]
pub(super) struct RecentRequests {
    requests: Mutex<VecDeque<SeenRequest>>,
    /// How many there were since the start, those included that are gone.
    seen: AtomicU64,
}

impl RecentRequests {
    /// Remembers `request`, instead of the oldest one where there are too many.
    pub(super) fn push(&self, request: SeenRequest) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let mut requests = self.lock();
        if requests.len() >= KEPT_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    /// Takes them all out, the oldest first.
    pub(super) fn take(&self) -> VecDeque<SeenRequest> {
        std::mem::take(&mut *self.lock())
    }

    /// How many there were since the start.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SeenRequest>> {
        // A list of requests is whole after every step.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
