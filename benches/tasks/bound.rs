//! What remains when everything but the batching is left out: each worker thread has a vector of its own, under a lock because tasks
//! move between threads, and sends it off when it is full.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;

/// The vectors that are being filled, and the way of the full ones.
pub(crate) struct Bound {
    homes: Box<[CachePadded<Mutex<Vec<u64>>>]>,
    batch: usize,
    sender: Sender<Vec<u64>>,
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Relaxed: only uniqueness matters.
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);
}

impl Bound {
    pub(crate) fn new(threads: usize, batch: usize, sender: Sender<Vec<u64>>) -> Self {
        let home = || CachePadded::new(Mutex::new(Vec::with_capacity(batch)));
        Self {
            homes: (0..threads).map(|_| home()).collect(),
            batch,
            sender,
        }
    }

    pub(crate) async fn insert(&self, item: u64) {
        let Some(full) = self.join(item) else { return };
        // Waits while there is no room, and blocks no thread.
        self.sender.send(full).await.expect("the other side lives");
    }

    #[inline]
    fn join(&self, item: u64) -> Option<Vec<u64>> {
        let mut open = self.homes[THREAD.with(|thread| *thread) % self.homes.len()].lock();
        open.push(item);
        let is_full = open.len() == self.batch;
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
