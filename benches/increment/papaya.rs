//! papaya, a map that is read without locks.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use foldhash::fast::RandomState;

use crate::contenders::{Counter, Pairs, count};

/// Sums are atomics: what is in the map can't be borrowed for a change.
#[derive(Default)]
pub(crate) struct Papaya {
    map: papaya::HashMap<String, AtomicI64, RandomState>,
    taken: AtomicI64,
}

impl Counter for Papaya {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            let map = self.map.pin();
            match map.get(*key) {
                Some(sum) => sum.fetch_add(1, Relaxed),
                None => map
                    .get_or_insert_with((*key).to_owned(), AtomicI64::default)
                    .fetch_add(1, Relaxed),
            };
        }
    }

    /// The keys stay, as with ours.
    fn take(&self) {
        let map = self.map.pin();
        let sums = map.iter().map(|(key, sum)| (key, sum.swap(0, Relaxed)));
        let pairs: Pairs = sums
            .filter(|(_, sum)| *sum != 0)
            .map(|(key, sum)| (key.clone(), sum))
            .collect();
        self.taken.fetch_add(count(&pairs), Relaxed);
    }

    fn total(&self) -> i64 {
        self.take();
        self.taken.load(Relaxed)
    }
}
