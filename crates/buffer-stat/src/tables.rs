//! The tables of all partitions, and which of them a thread adds to.

use std::num::NonZeroUsize;

use buffer_core::Router;
use crossbeam_utils::CachePadded;

use crate::sync::{Mutex, MutexGuard, SPINS, spin_loop};
use crate::table::Table;

/// A table for each partition.
pub(crate) struct Tables<K> {
    router: Router,
    tables: Box<[CachePadded<Mutex<Table<K>>>]>,
}

impl<K: Eq + Clone> Tables<K> {
    pub(crate) fn new(partitions: NonZeroUsize) -> Self {
        let table = || CachePadded::new(Mutex::new(Table::new()));
        Self {
            router: Router::new(partitions),
            tables: (0..partitions.get()).map(|_| table()).collect(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mutex<Table<K>>> {
        self.tables.iter().map(|table| &**table)
    }

    /// The table at which the thread is at home.
    #[inline]
    pub(crate) fn home(&self) -> &Mutex<Table<K>> {
        &self.tables[self.router.home()]
    }

    /// The table at home, or the next that is not locked.
    #[inline]
    pub(crate) fn free(&self) -> MutexGuard<'_, Table<K>> {
        let home = self.home();
        home.try_lock().unwrap_or_else(|| self.elsewhere(home))
    }

    #[cold]
    fn elsewhere<'a>(&'a self, home: &'a Mutex<Table<K>>) -> MutexGuard<'a, Table<K>> {
        // Who has it is about to leave, a take included; and elsewhere the key may be new.
        let soon = || {
            spin_loop();
            home.try_lock()
        };
        let free = (0..SPINS).find_map(|_| soon());
        let mut others = self.router.order().skip(1);
        let free = free.or_else(|| others.find_map(|index| self.tables[index].try_lock()));
        free.unwrap_or_else(|| home.lock())
    }
}
