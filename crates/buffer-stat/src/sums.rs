//! The sums of the running window: one table of keys for each partition, merged when they are taken.
//!
//! Invariants
//! 1. All tables hash with one hasher and keep the hash, so that merging compares keys and hashes none.
//! 2. Taking the sums for the last time closes each table under its lock: an increment is in what was taken or is refused.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};

use buffer_core::Router;
use crossbeam_utils::CachePadded;
use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The sums of all partitions.
pub(crate) struct Sums<K> {
    router: Router,
    tables: Box<[CachePadded<Mutex<Table<K>>>]>,
    hasher: DefaultHashBuilder,
    /// Wakes the driver: a window has begun, or the tables were closed.
    pub(crate) wake: Notify,
}

struct Table<K> {
    entries: HashTable<Entry<K>>,
    closed: bool,
}

/// The sum of one key. It is wider than what is added, so that it can't overflow: that would take 2^64 increments.
struct Entry<K> {
    hash: u64,
    key: K,
    sum: i128,
}

/// What an increment was added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    ToTable,
    /// The table was empty before, so this may be the begin of a window.
    FirstOfTable,
}

/// The tables are closed.
#[derive(Debug)]
pub(crate) struct TablesClosed;

impl<K: Hash + Eq> Sums<K> {
    pub(crate) fn new(partitions: NonZeroUsize) -> Self {
        let table = || {
            CachePadded::new(Mutex::new(Table {
                entries: HashTable::new(),
                closed: false,
            }))
        };
        Self {
            router: Router::new(partitions),
            tables: (0..partitions.get()).map(|_| table()).collect(),
            hasher: DefaultHashBuilder::default(),
            wake: Notify::new(),
        }
    }

    /// Adds to a key's sum at home, or in the next table that is not locked.
    pub(crate) fn add<Q>(&self, key: &Q, n: i64) -> Result<Added, TablesClosed>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let free = self
            .router
            .order()
            .find_map(|index| self.tables[index].try_lock());
        let mut table = free.unwrap_or_else(|| self.tables[self.router.home()].lock());
        if table.closed {
            return Err(TablesClosed);
        }
        // The key's Eq is user code under the lock, as in every map; if it panics, the table is as it was.
        if let Some(entry) = table.entries.find_mut(hash, |entry| entry.key.borrow() == key) {
            entry.sum += i128::from(n);
            return Ok(Added::ToTable);
        }
        let first = table.entries.is_empty();
        let entry = Entry {
            hash,
            key: key.to_owned(),
            sum: n.into(),
        };
        table.entries.insert_unique(hash, entry, |entry| entry.hash);
        Ok(if first {
            Added::FirstOfTable
        } else {
            Added::ToTable
        })
    }

    /// Adds sums back that were taken before. The tables are open: they are closed by the same caller that takes.
    pub(crate) fn add_back(&self, sums: impl IntoIterator<Item = (K, i128)>) {
        let mut table = self.tables[self.router.home()].lock();
        for (key, sum) in sums {
            let hash = self.hasher.hash_one(&key);
            merge(&mut table.entries, Entry { hash, key, sum });
        }
        drop(table);
        self.wake.notify_one();
    }

    /// The key's sum.
    pub(crate) fn sum<Q>(&self, key: &Q) -> i128
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let in_table = |table: &CachePadded<Mutex<Table<K>>>| {
            let table = table.lock();
            table
                .entries
                .find(hash, |entry| entry.key.borrow() == key)
                .map_or(0, |entry| entry.sum)
        };
        self.tables.iter().map(in_table).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.lock().entries.is_empty())
    }

    /// Gives back the room that the tables keep for the next window.
    pub(crate) fn give_room_back(&self) {
        for table in &self.tables {
            table.lock().entries.shrink_to_fit(|entry| entry.hash);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tables[0].lock().closed
    }

    /// Takes all sums, merged by key.
    pub(crate) fn take(&self) -> impl Iterator<Item = (K, i128)> + use<K> {
        merged(self.take_each(|_| {}))
    }

    /// Takes all sums, merged by key, and refuses increments from then on.
    pub(crate) fn take_last(&self) -> impl Iterator<Item = (K, i128)> + use<K> {
        let last = self.take_each(|table| table.closed = true);
        self.wake.notify_one();
        merged(last)
    }

    fn take_each(&self, also: impl Fn(&mut Table<K>)) -> Vec<HashTable<Entry<K>>> {
        let take = |table: &CachePadded<Mutex<Table<K>>>| {
            let mut table = table.lock();
            also(&mut table);
            // A busy table needs as much room again; what is idle for an interval gives it back.
            let emptied = HashTable::with_capacity(table.entries.len());
            std::mem::replace(&mut table.entries, emptied)
        };
        self.tables.iter().map(take).collect()
    }
}

