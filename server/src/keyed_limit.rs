//! A concurrency limit per key: connections per address, requests per user.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts the places that each key holds, up to a maximum per key.
#[derive(Debug)]
pub struct KeyedLimit<K: Copy + Eq + Hash> {
    max: usize,
    held: Mutex<HashMap<K, usize>>,
}

/// A place held by a key. It is released when this is dropped.
#[derive(Debug)]
pub struct KeyedPlace<K: Copy + Eq + Hash> {
    limit: Arc<KeyedLimit<K>>,
    key: K,
}

impl<K: Copy + Eq + Hash> KeyedLimit<K> {
    /// Creates a limit of `max` places for each key.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, held: Mutex::default() })
    }

    /// Acquires a place for `key`. Returns `None` if the key holds the maximum already.
    pub fn enter(self: &Arc<Self>, key: K) -> Option<KeyedPlace<K>> {
        let mut held = self.lock();
        let count = held.entry(key).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(KeyedPlace { limit: self.clone(), key })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // Each count is correct at all times, so a poisoned lock is usable.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Drop for KeyedPlace<K> {
    fn drop(&mut self) {
        let mut held = self.limit.lock();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_places_and_releases_them() {
        let limit = KeyedLimit::new(2);
        let held = [limit.enter('a'), limit.enter('a')];
        assert!(held.iter().all(Option::is_some));
        assert!(limit.enter('a').is_none());
        assert!(limit.enter('b').is_some());
        drop(held);
        assert!(limit.enter('a').is_some());
        assert!(limit.lock().is_empty(), "no entry is left behind");
    }
}
