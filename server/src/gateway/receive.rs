//! Request bodies: bounded in size and time, hashed as they arrive.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use domain::request::{MalformedRequest, Refusal};
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is read of a body that nobody wants: see [`discard`].
const DISCARD_MAX_BYTES: usize = 8 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// How many bodies of the largest size are held at one time, or as many more smaller ones.
const LARGEST_AT_ONCE: usize = 64;

/// In what steps the room for bodies is given out.
const STEP_BYTES: usize = 1024;

/// The room for bodies: what all of them together may take.
pub(super) struct BodyRoom {
    max_bytes: usize,
    steps: Semaphore,
}

/// The room that one body takes, until this is dropped.
#[derive(Default)]
pub(super) struct HeldRoom<'a>(Option<SemaphorePermit<'a>>);

impl BodyRoom {
    /// For bodies of at most `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        let steps = max_bytes.div_ceil(STEP_BYTES).saturating_mul(LARGEST_AT_ONCE);
        Self { max_bytes, steps: Semaphore::new(steps.min(Semaphore::MAX_PERMITS)) }
    }

    /// Sees to it that `held` is room for `bytes`.
    fn hold<'a>(&'a self, held: &mut HeldRoom<'a>, bytes: usize) -> Result<(), Refusal> {
        if bytes > self.max_bytes {
            return Err(Refusal::BodyTooLarge { max_bytes: self.max_bytes });
        }
        let has = held.0.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = u32::try_from(bytes.div_ceil(STEP_BYTES).saturating_sub(has)).unwrap_or(u32::MAX);
        if missing == 0 {
            return Ok(());
        }
        let more = self.steps.try_acquire_many(missing).map_err(|_| Refusal::BodyCapacity)?;
        match &mut held.0 {
            Some(held) => held.merge(more),
            None => held.0 = Some(more),
        }
        Ok(())
    }
}

/// A body that has arrived.
pub(super) struct Received<'a> {
    pub(super) bytes: Bytes,
    /// SHA-256 of the bytes as they were sent: without their chunks' framing, and not decompressed.
    pub(super) sha256: [u8; 32],
    /// To be kept for as long as the bytes are.
    pub(super) room: HeldRoom<'a>,
}

/// Receives a body. Trailers are dropped: the token does not cover them.
///
/// # Errors
/// [`Refusal::BodyTooLarge`] and [`Refusal::BodyCapacity`], before a byte is read where the length was announced;
/// [`Refusal::BodyTimeout`]; [`Refusal::MalformedRequest`] where it breaks off.
pub(super) async fn receive<'a>(body: &mut Incoming, room: &'a BodyRoom) -> Result<Received<'a>, Refusal> {
    if body.is_end_stream() {
        let room = HeldRoom::default();
        return Ok(Received { bytes: Bytes::new(), sha256: finish(Context::new(&SHA256)), room });
    }
    let mut held = HeldRoom::default();
    room.hold(&mut held, usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX))?;
    let mut collecting = pin!(collect(body, room, held));
    // Most bodies are there by now, and need no timer.
    match (&mut collecting).now_or_never() {
        Some(received) => received,
        None => timeout(BODY_TIMEOUT, collecting).await.unwrap_or(Err(Refusal::BodyTimeout)),
    }
}

async fn collect<'a>(body: &mut Incoming, room: &'a BodyRoom, mut held: HeldRoom<'a>) -> Result<Received<'a>, Refusal> {
    let mut hash = Context::new(&SHA256);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::from(MalformedRequest::Body))?.into_data() else { continue };
        // Of a body in chunks nobody knows beforehand how long it is.
        room.hold(&mut held, first.len() + whole.len() + data.len())?;
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
