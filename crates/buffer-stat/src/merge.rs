//! Merges what was taken from several tables. No lock is held while it compares keys.

use hashbrown::HashTable;

use crate::caught::{caught, drop_caught};
use crate::table::Taken;

/// What was taken from the tables, merged by key.
pub(crate) fn merged<K: Eq>(taken: impl Iterator<Item = Vec<Taken<K>>>) -> Vec<Taken<K>> {
    let mut all: Vec<Vec<Taken<K>>> = taken.filter(|taken| !taken.is_empty()).collect();
    if all.len() <= 1 {
        return all.pop().unwrap_or_default();
    }
    let mut merged = HashTable::with_capacity(all[0].len());
    for taken in all.into_iter().flatten() {
        merge(&mut merged, taken);
    }
    merged.into_iter().collect()
}

fn merge<K: Eq>(into: &mut HashTable<Taken<K>>, taken: Taken<K>) {
    // A comparison that panics must not cost a sum: the key then stands twice.
    let found = caught(|| {
        let found = into.find_mut(taken.hash, |other| {
            other.hash == taken.hash && other.key == taken.key
        });
        found.map(|found| found.sum += taken.sum).is_some()
    });
    match found {
        Some(true) => drop_caught(taken.key),
        Some(false) | None => drop(into.insert_unique(taken.hash, taken, |taken| taken.hash)),
    }
}
