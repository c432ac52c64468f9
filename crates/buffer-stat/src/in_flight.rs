//! What was taken from the sums and is not settled: by key, for whoever asks what is outstanding.

use hashbrown::HashTable;

use crate::caught::{caught, drop_caught};
use crate::count::Count;

/// The deltas on their way, by key.
pub(crate) struct InFlight<K> {
    keys: HashTable<Key<K>>,
    /// The counts that are not settled. Where it comes to zero `keys` is emptied, whatever it holds then: a sink that took
    /// counts out has left nothing to find them by.
    counts: u64,
}

struct Key<K> {
    hash: u64,
    key: K,
    sum: i128,
    counts: u32,
}

impl<K> InFlight<K> {
    pub(crate) fn new() -> Self {
        Self {
            keys: HashTable::new(),
            counts: 0,
        }
    }

    /// So many counts were settled.
    pub(crate) fn settle(&mut self, counts: usize) {
        self.counts = self.counts.saturating_sub(counts as u64);
        if self.counts == 0 {
            std::mem::take(&mut self.keys).into_iter().for_each(drop_caught);
        }
    }
}

impl<K: Eq + Clone> InFlight<K> {
    /// A count goes on its way.
    pub(crate) fn add(&mut self, hash: u64, count: &Count<K>) {
        self.counts += 1;
        let delta = i128::from(count.delta);
        // A key whose code panics is not shown, and nothing else depends on it.
        let _ = caught(|| {
            if let Some(found) = self
                .keys
                .find_mut(hash, |other| other.hash == hash && other.key == count.key)
            {
                found.sum += delta;
                found.counts += 1;
                return;
            }
            let key = Key {
                hash,
                key: count.key.clone(),
                sum: delta,
                counts: 1,
            };
            self.keys.insert_unique(hash, key, |key| key.hash);
        });
    }

    /// A count is on its way no more.
    pub(crate) fn remove(&mut self, hash: u64, count: &Count<K>) {
        let _ = caught(|| {
            let Ok(mut found) = self
                .keys
                .find_entry(hash, |other| other.hash == hash && other.key == count.key)
            else {
                return;
            };
            let Key { sum, counts, .. } = found.get_mut();
            *sum -= i128::from(count.delta);
            *counts -= 1;
            if *counts == 0 {
                found.remove();
            }
        });
    }

    /// Whether something of a key is on its way.
    pub(crate) fn has(&self, hash: u64, key: &K) -> bool {
        // A key whose comparison panics is like no other.
        let found = caught(|| {
            self.keys
                .find(hash, |other| other.hash == hash && other.key == *key)
        });
        matches!(found, Some(Some(_)))
    }

    /// What is on its way of one key.
    pub(crate) fn sum(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> i128 {
        let found = self
            .keys
            .find(hash, |other| other.hash == hash && is_key(&other.key));
        found.map_or(0, |found| found.sum)
    }
}
