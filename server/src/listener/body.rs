//! The minimum rate at which a request's body must arrive.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A grace period in which a body may be idle, and the average rate that it must keep after that.
#[derive(Clone, Copy, Debug)]
pub struct BodyRate {
    /// The grace period, which every body has.
    pub grace: Duration,
    /// Bytes that must have arrived for each further second.
    pub bytes_per_second: u32,
}

impl BodyRate {
    /// Returns the instant by which more than `received` bytes of the body must have arrived.
    pub fn deadline(self, begun: Instant, received: usize) -> Instant {
        begun + self.grace + Duration::from_secs_f64(received as f64 / f64::from(self.bytes_per_second.max(1)))
    }
}

/// A body that fails if it arrives too slowly.
pub struct RatedBody<B> {
    body: B,
    rate: BodyRate,
    received: usize,
    begun: Option<Instant>,
    /// Allocated when the body has to be waited for; most bodies arrive together with their head.
    timer: Option<Pin<Box<Sleep>>>,
    too_slow: Arc<AtomicBool>,
}

impl<B> RatedBody<B> {
    /// Enforces `rate` on `body`. Sets `too_slow` if the body fails for that reason.
    pub fn new(body: B, rate: BodyRate, too_slow: Arc<AtomicBool>) -> Self {
        Self { body, rate, received: 0, begun: None, timer: None, too_slow }
    }
}

impl<B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin> Body for RatedBody<B> {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                this.received += frame.data_ref().map_or(0, Bytes::len);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let begun = *this.begun.get_or_insert_with(Instant::now);
        let deadline = this.rate.deadline(begun, this.received);
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= deadline {
                this.too_slow.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err("the body arrives too slowly".into())));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use std::convert::Infallible;

    /// Sends `piece` bytes after each second.
    async fn received(pieces: usize, piece: usize) -> Result<usize, u64> {
        let rate = BodyRate { grace: Duration::from_secs(10), bytes_per_second: 100 };
        let sent = stream::iter(0..pieces).then(|_| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![0; piece])))
        });
        let (begun, too_slow) = (Instant::now(), Arc::<AtomicBool>::default());
        let body = RatedBody::new(StreamBody::new(Box::pin(sent)), rate, too_slow.clone()).collect().await;
        assert_eq!(too_slow.load(Ordering::Relaxed), body.is_err());
        body.map(|body| body.to_bytes().len()).map_err(|_| begun.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_cut_by_its_rate_and_not_by_its_time() {
        assert_eq!(received(1_000, 100).await, Ok(100_000));
        assert_eq!(received(9, 1).await, Ok(9));
        // The grace period of ten seconds, plus less than 0.1 seconds for the bytes received.
        assert_eq!(received(1_000, 1).await, Err(10));
        // At half the rate a body lasts twice the grace period.
        assert_eq!(received(1_000, 50).await, Err(19));
    }
}