fn merged<K: Eq>(tables: Vec<HashTable<Entry<K>>>) -> impl Iterator<Item = (K, i128)> {
    let mut tables = tables.into_iter();
    let mut merged = tables.next().unwrap_or_default();
    for entry in tables.flatten() {
        merge(&mut merged, entry);
    }
    pairs(merged)
}

fn pairs<K>(entries: HashTable<Entry<K>>) -> impl Iterator<Item = (K, i128)> {
    entries.into_iter().map(|Entry { hash: _, key, sum }| (key, sum))
}

fn merge<K: Eq>(into: &mut HashTable<Entry<K>>, entry: Entry<K>) {
    // A comparison that panics, which is user code, must not cost a sum: the key then stands twice.
    let found = catch_unwind(AssertUnwindSafe(|| {
        let found = into.find_mut(entry.hash, |other| other.key == entry.key);
        found.map(|found| found.sum += entry.sum).is_some()
    }));
    if !found.unwrap_or(false) {
        into.insert_unique(entry.hash, entry, |entry| entry.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(partitions: usize) -> Sums<String> {
        Sums::new(NonZeroUsize::new(partitions).expect("not zero"))
    }

    fn sorted(sums: impl Iterator<Item = (String, i128)>) -> Vec<(String, i128)> {
        let mut sorted: Vec<_> = sums.collect();
        sorted.sort();
        sorted
    }

    #[test]
    fn sums_of_all_threads_are_merged_by_key() {
        let sums = sums(3);
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let sums = &sums;
                scope.spawn(move || {
                    for number in 0..3_000 {
                        sums.add(if number % 3 == thread % 3 { "a" } else { "b" }, 1)
                            .expect("open");
                    }
                });
            }
        });
        assert_eq!((sums.sum("a"), sums.sum("b"), sums.sum("c")), (6_000, 12_000, 0));
        assert_eq!(
            sorted(sums.take()),
            [("a".to_owned(), 6_000), ("b".to_owned(), 12_000)]
        );
        assert!(sums.is_empty());
    }

    #[test]
    fn a_sum_beyond_64_bits_neither_wraps_nor_saturates() {
        let sums = sums(1);
        for _ in 0..3 {
            sums.add("a", i64::MAX).expect("open");
        }
        assert_eq!(sums.sum("a"), 3 * i128::from(i64::MAX));
    }

    #[test]
    fn what_is_added_back_goes_on_summing() {
        let sums = sums(2);
        sums.add("a", 2).expect("open");
        let taken = sorted(sums.take());
        sums.add("a", 3).expect("open");
        sums.add_back(taken);
        assert_eq!(sorted(sums.take()), [("a".to_owned(), 5)]);
    }

    #[test]
    fn every_increment_is_in_what_was_taken_last_or_refused() {
        for _ in 0..200 {
            let sums = sums(2);
            let added = std::thread::scope(|scope| {
                let producers: Vec<_> = (0..2)
                    .map(|_| scope.spawn(|| (0..).take_while(|_| sums.add("a", 1).is_ok()).count() as i128))
                    .collect();
                let mut taken: i128 = sums.take().map(|(_, sum)| sum).sum();
                taken += sums.take_last().map(|(_, sum)| sum).sum::<i128>();
                let added: i128 = producers
                    .into_iter()
                    .map(|producer| producer.join().expect("no panic"))
                    .sum();
                (added, taken)
            });
            assert_eq!(added.0, added.1);
        }
    }
}
