//! Random numbers from the operating system's generator, through aws-lc.

use domain::time::Timestamp;
use std::cell::RefCell;
use uuid::{Builder, Uuid};

/// Fills `bytes` with random bytes.
///
/// # Panics
/// If the operating system provides no randomness: it is not safe to continue then.
pub fn fill(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
}

/// Returns `N` random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// Random bytes for ids, generated in batches: the generator takes as long for ten bytes as for a hundred, and every
/// request has an id. Ids are not secret, so unused bytes may stay in memory.
struct Supply {
    bytes: [u8; 640],
    used: usize,
}

impl Supply {
    const ID: usize = 10;

    fn next(&mut self) -> [u8; Self::ID] {
        if self.used + Self::ID > self.bytes.len() {
            fill(&mut self.bytes);
            self.used = 0;
        }
        let mut id = [0; Self::ID];
        id.copy_from_slice(&self.bytes[self.used..self.used + Self::ID]);
        self.used += Self::ID;
        id
    }
}

thread_local! {
    static SUPPLY: RefCell<Supply> = const { RefCell::new(Supply { bytes: [0; 640], used: 640 }) };
}

/// Returns a new id: a UUID v7 (RFC 9562, section 5.7) at `now`.
pub fn uuid(now: Timestamp) -> Uuid {
    let millis = now.as_millis().try_into().unwrap_or(0);
    Builder::from_unix_timestamp_millis(millis, &SUPPLY.with_borrow_mut(Supply::next)).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, thread};

    #[test]
    fn ids_differ_within_one_supply_beyond_it_and_between_threads() {
        let draw = || (0..1_000).map(|_| uuid(Timestamp::from_millis(1_800_000_000_000))).collect::<Vec<_>>();
        let other = thread::spawn(draw);
        let ids: HashSet<_> = draw().into_iter().chain(other.join().unwrap()).collect();
        assert_eq!(ids.len(), 2_000);
    }
}
