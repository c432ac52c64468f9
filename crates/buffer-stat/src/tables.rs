//! The tables of all partitions, and which of them a thread adds to.

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};

use buffer_core::Router;
use crossbeam_utils::CachePadded;

use crate::max_keys::Places;
use crate::sync::{AtomicUsize, HomeGuard, HomeLock, Ordering::Relaxed, SPINS, spin_loop};
use crate::table::Table;

/// A table for each partition.
pub(crate) struct Tables<K> {
    router: Router,
    tables: Box<[CachePadded<HomeLock<Table<K>>>]>,
    /// How many visitors hold a table's lock, or are about to. They do not add to it as its threads do.
    visits: AtomicUsize,
}

impl<K: Eq + Clone> Tables<K> {
    pub(crate) fn new(partitions: NonZeroUsize) -> Self {
        let table = || CachePadded::new(HomeLock::new(Table::new()));
        Self {
            router: Router::new(partitions),
            tables: (0..partitions.get()).map(|_| table()).collect(),
            visits: AtomicUsize::new(0),
        }
    }

    /// A visitor for each table.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Visitor<'_, K>> {
        (0..self.tables.len()).map(|index| self.visitor(index))
    }

    /// A visitor for the thread's home table.
    pub(crate) fn home(&self) -> Visitor<'_, K> {
        self.visitor(self.router.home())
    }

    fn visitor(&self, index: usize) -> Visitor<'_, K> {
        Visitor {
            table: self.at(index),
            visits: &self.visits,
        }
    }

    #[inline]
    pub(crate) fn at(&self, index: usize) -> &HomeLock<Table<K>> {
        &self.tables[index]
    }

    /// The thread's home table, or the next that is not locked. While there are no places for its keys elsewhere, the thread waits at
    /// home.
    #[inline]
    pub(crate) fn free(&self, places: &Places<K>) -> HomeGuard<'_, Table<K>> {
        let home = self.at(self.router.home());
        home.try_lock().unwrap_or_else(|| self.elsewhere(home, places))
    }

    #[cold]
    fn elsewhere<'a>(&'a self, home: &'a HomeLock<Table<K>>, places: &Places<K>) -> HomeGuard<'a, Table<K>> {
        let others = || self.router.order().skip(1);
        // Relaxed: missing a visit costs a move, and seeing one that is over costs a few looks.
        if self.visits.load(Relaxed) == 0 && places.has_more() {
            // Another thread lives here, and the two would meet again and again.
            let moved = others().find_map(|index| {
                let free = self.at(index).try_lock()?;
                self.router.move_home(index);
                Some(free)
            });
            if let Some(free) = moved {
                return free;
            }
        }
        // Whoever holds it is about to leave, a take included; and elsewhere the key may be new.
        let soon = || {
            spin_loop();
            home.try_lock()
        };
        if let Some(free) = (0..SPINS).find_map(|_| soon()) {
            return free;
        }
        if !places.has_more() {
            // Elsewhere a key that is known here might find no place.
            return home.lock();
        }
        let free = others().find_map(|index| self.at(index).try_lock());
        free.unwrap_or_else(|| home.lock())
    }
}

/// Locks a table for something else than its threads do, so that none of them moves away because of it.
pub(crate) struct Visitor<'a, K> {
    table: &'a HomeLock<Table<K>>,
    visits: &'a AtomicUsize,
}

impl<'a, K> Visitor<'a, K> {
    pub(crate) fn lock(&self) -> Visit<'a, K> {
        // Relaxed, as where it is read.
        self.visits.fetch_add(1, Relaxed);
        let end = EndOfVisit(self.visits);
        Visit {
            table: self.table.lock_first(),
            _end: end,
        }
    }
}

/// A table that is visited.
pub(crate) struct Visit<'a, K> {
    // Dropped first, so that the table is unlocked before the visit ends.
    table: HomeGuard<'a, Table<K>>,
    _end: EndOfVisit<'a>,
}

struct EndOfVisit<'a>(&'a AtomicUsize);

impl<K> Deref for Visit<'_, K> {
    type Target = Table<K>;

    fn deref(&self) -> &Table<K> {
        &self.table
    }
}

impl<K> DerefMut for Visit<'_, K> {
    fn deref_mut(&mut self) -> &mut Table<K> {
        &mut self.table
    }
}

impl Drop for EndOfVisit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use super::*;
    use crate::max_keys::MaxKeys;

    fn tables(partitions: usize) -> Tables<u32> {
        Tables::new(NonZeroUsize::new(partitions).expect("not zero"))
    }

    fn places() -> Places<u32> {
        Places::new(usize::MAX, MaxKeys::FlushEarly)
    }

    /// The index of the thread's home table.
    fn home(tables: &Tables<u32>) -> usize {
        tables.router.home()
    }

    #[test]
    fn a_thread_that_meets_another_at_home_moves() {
        let tables = tables(2);
        let before = home(&tables);
        let other = tables.at(before).lock();
        drop(tables.free(&places()));
        drop(other);
        assert_ne!(home(&tables), before);
    }

    #[test]
    fn a_thread_does_not_move_for_a_visit() {
        let tables = tables(2);
        let before = home(&tables);
        let visit = tables.home().lock();
        drop(tables.free(&places()));
        drop(visit);
        assert_eq!(home(&tables), before);
        assert_eq!(tables.visits.load(Relaxed), 0);
    }
}
