//! The sums of the running window: one table of keys for each partition, merged when they are taken.
//!
//! Invariants
//! 1. All tables hash with one hasher and keep the hash, so that merging compares keys and hashes none.
//! 2. Taking the sums for the last time closes each table under its lock: an increment is in what was taken or is refused.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;

use buffer_core::Router;
use crossbeam_utils::CachePadded;
use hashbrown::DefaultHashBuilder;

use crate::caught::{caught, drop_caught};
use crate::changes::Changes;
use crate::error::{IncrementError, IncrementManyError};
use crate::max_keys::{MaxKeys, NoPlace, Places};
use crate::merge::merged;
use crate::sync::{Mutex, MutexGuard, Ordering::Relaxed};
use crate::table::{Keep, Spare, Table, Taken};

/// The sums of all partitions.
pub(crate) struct Sums<K> {
    router: Router,
    tables: Box<[CachePadded<Mutex<Table<K>>>]>,
    hasher: DefaultHashBuilder,
    pub(crate) places: Places<K>,
}

/// How many increments of [`Sums::add_many`] are hashed before a lock is taken.
const HASHED_AT_ONCE: usize = 64;

impl<K: Hash + Eq + Clone> Sums<K> {
    pub(crate) fn new(partitions: NonZeroUsize, places: Places<K>) -> Self {
        let table = || CachePadded::new(Mutex::new(Table::new()));
        Self {
            router: Router::new(partitions),
            tables: (0..partitions.get()).map(|_| table()).collect(),
            hasher: DefaultHashBuilder::default(),
            places,
        }
    }

