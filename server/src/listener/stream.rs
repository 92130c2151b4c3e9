//! A watched stream: received bytes tell the connection's timer that a head has begun, and the connection fails if the
//! peer stops reading.

use super::timer::ConnectionTimer;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long a peer may read none of the bytes sent to it. A slow reader that makes progress is not disconnected.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that reports what it reads, and fails when a write makes no progress for [`WRITE_TIMEOUT`].
pub struct GuardedStream<S> {
    stream: S,
    timer: ConnectionTimer,
    /// Allocated when a write has to wait for the first time; on most connections none does.
    stall: Option<Pin<Box<Sleep>>>,
    is_stalled: bool,
}

impl<S> GuardedStream<S> {
    pub(super) fn new(stream: S, timer: ConnectionTimer) -> Self {
        Self { stream, timer, stall: None, is_stalled: false }
    }

    /// Returns the result of a write, or an error if it has been pending for too long.
    fn bounded(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        if !self.is_stalled {
            self.is_stalled = true;
            stall.as_mut().reset(Instant::now() + WRITE_TIMEOUT);
        }
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.timer.received();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.bounded(cx, written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up_on_and_one_that_is_slow_is_not() {
        let (near, mut far) = duplex(10);
        let mut stream = GuardedStream::new(near, ConnectionTimer::new(WRITE_TIMEOUT));
        let slow_reader = async {
            for _ in 0..9 {
                tokio::time::sleep(WRITE_TIMEOUT - Duration::from_secs(1)).await;
                far.read_exact(&mut [0; 10]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(&[b'x'; 100]), slow_reader);
        written.unwrap();
        // The last ten bytes have not been read.
        let begun = Instant::now();
        let failed = stream.write_all(b"y").await.unwrap_err();
        assert_eq!((failed.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, WRITE_TIMEOUT.as_secs()));
    }
}
