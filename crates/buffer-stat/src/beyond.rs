//! The parts of sums that left the range of `i64`: there are few of those.

use hashbrown::HashTable;

use crate::caught::{caught, drop_caught};
use crate::taken::Taken;

/// The parts of sums that do not fit into their entries.
pub(crate) struct Beyond<K>(HashTable<Taken<K>>);

impl<K: Eq> Beyond<K> {
    pub(crate) fn new() -> Self {
        Self(HashTable::new())
    }

    /// Adds to the key's part.
    pub(crate) fn add(&mut self, taken: Taken<K>) {
        // A comparison that panics must not cost a sum: the key then has two parts.
        let found = caught(|| {
            let is_key = |other: &Taken<K>| other.hash == taken.hash && other.key == taken.key;
            let found = self.0.find_mut(taken.hash, is_key);
            found.map(|found| found.sum += taken.sum).is_some()
        });
        match found {
            Some(true) => drop_caught(taken.key),
            Some(false) | None => drop(self.0.insert_unique(taken.hash, taken, |taken| taken.hash)),
        }
    }

    /// The sum of the key's parts.
    pub(crate) fn sum(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> i128 {
        if self.0.is_empty() {
            return 0;
        }
        let of_key = self.0.iter_hash(hash);
        let of_key = of_key.filter(|taken| taken.hash == hash && is_key(&taken.key));
        of_key.map(|taken| taken.sum).sum()
    }

    /// Takes the parts of all keys.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Taken<K>> + use<K> {
        std::mem::replace(&mut self.0, HashTable::new()).into_iter()
    }

    /// Takes a part of the key.
    pub(crate) fn take_key(&mut self, hash: u64, key: &K) -> Option<Taken<K>> {
        let is_key = |other: &Taken<K>| other.hash == hash && other.key == *key;
        self.0.find_entry(hash, is_key).ok().map(|found| found.remove().0)
    }
}
