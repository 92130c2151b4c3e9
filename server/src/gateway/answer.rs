//! The body of the upstream's answer, passed on as it arrives, and given up on where nothing more comes.

use super::upstream::LeasedConnection;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};
use uuid::Uuid;

/// A body that ends with an error, and its connections with it, where the upstream is silent for too long. A client that
/// reads slowly is nobody's silence: while it does, nothing is asked for.
pub(super) struct AnswerBody {
    body: Incoming,
    /// The upstream's connection: kept for further requests once the answer is complete, and closed otherwise.
    connection: Option<LeasedConnection>,
    timeout: Duration,
    request_id: Uuid,
    /// Made when the upstream has to be waited for; most answers come in one piece.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl AnswerBody {
    pub(super) fn new(body: Incoming, connection: LeasedConnection, timeout: Duration, request_id: Uuid) -> Self {
        Self { body, connection: Some(connection), timeout, request_id, timer: None, is_waiting: false }
    }

    fn completed(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }
}

impl Drop for AnswerBody {
    /// Whoever sends an answer of a known length does not ask for more than its last byte.
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.completed();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.is_waiting = false;
            if frame.is_none() {
                this.completed();
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(this.timeout)));
        if !this.is_waiting {
            this.is_waiting = true;
            timer.as_mut().reset(Instant::now() + this.timeout);
        }
        ready!(timer.as_mut().poll(cx));
        tracing::warn!(request_id = %this.request_id, "the upstream began its answer and did not go on");
        Poll::Ready(Some(Err("the upstream is silent".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
