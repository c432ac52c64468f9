//! What remains when everything but the batching is left out: each producer has a vector of its own, under a lock as it must be if
//! others are to look into it, and sends it off when it is full.

use std::mem;
use std::sync::mpsc::SyncSender;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

/// The vectors that are being filled, one for each producer.
pub(crate) struct Homes {
    homes: Box<[CachePadded<Mutex<Vec<u64>>>]>,
    batch: usize,
}

impl Homes {
    pub(crate) fn new(producers: usize, batch: usize) -> Self {
        let home = || CachePadded::new(Mutex::new(Vec::with_capacity(batch)));
        Self {
            homes: (0..producers).map(|_| home()).collect(),
            batch,
        }
    }

    #[inline]
    pub(crate) fn insert(&self, home: usize, item: u64, sender: &SyncSender<Vec<u64>>) {
        let mut open = self.homes[home].lock();
        open.push(item);
        if open.len() == self.batch {
            let full = mem::replace(&mut *open, Vec::with_capacity(self.batch));
            drop(open);
            sender.send(full).expect("the other side lives");
        }
    }

    /// What no longer fills a vector.
    pub(crate) fn rest(&self) -> Vec<u64> {
        self.homes
            .iter()
            .flat_map(|home| mem::take(&mut *home.lock()))
            .collect()
    }
}
