//! Request bodies: bounded in size and time, hashed as they arrive.

use crate::listener::BodyRate;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use domain::request::{MalformedRequest, Refusal};
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How slowly it may arrive within that time.
const BODY_RATE: BodyRate = BodyRate { grace: Duration::from_secs(10), bytes_per_second: 16 * 1024 };

/// What is read of a body that nobody wants: see [`discard`].
const DISCARD_MAX_BYTES: usize = 8 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bodies of the largest size there is room for.
const LARGEST_AT_ONCE: usize = 64;

/// Bodies up to this size need no room: they are bounded by the number of connections, each of which buffers more than
/// this anyway. So no flood of large bodies keeps a small one out.
const SMALL_BODY_BYTES: usize = 16 * 1024;

/// The room for bodies that are not small: what all of them together may take, in bytes.
///
/// It is shared by dynamic thresholds (Choudhury and Hahne, 1998), as switches share their buffers: an application may hold
/// no more than is still free. One alone gets half of the room, two a third each, and what is left lets the next one in.
pub(super) struct BodyRoom {
    max_body_bytes: usize,
    bytes: usize,
    held: AtomicUsize,
}

/// How many bytes of the room an application holds.
#[derive(Debug, Default)]
pub(super) struct BodyShare(AtomicUsize);

/// The room that one body takes, until this is dropped.
#[derive(Default)]
pub(super) struct HeldRoom(Option<Held>);

struct Held {
    room: Arc<BodyRoom>,
    share: Arc<BodyShare>,
    bytes: usize,
}

impl BodyRoom {
    /// For bodies of at most `max_body_bytes`.
    pub(super) fn new(max_body_bytes: usize) -> Arc<Self> {
        let bytes = max_body_bytes.saturating_mul(LARGEST_AT_ONCE);
        Arc::new(Self { max_body_bytes, bytes, held: AtomicUsize::new(0) })
    }

    /// Makes `held` room for `bytes` of an application's body.
    fn hold(self: &Arc<Self>, share: &Arc<BodyShare>, held: &mut HeldRoom, bytes: usize) -> Result<(), Refusal> {
        if bytes > self.max_body_bytes {
            return Err(Refusal::BodyTooLarge { max_bytes: self.max_body_bytes });
        }
        if bytes <= SMALL_BODY_BYTES {
            return Ok(());
        }
        let has = held.0.as_ref().map_or(0, |held| held.bytes);
        let missing = bytes.saturating_sub(has);
        if missing == 0 {
            return Ok(());
        }
        self.take(share, missing)?;
        match &mut held.0 {
            Some(held) => held.bytes = bytes,
            None => held.0 = Some(Held { room: self.clone(), share: share.clone(), bytes }),
        }
        Ok(())
    }

    fn take(&self, share: &BodyShare, bytes: usize) -> Result<(), Refusal> {
        // The share first: two bodies of one application that come at once must both count.
        let of_application = share.0.fetch_add(bytes, Ordering::AcqRel) + bytes;
        let fits = |held: usize| (of_application <= self.bytes.saturating_sub(held)).then_some(held + bytes);
        let taken = self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        if taken.is_err() {
            share.0.fetch_sub(bytes, Ordering::AcqRel);
        }
        taken.map(drop).map_err(|_| Refusal::BodyCapacity)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.0.fetch_sub(self.bytes, Ordering::AcqRel);
        self.room.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl HeldRoom {
    /// Ties the room to the bytes: it is given back when the last of them is dropped, wherever that is.
    pub(super) fn tied_to(self, bytes: Bytes) -> Bytes {
        struct Tied {
            bytes: Bytes,
            _room: Held,
        }
        impl AsRef<[u8]> for Tied {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        match self.0 {
            Some(room) => Bytes::from_owner(Tied { bytes, _room: room }),
            None => bytes,
        }
    }
}

/// A body that has arrived.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    /// SHA-256 of the bytes as they were sent: without their chunks' framing, and not decompressed.
    pub(super) sha256: [u8; 32],
    /// To be kept for as long as the bytes are.
    pub(super) room: HeldRoom,
}

/// Receives a body. Trailers are dropped: the token does not cover them.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] and [`Refusal::BodyCapacity`], before a byte is read where the length was announced;
/// [`Refusal::BodyTimeout`]; [`Refusal::MalformedRequest`] where it breaks off.
pub(super) async fn receive(
    body: &mut Incoming,
    room: &Arc<BodyRoom>,
    share: &Arc<BodyShare>,
) -> Result<Received, Refusal> {
    if body.is_end_stream() {
        let room = HeldRoom::default();
        return Ok(Received { bytes: Bytes::new(), sha256: finish(Context::new(&SHA256)), room });
    }
    let mut held = HeldRoom::default();
    room.hold(share, &mut held, usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX))?;
    let arrived = AtomicUsize::new(0);
    let mut collecting = pin!(collect(body, room, share, held, &arrived));
    // Most bodies are there by now, and need no timer.
    if let Some(received) = (&mut collecting).now_or_never() {
        return received;
    }
    let begun = Instant::now();
    let deadline = || BODY_RATE.deadline(begun, arrived.load(Ordering::Relaxed)).min(begun + BODY_TIMEOUT);
    let mut timer = pin!(sleep_until(deadline()));
    loop {
        tokio::select! {
            biased;
            received = &mut collecting => return received,
            () = &mut timer => {
                // Each byte that has come since the timer was set has moved the deadline.
                if deadline() <= timer.deadline() {
                    return Err(Refusal::BodyTimeout);
                }
                timer.as_mut().reset(deadline());
            }
        }
    }
}

/// Collects a body, and counts in `arrived` what is here.
async fn collect(
    body: &mut Incoming,
    room: &Arc<BodyRoom>,
    share: &Arc<BodyShare>,
    mut held: HeldRoom,
    arrived: &AtomicUsize,
) -> Result<Received, Refusal> {
    let mut hash = Context::new(&SHA256);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::from(MalformedRequest::Body))?.into_data() else { continue };
        // Of a body in chunks nobody knows beforehand how long it is.
        let length = first.len() + whole.len() + data.len();
        room.hold(share, &mut held, length)?;
        arrived.store(length, Ordering::Relaxed);
        hash.update(&data);
        // Most bodies come in one piece, and that one is not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    let bytes = if whole.is_empty() { first } else { whole.freeze() };
    Ok(Received { bytes, sha256: finish(hash), room: held })
}

/// Reads on what is left of a refused request's body, within bounds. A connection that is closed on unread bytes is
/// reset, and the refusal that was just written may be lost with it.
pub(super) async fn discard(body: &mut Incoming) {
    let mut left = DISCARD_MAX_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Too slow: then the connection is closed all the same.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}

fn finish(hash: Context) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}
