//! Random numbers, from the operating system's generator by way of aws-lc.

use domain::time::Timestamp;
use uuid::{Builder, Uuid};

/// Fills `bytes`.
///
/// # Panics
/// Where the operating system has no randomness to give: nothing safe can be done then.
pub fn fill(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
}

/// `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A new id: UUID v7 (RFC 9562, 5.7) at `now`.
pub fn uuid(now: Timestamp) -> Uuid {
    let millis = now.as_millis().try_into().unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &bytes()).into_uuid()
}
