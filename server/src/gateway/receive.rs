//! Request bodies: bounded in size and time, hashed as they arrive.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use domain::request::{MalformedRequest, Refusal};
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::{pin::pin, time::Duration};
use tokio::time::timeout;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is read of a body that nobody wants: see [`discard`].
const DISCARD_MAX_BYTES: usize = 8 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// A body that has arrived.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    /// SHA-256 of the bytes as they were sent: without their chunks' framing, and not decompressed.
    pub(super) sha256: [u8; 32],
}

/// Receives a body of at most `max_bytes`. Trailers are dropped: the token does not cover them.
///
/// # Errors
/// [`Refusal::BodyTooLarge`], before a byte is read where the length was announced; [`Refusal::BodyTimeout`];
/// [`Refusal::MalformedRequest`] where it breaks off.
pub(super) async fn receive(body: &mut Incoming, max_bytes: usize) -> Result<Received, Refusal> {
    if body.is_end_stream() {
        return Ok(Received { bytes: Bytes::new(), sha256: finish(Context::new(&SHA256)) });
    }
    if body.size_hint().lower() > max_bytes as u64 {
        return Err(Refusal::BodyTooLarge { max_bytes });
    }
    let mut collecting = pin!(collect(body, max_bytes));
    // Most bodies are there by now, and need no timer.
    match (&mut collecting).now_or_never() {
        Some(received) => received,
        None => timeout(BODY_TIMEOUT, collecting).await.unwrap_or(Err(Refusal::BodyTimeout)),
    }
}

async fn collect(body: &mut Incoming, max_bytes: usize) -> Result<Received, Refusal> {
    let mut hash = Context::new(&SHA256);
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::from(MalformedRequest::Body))?.into_data() else { continue };
        if first.len() + whole.len() + data.len() > max_bytes {
            return Err(Refusal::BodyTooLarge { max_bytes });
        }
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
    Ok(Received { bytes, sha256: finish(hash) })
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
