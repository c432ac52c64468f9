//! The sums of the running window: one table of keys for each partition, merged when they are taken.
//!
//! Invariants
//! 1. All tables hash with one hasher and keep the hash, so merging compares keys but hashes none.
//! 2. Taking the sums for the last time closes each table under its lock: an increment is in what was taken or is refused.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroUsize;

use hashbrown::DefaultHashBuilder;

use crate::caught::{caught, drop_caught};
use crate::changes::Changes;
use crate::error::{IncrementError, IncrementManyError};
use crate::marked::unmarked;
use crate::max_keys::{MaxKeys, NoPlace, Places};
use crate::sync::Ordering::Relaxed;
use crate::table::{Added, Table};
use crate::tables::{Tables, Visitor};
use crate::take::{BUCKETS_AT_ONCE, Progress, Spare};
use crate::taken::{Left, Taken};

/// The sums of all partitions.
pub(crate) struct Sums<K> {
    pub(crate) tables: Tables<K>,
    hasher: DefaultHashBuilder,
    pub(crate) places: Places<K>,
}

/// How many increments of [`Sums::add_many`] are hashed before a lock is taken.
const HASHED_AT_ONCE: usize = 64;

impl<K: Hash + Eq + Clone> Sums<K> {
    pub(crate) fn new(partitions: NonZeroUsize, places: Places<K>) -> Self {
        Self {
            tables: Tables::new(partitions),
            hasher: DefaultHashBuilder::default(),
            places,
        }
    }