    /// Adds to a key's sum at home, or in the next table that is not locked.
    pub(crate) fn add<Q>(&self, key: &Q, n: i64) -> Result<Changes, IncrementError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        self.add_to(&mut *self.table(), hash, key, n)
    }

    /// Adds to several sums, with few locks.
    pub(crate) fn add_many<Q>(&self, increments: &[(&Q, i64)]) -> (Changes, Result<(), IncrementManyError>)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut all = Changes::default();
        let mut counted = 0;
        for chunk in increments.chunks(HASHED_AT_ONCE) {
            let mut hashes = [0; HASHED_AT_ONCE];
            for (hash, (key, _)) in hashes.iter_mut().zip(chunk) {
                *hash = self.hasher.hash_one(*key);
            }
            let mut table = self.table();
            for (hash, (key, n)) in hashes.into_iter().zip(chunk) {
                match self.add_to(&mut *table, hash, *key, *n) {
                    Ok(changes) => all.add(changes),
                    Err(error) => return (all, Err(IncrementManyError { counted, error })),
                }
                counted += 1;
            }
        }
        (all, Ok(()))
    }

    /// The table at home, or the next that is not locked.
    fn table(&self) -> MutexGuard<'_, Table<K>> {
        let free = self
            .router
            .order()
            .find_map(|index| self.tables[index].try_lock());
        free.unwrap_or_else(|| self.tables[self.router.home()].lock())
    }

    fn add_to<Q>(&self, table: &mut Table<K>, hash: u64, key: &Q, n: i64) -> Result<Changes, IncrementError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if table.closed {
            return Err(IncrementError::Closed);
        }
        let n = i128::from(n);
        if let Some(added) = table.add(hash, |other| other.borrow() == key, n) {
            return Ok(added.into());
        }
        // Cloned before a place is taken: it is user code, and may panic.
        let owned = key.to_owned();
        let Err(NoPlace) = self.places.take() else {
            return Ok(table.insert(hash, owned, n).into());
        };
        // Relaxed: numbers to look at.
        match &*self.places.beyond.lock() {
            MaxKeys::FlushEarly => {
                self.places.take_anyway();
                let changes = Changes::from(table.insert(hash, owned, n));
                Ok(Changes {
                    crowded: true,
                    ..changes
                })
            }
            MaxKeys::FoldInto(overflow) => {
                // Before anything is counted: its destructor is user code.
                drop(owned);
                let hash = self.hasher.hash_one(overflow);
                let added = match table.add(hash, |other| other == overflow, n) {
                    Some(added) => added,
                    None => {
                        let overflow = overflow.clone();
                        self.places.take_anyway();
                        table.insert(hash, overflow, n)
                    }
                };
                self.places.folded.fetch_add(1, Relaxed);
                Ok(added.into())
            }
            MaxKeys::Refuse => {
                drop(owned);
                self.places.refused.fetch_add(1, Relaxed);
                Err(IncrementError::TooManyKeys)
            }
        }
    }

    /// Adds sums back that were taken before. The tables are open: they are closed by the same caller that takes.
    pub(crate) fn add_back(&self, sums: impl IntoIterator<Item = Taken<K>>) {
        let mut table = self.tables[self.router.home()].lock();
        for taken in sums {
            table.add_back(taken, &self.places);
        }
    }

    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The key's sum.
    pub(crate) fn sum<Q>(&self, key: &Q) -> i128
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(key);
        let is_key = |other: &K| other.borrow() == key;
        self.tables
            .iter()
            .map(|table| table.lock().sum(hash, is_key))
            .sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| !table.lock().has_changed())
    }

    /// How many keys have a place, in all tables.
    pub(crate) fn keys(&self) -> u64 {
        self.tables.iter().map(|table| table.lock().keys() as u64).sum()
    }

    /// Forgets the keys that were not incremented since the last take, and gives their room back.
    pub(crate) fn forget_idle(&self) {
        for table in &self.tables {
            table.lock().forget_idle(&self.places);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tables[0].lock().closed
    }

    /// Takes the sums that changed, merged by key.
    pub(crate) fn take(&self, spare: Spare, keep: Keep) -> Vec<Taken<K>> {
        let tables = self.tables.iter();
        merged(tables.map(|table| table.lock().take(spare, keep, &self.places)))
    }

    /// Takes all sums, merged by key, and refuses increments from then on.
    pub(crate) fn take_last(&self) -> Vec<Taken<K>> {
        let tables = self.tables.iter();
        merged(tables.map(|table| {
            let mut table = table.lock();
            table.closed = true;
            table.take_all(&self.places)
        }))
    }

    /// Takes one key's sum; what is added to it from now on belongs to a window of its own.
    pub(crate) fn take_key(&self, hash: u64, key: &K) -> Option<Taken<K>> {
        // A comparison that panics must not cost what was taken from the tables before.
        let take = |table: &CachePadded<Mutex<Table<K>>>| {
            caught(|| table.lock().take_key(hash, key, &self.places)).flatten()
        };
        let taken = self.tables.iter().filter_map(take);
        taken.reduce(|mut sum, other| {
            sum.sum += other.sum;
            drop_caught(other.key);
            sum
        })
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use super::*;

    fn sums(partitions: usize) -> Sums<String> {
        let partitions = NonZeroUsize::new(partitions).expect("not zero");
        Sums::new(partitions, Places::new(usize::MAX, MaxKeys::FlushEarly))
    }

    fn take(sums: &Sums<String>) -> Vec<(String, i128)> {
        let taken = sums.take(Spare::Fresh, Keep::Busy).into_iter();
        let mut sorted: Vec<_> = taken.map(|taken| (taken.key, taken.sum)).collect();
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
        assert_eq!(take(&sums), [("a".to_owned(), 6_000), ("b".to_owned(), 12_000)]);
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
        let taken = sums.take(Spare::Fresh, Keep::Busy);
        sums.add("a", 3).expect("open");
        sums.add_back(taken);
        assert_eq!(take(&sums), [("a".to_owned(), 5)]);
    }

    /// Fails when `take` moves the keys out, and when `forget_idle` keeps them.
    #[test]
    fn a_busy_key_keeps_its_place_and_an_idle_one_loses_it_after_a_window() {
        let sums = sums(1);
        let entries = || sums.tables[0].lock().places_taken();
        for _ in 0..3 {
            sums.add("busy", 1).expect("open");
            take(&sums);
            assert_eq!(entries(), 1);
        }
        sums.add("other", 1).expect("open");
        take(&sums);
        assert_eq!(entries(), 1, "busy was idle for a window");
        sums.forget_idle();
        assert_eq!(entries(), 0);
    }

    #[test]
    fn every_increment_is_in_what_was_taken_last_or_refused() {
        for _ in 0..200 {
            let sums = sums(2);
            let (added, taken) = std::thread::scope(|scope| {
                let producers: Vec<_> = (0..2)
                    .map(|_| scope.spawn(|| (0..).take_while(|_| sums.add("a", 1).is_ok()).count() as i128))
                    .collect();
                let mut taken: i128 = take(&sums).into_iter().map(|(_, sum)| sum).sum();
                taken += sums.take_last().into_iter().map(|taken| taken.sum).sum::<i128>();
                let added = producers.into_iter();
                let added = added.map(|producer| producer.join().expect("no panic"));
                (added.sum::<i128>(), taken)
            });
            assert_eq!(added, taken);
        }
    }
}
