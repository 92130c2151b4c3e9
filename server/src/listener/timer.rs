//! The timer that bounds hyper's wait for a request's head.
//!
//! hyper has a single timeout, from the moment it is ready for a head until the head is complete. It covers two
//! different waits: an idle connection between two requests, which load balancers expect to be kept for a minute or
//! more, and a head that arrives slowly, which an attacker can draw out. This timer tells them apart by the bytes that
//! [`super::GuardedStream`] has read.
//!
//! hyper asks for a new timer before every head and drops it a moment later; each of tokio's own timers would be
//! registered with the runtime and removed again. Here a connection has one registered timer throughout, which is only
//! moved when it fires: by then the head that it was set for has usually arrived, and hyper is waiting for a later one.

use hyper::rt::{Sleep, Timer};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time;

/// The timer of a connection.
#[derive(Clone)]
pub(super) struct ConnectionTimer(Arc<Shared>);

struct Shared {
    head_timeout: Duration,
    /// Whether a byte has arrived since the wait for a head began. The first head of a connection is timed from the
    /// start.
    has_received: AtomicBool,
    is_first: AtomicBool,
    registered: Mutex<Option<Pin<Box<time::Sleep>>>>,
}

/// The wait for a single head.
struct HeadWait {
    /// When an idle connection is closed.
    idle_until: Instant,
    /// When a head that has begun must be complete.
    head_until: Option<Instant>,
    timer: ConnectionTimer,
}

impl ConnectionTimer {
    /// hyper must be configured with the idle timeout; `head_timeout` is how long a head may take once it has begun.
    pub(super) fn new(head_timeout: Duration) -> Self {
        let (has_received, is_first) = (AtomicBool::new(false), AtomicBool::new(true));
        Self(Arc::new(Shared { head_timeout, has_received, is_first, registered: Mutex::default() }))
    }

    /// Records that bytes have arrived.
    pub(super) fn received(&self) {
        self.0.has_received.store(true, Ordering::Relaxed);
    }
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, idle_until: Instant) -> Pin<Box<dyn Sleep>> {
        self.0.has_received.store(false, Ordering::Relaxed);
        let is_first = self.0.is_first.swap(false, Ordering::Relaxed);
        let head_until = is_first.then(|| self.now() + self.0.head_timeout);
        Box::pin(HeadWait { idle_until, head_until, timer: self.clone() })
    }

    /// The runtime's time, which a test may pause.
    fn now(&self) -> Instant {
        time::Instant::now().into()
    }
}

impl Sleep for HeadWait {}

impl Future for HeadWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let shared = self.timer.0.clone();
        if self.head_until.is_none() && shared.has_received.load(Ordering::Relaxed) {
            self.head_until = Some(self.timer.now() + shared.head_timeout);
        }
        let deadline = self.head_until.unwrap_or(self.idle_until).into();
        // A panic cannot leave the timer inconsistent, so a poisoned lock is usable.
        let mut registered = shared.registered.lock().unwrap_or_else(PoisonError::into_inner);
        let sleep = registered.get_or_insert_with(|| Box::pin(time::sleep_until(deadline)));
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
    use futures::FutureExt;

    const HEAD: Duration = Duration::from_secs(15);

    async fn elapsed(sleep: Pin<Box<dyn Sleep>>) -> u64 {
        let before = time::Instant::now();
        sleep.await;
        before.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_its_own_time_and_a_later_one_that_of_an_idle_connection_until_it_begins() {
        let timer = ConnectionTimer::new(HEAD);
        let wait = |seconds| timer.sleep(Duration::from_secs(seconds));
        assert_eq!(elapsed(wait(75)).await, 15);
        assert_eq!(elapsed(wait(75)).await, 75);
        // After a wait that was dropped early, the next one still has its full time.
        assert!(time::timeout(Duration::from_secs(70), wait(75)).await.is_err());
        assert_eq!(elapsed(wait(75)).await, 75);
        // Earlier than the previous deadline.
        assert!(time::timeout(Duration::from_secs(1), wait(75)).await.is_err());
        assert_eq!(elapsed(wait(5)).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_has_begun_counts_from_its_first_byte() {
        let timer = ConnectionTimer::new(HEAD);
        drop(timer.sleep(HEAD));
        timer.received();
        let mut second = timer.sleep(Duration::from_secs(75));
        assert!((&mut second).now_or_never().is_none());
        time::advance(Duration::from_secs(60)).await;
        timer.received();
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(elapsed(second).await, 15);
    }
}
