//! What hyper does not tell about a request's head. Where a request has both `Transfer-Encoding` and `Content-Length`,
//! hyper obeys the first, drops the second and closes the connection after the response (RFC 9112, 6.1 allows that);
//! where the request line has a fragment, `http::Uri` drops it. A request that two readers could take for two different
//! ones shall be refused, so this stream reads along and notes what gets lost.
//!
//! To know where the next head begins, it hands over one request at a time: bytes that follow a request are held back
//! until more is asked for. A body in chunks is not followed to its end: a connection that carried one is closed after
//! the response.

use domain::request::MalformedRequest;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const AMBIGUOUS_LENGTH: u8 = 1;
const BARE_LINE_FEED: u8 = 2;
const FRAGMENT: u8 = 4;
const CHUNKED: u8 = 8;

/// What was noted of a request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadNotes(u8);

impl HeadNotes {
    /// Refuses a head that two readers could take for two different ones.
    ///
    /// # Errors
    /// The body's length is given twice, or in a way that is not plain (RFC 9112, 6.1 and 6.3); or a line ends without a
    /// carriage return: RFC 9112, 2.2 lets readers differ on that.
    pub(super) fn check(self) -> Result<(), MalformedRequest> {
        if self.ambiguous_length() {
            return Err(MalformedRequest::AmbiguousLength);
        }
        if self.0 & BARE_LINE_FEED != 0 { Err(MalformedRequest::BareLineFeed) } else { Ok(()) }
    }

    /// The body's length is given twice, or in a way that is not plain.
    pub(super) fn ambiguous_length(self) -> bool {
        self.0 & AMBIGUOUS_LENGTH != 0
    }

    /// The request line has a `#`.
    pub(super) fn fragment(self) -> bool {
        self.0 & FRAGMENT != 0
    }

    /// Where the next head begins cannot be told: the connection must be closed after the response, whatever that is.
    pub(super) fn must_close(self) -> bool {
        self.0 & (AMBIGUOUS_LENGTH | CHUNKED) != 0
    }
}

/// Where the notes on a connection's latest head are picked up.
#[derive(Clone, Default)]
pub(super) struct Notes(Arc<AtomicU8>);

impl Notes {
    /// The notes on the request that hyper hands over at this moment. To be called right then, once: the next head may
    /// be read while the request is being answered.
    pub(super) fn take(&self) -> HeadNotes {
        HeadNotes(self.0.swap(0, Ordering::AcqRel))
    }

    /// Notes add up until they are taken: should they ever be taken late, a good request is refused, and no bad one let
    /// through.
    fn add(&self, notes: u8) {
        self.0.fetch_or(notes, Ordering::AcqRel);
    }
}

/// A stream that notes what [`HeadNotes`] holds.
pub(super) struct NotedStream<S> {
    stream: S,
    notes: Notes,
    place: Place,
    /// Read from the stream, and not handed over yet.
    held: Vec<u8>,
}

/// Where in the stream of requests the next byte is.
enum Place {
    Head(Head),
    /// In a body of which so many bytes are left; never zero.
    Body(u64),
    /// Nothing can be said any more: until the connection ends.
    Lost,
}

#[derive(Default)]
struct Head {
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    begun: bool,
    notes: u8,
    content_length: Option<u64>,
    lost: bool,
}

impl<S> NotedStream<S> {
    pub(super) fn new(stream: S, notes: Notes) -> Self {
        Self { stream, notes, place: Place::Head(Head::default()), held: Vec::new() }
    }

    /// Follows `bytes`, and says how many of them belong to the present request: at least one where there are any.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            match &mut self.place {
                Place::Lost => return bytes.len(),
                Place::Body(left) => {
                    let here = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    if *left == 0 {
                        self.place = Place::Head(Head::default());
                    }
                    return taken + here;
                }
                Place::Head(head) => {
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        head.line.extend_from_slice(rest);
                        return bytes.len();
                    };
                    taken += end + 1;
                    let ended = if head.line.is_empty() {
                        head.read_line(&rest[..end])
                    } else {
                        head.line.extend_from_slice(&rest[..end]);
                        let line = std::mem::take(&mut head.line);
                        head.read_line(&line)
                    };
                    if ended {
                        self.notes.add(head.notes);
                        let length = head.content_length.unwrap_or(0);
                        self.place = match (head.lost, length) {
                            (true, _) => Place::Lost,
                            (false, 0) => Place::Head(Head::default()),
                            (false, length) => Place::Body(length),
                        };
                        if matches!(self.place, Place::Head(_)) {
                            return taken;
                        }
                    }
                }
            }
        }
        taken
    }
}

impl Head {
    /// Reads a line without its line feed; true where it ends the head.
    fn read_line(&mut self, line: &[u8]) -> bool {
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None => {
                self.notes |= BARE_LINE_FEED;
                line
            }
        };
        if line.is_empty() {
            // Empty lines before a request line are skipped (RFC 9112, 2.2).
            return self.begun;
        }
        if !self.begun {
            self.begun = true;
            if line.contains(&b'#') {
                self.notes |= FRAGMENT;
            }
            return false;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return false };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.read_content_length(value);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let first = self.notes & CHUNKED == 0;
            let alone = self.content_length.is_none();
            if !(first && alone && value.eq_ignore_ascii_case(b"chunked")) {
                self.notes |= AMBIGUOUS_LENGTH;
            }
            self.notes |= CHUNKED;
            self.lost = true;
        }
        false
    }

    fn read_content_length(&mut self, value: &[u8]) {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
        if length.is_none() || self.content_length.is_some() || self.notes & CHUNKED != 0 {
            self.notes |= AMBIGUOUS_LENGTH;
            self.lost = true;
        }
        self.content_length = length.or(self.content_length);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NotedStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() {
            let mut held = std::mem::take(&mut this.held);
            let taken = this.follow(&held[..held.len().min(buf.remaining())]);
            buf.put_slice(&held[..taken]);
            held.drain(..taken);
            this.held = held;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let taken = this.follow(&buf.filled()[before..]);
        this.held.extend_from_slice(&buf.filled()[before + taken..]);
        buf.set_filled(before + taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NotedStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }
}

#[cfg(test)]
mod tests;
