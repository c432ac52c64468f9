//! What remains when everything but the batching is left out: many items at once go to the end of a vector under a lock, which is
//! sent off when it is full.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

/// The vectors that are being filled, one for each thread.
pub(crate) struct Homes {
    homes: Box<[CachePadded<Mutex<Vec<u64>>>]>,
    batch: usize,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Relaxed: only uniqueness matters.
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);
}

impl Homes {
    pub(crate) fn new(threads: usize, batch: usize) -> Self {
        let home = || CachePadded::new(Mutex::new(Vec::with_capacity(batch)));
        Self {
            homes: (0..threads).map(|_| home()).collect(),
            batch,
        }
    }

    /// Takes all of `items`; hands out the vector that they fill. Parts always fill a vector without a rest here.
    #[inline]
    pub(crate) fn extend(&self, items: &mut Vec<u64>) -> Option<Vec<u64>> {
        let mut open = self.homes[THREAD.with(|thread| *thread) % self.homes.len()].lock();
        open.extend(items.drain(..));
        let is_full = open.len() >= self.batch;
        is_full.then(|| mem::replace(&mut *open, Vec::with_capacity(self.batch)))
    }

    /// What no longer fills a vector.
    pub(crate) fn rest(&self) -> Vec<u64> {
        self.homes
            .iter()
            .flat_map(|home| mem::take(&mut *home.lock()))
            .collect()
    }
}
