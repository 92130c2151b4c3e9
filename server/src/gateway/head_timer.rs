//! The timer with which hyper bounds how long a request's head may take.
//!
//! hyper asks for a new timer before every head and drops it a moment later; with tokio's own, each goes into the runtime's
//! timers and out of them again. Here one of them serves a connection all its life, and is moved only when it goes off: by
//! then the head that it was set for has mostly come, and a later one is being waited for.

use hyper::rt::{Sleep, Timer};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time;

/// One connection's timer.
#[derive(Clone, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Option<Pin<Box<time::Sleep>>>>>);

struct HeadSleep {
    deadline: Instant,
    timer: HeadTimer,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(HeadSleep { deadline, timer: self.clone() })
    }

    /// The runtime's time, which a test may hold.
    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.into();
        // A deadline that was moved or not: it is right at every moment.
        let mut slot = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = slot.get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(sleep: Pin<Box<dyn Sleep>>) -> Duration {
        let before = time::Instant::now();
        sleep.await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_lasts_as_long_as_it_was_asked_for_whatever_came_before() {
        let timer = HeadTimer::default();
        let wait = |seconds| timer.sleep(Duration::from_secs(seconds));
        let is_about =
            |taken: Duration, seconds| taken.abs_diff(Duration::from_secs(seconds)) <= Duration::from_millis(2);
        assert!(is_about(taken(wait(30)).await, 30));
        // One that was dropped while it waited: the next one has its whole time all the same.
        assert!(time::timeout(Duration::from_secs(29), wait(30)).await.is_err());
        assert!(is_about(taken(wait(30)).await, 30));
        // Earlier than the one before would have been.
        assert!(time::timeout(Duration::from_secs(1), wait(30)).await.is_err());
        assert!(is_about(taken(wait(5)).await, 5));
    }
}
