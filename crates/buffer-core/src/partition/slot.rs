//! The bounded slot through which items that overflowed go to the dead-letter sink.

use tokio::time::Instant;

use crate::caught::drop_each_caught;
use crate::sync::{AtomicUsize, Notify, Ordering, Queue};

/// Takes what inserting threads drop, for the one task that buries it: at most `most` items at a time.
pub(crate) struct Slot<T> {
    queue: Queue<Letters<T>>,
    /// The number of items that are in the queue or have a place in it.
    places: AtomicUsize,
    most: usize,
    filled: Notify,
}

/// Items that were dropped together.
pub(crate) struct Letters<T> {
    pub(crate) items: Vec<T>,
    pub(crate) bytes: u64,
    pub(crate) opened: Instant,
}

impl<T> Slot<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            queue: Queue::new(),
            places: AtomicUsize::new(0),
            most,
            filled: Notify::new(),
        }
    }

    /// Takes as many of `items` places as are free; says how many. A `fill` is to follow.
    pub(crate) fn reserve(&self, items: usize) -> usize {
        let mut reserved = 0;
        // Relaxed: the number alone is what is agreed on; the queue publishes the items. Never an error, as it never says no.
        let _ = self
            .places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
                reserved = items.min(self.most - places);
                Some(places + reserved)
            });
        reserved
    }

    /// Takes `items` places, if that many are free.
    pub(crate) fn reserve_all(&self, items: usize) -> bool {
        // Relaxed: as in `reserve`.
        let reserved = self
            .places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
                places.checked_add(items).filter(|places| *places <= self.most)
            });
        reserved.is_ok()
    }

    /// Whether nothing is in it, and nothing on its way.
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: whoever fills it wakes up whoever looks, and the wake-up publishes.
        self.places.load(Ordering::Relaxed) == 0
    }

    /// Wakes up whoever waits at it.
    pub(crate) fn poke(&self) {
        self.filled.notify_one();
    }

    /// Fills a place that was reserved.
    pub(crate) fn fill(&self, letters: Letters<T>) {
        self.queue.push(letters);
        self.poke();
    }

    /// Takes everything out, and frees its places.
    pub(crate) fn take(&self) -> Option<Letters<T>> {
        let mut all = self.queue.pop()?;
        while let Some(mut letters) = self.queue.pop() {
            all.items.append(&mut letters.items);
            all.bytes = all.bytes.saturating_add(letters.bytes);
        }
        // Relaxed: as in `reserve`.
        self.places.fetch_sub(all.items.len(), Ordering::Relaxed);
        Some(all)
    }

    /// Sleeps until it was filled or poked.
    ///
    /// # Cancel safety
    ///
    /// Safe: a filling that nobody saw is seen by the next call.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        // Only a drain that ran out of time leaves any. Their destructors are user code.
        if let Some(letters) = self.take() {
            drop_each_caught(letters.items);
        }
    }
}