    /// Adds to a key's sum in the thread's home table, or in the next table that is not locked.
    #[inline]
    pub(crate) fn add<Q>(&self, key: &Q, n: i64) -> Result<Changes, IncrementError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash(key);
        self.add_to(&mut self.tables.free(&self.places), hash, key, n)
    }

    /// Adds to several sums, with few locks. `all` has what that changed even if a key's code panics midway.
    pub(crate) fn add_many<Q>(
        &self,
        increments: &[(&Q, i64)],
        all: &mut Changes,
    ) -> Result<(), IncrementManyError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut counted = 0;
        for chunk in increments.chunks(HASHED_AT_ONCE) {
            let mut hashes = [0; HASHED_AT_ONCE];
            for (hash, (key, _)) in hashes.iter_mut().zip(chunk) {
                *hash = self.hash(*key);
            }
            let mut table = self.tables.free(&self.places);
            for (hash, (key, n)) in hashes.into_iter().zip(chunk) {
                match self.add_to(&mut table, hash, *key, *n) {
                    Ok(changes) => all.add(changes),
                    Err(error) => return Err(IncrementManyError { counted, error }),
                }
                counted += 1;
            }
        }
        Ok(())
    }

    /// Adds in this table.
    #[inline]
    pub(crate) fn add_to<Q>(
        &self,
        table: &mut Table<K>,
        hash: u64,
        key: &Q,
        n: i64,
    ) -> Result<Changes, IncrementError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match table.add(hash, |other| other.borrow() == key, n) {
            Some(Added::Sum) => Ok(Changes::default()),
            Some(added) => Ok(added.into()),
            None => self.add_new(table, hash, key, n),
        }
    }

    /// Adds to the sum of a key that is new in a table.
    #[cold]
    fn add_new<Q>(&self, table: &mut Table<K>, hash: u64, key: &Q, n: i64) -> Result<Changes, IncrementError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if table.closed {
            return Err(IncrementError::Closed);
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
                let hash = self.hash(overflow);
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

    /// Adds back sums that were taken before; closed tables keep them beyond their entries.
    pub(crate) fn add_back(&self, sums: impl IntoIterator<Item = Taken<K>>) -> Changes {
        self.add_back_to(&self.tables.home(), sums)
    }

    fn add_back_to(&self, table: &Visitor<'_, K>, sums: impl IntoIterator<Item = Taken<K>>) -> Changes {
        let mut changes = Changes::default();
        let mut sums = sums.into_iter().peekable();
        while sums.peek().is_some() {
            // Some at a time: an increment waits no longer than for a take.
            let mut table = table.lock();
            for taken in sums.by_ref().take(BUCKETS_AT_ONCE) {
                changes.add(table.add_back(taken, &self.places).into());
            }
        }
        changes
    }

    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        unmarked(self.hasher.hash_one(key))
    }

    /// The key's sum.
    pub(crate) fn sum<Q>(&self, key: &Q) -> i128
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
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
        for table in self.tables.iter() {
            table.lock().forget_idle(&self.places);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tables.home().lock().closed
    }

    /// Hands the sums that changed to `each`; a key comes once for each table it is in. Keys keep their places for the next
    /// increment, and what `each` hands back goes where its key has its place. No lock is held while `each` runs. Says what was left.
    pub(crate) fn take(&self, spare: Spare, mut each: impl FnMut(Taken<K>) -> Option<Taken<K>>) -> Left {
        let mut taken = Vec::new();
        let mut left = Left::default();
        for table in self.tables.iter() {
            let mut progress = Progress::new(spare);
            let mut refused = Vec::new();
            let mut more = true;
            while more {
                more = table.lock().take_some(&mut progress, &self.places, &mut taken);
                refused.extend(taken.drain(..).filter_map(&mut each));
            }
            left.fresh |= progress.spares_sums;
            left.uncloned |= progress.leaves_sums;
            left.refused |= !refused.is_empty();
            self.add_back_to(&table, refused);
        }
        left
    }

    /// Hands all sums to `each`, and frees the places of their keys, except of those that it hands back.
    pub(crate) fn take_all(&self, mut each: impl FnMut(Taken<K>) -> Option<Taken<K>>) -> Left {
        let mut left = Left::default();
        for table in self.tables.iter() {
            let taken = table.lock().take_all(&self.places);
            let refused: Vec<_> = taken.into_iter().filter_map(&mut each).collect();
            left.refused |= !refused.is_empty();
            self.add_back_to(&table, refused);
        }
        left
    }

    /// Hands all sums to `each`, and refuses increments from then on.
    pub(crate) fn take_last(&self, mut each: impl FnMut(Taken<K>)) {
        for table in self.tables.iter() {
            // By invariant 2, both under one lock.
            let mut table = table.lock();
            table.closed = true;
            let taken = table.take_all(&self.places);
            drop(table);
            taken.into_iter().for_each(&mut each);
        }
    }

    /// Takes one key's sum; what is added to it from now on belongs to a window of its own.
    pub(crate) fn take_key(&self, hash: u64, key: &K) -> Option<Taken<K>> {
        // A comparison that panics must not cost what was taken from the tables before.
        let take =
            |table: Visitor<'_, K>| caught(|| table.lock().take_key(hash, key, &self.places)).flatten();
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
    use std::collections::BTreeMap;
    use std::sync::Barrier;

    use super::*;

    fn sums(partitions: usize) -> Sums<String> {
        let partitions = NonZeroUsize::new(partitions).expect("not zero");
        Sums::new(partitions, Places::new(usize::MAX, MaxKeys::FlushEarly))
    }

    fn take(sums: &Sums<String>) -> Vec<(String, i128)> {
        let mut merged = BTreeMap::new();
        sums.take(Spare::Fresh, |taken| {
            *merged.entry(taken.key).or_default() += taken.sum;
            None
        });
        merged.into_iter().collect()
    }

    #[test]
    fn no_increment_of_any_thread_is_missing() {
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
        let mut taken = Vec::new();
        sums.take(Spare::Fresh, |sum| {
            taken.push(sum);
            None
        });
        sums.add("a", 3).expect("open");
        sums.add_back(taken);
        assert_eq!(take(&sums), [("a".to_owned(), 5)]);
    }

    /// Fails when `take` moves the keys out, and when `forget_idle` keeps them.
    #[test]
    fn a_busy_key_keeps_its_place_and_an_idle_one_loses_it_after_a_window() {
        let sums = sums(1);
        let entries = || sums.keys();
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

    /// A collision must not send it where its keys have no places, however long it lasts: the broken copies
    /// `a_move_to_where_keys_have_no_places` and `a_wait_that_ends_where_keys_have_no_places`.
    #[test]
    fn a_thread_keeps_to_its_known_keys_where_there_are_no_places_for_others() {
        let partitions = NonZeroUsize::new(2).expect("not zero");
        let sums = Sums::new(partitions, Places::new(1, MaxKeys::Refuse));
        let (known, locked) = (Barrier::new(2), Barrier::new(2));
        let again = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                sums.add("a", 1).expect("there is a place");
                known.wait();
                locked.wait();
                sums.add("a", 1)
            });
            known.wait();
            let home = (0..2).find(|index| sums.tables.at(*index).lock().keys() == 1);
            let other = sums.tables.at(home.expect("one has the key")).lock();
            locked.wait();
            // Long enough for any number of looks.
            for _ in 0..10_000 {
                std::thread::yield_now();
            }
            drop(other);
            thread.join().expect("no panic")
        });
        assert!(again.is_ok());
        assert_eq!(sums.sum("a"), 2);
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
                sums.take_last(|last| taken += last.sum);
                let added = producers.into_iter();
                let added = added.map(|producer| producer.join().expect("no panic"));
                (added.sum::<i128>(), taken)
            });
            assert_eq!(added, taken);
        }
    }
}
