//! The bounded slot through which items that overflowed go to the dead-letter sink.

use tokio::time::Instant;

use crate::sync::{AtomicUsize, Notify, Ordering, Queue};

/// Takes what inserting threads drop, for the one task that buries it: at most `most` items at a time.
pub(crate) struct Slot<T> {
    queue: Queue<Letters<T>>,
    /// The items in the queue and those that have a place in it.
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

    /// Takes a place for `items` items, which a `fill` is to follow; says whether there was one.
    pub(crate) fn reserve(&self, items: usize) -> bool {
        // Relaxed: the number alone is what is agreed on; the queue publishes the items.
        let reserved = self
            .places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |places| {
                places.checked_add(items).filter(|places| *places <= self.most)
            });
        reserved.is_ok()
    }

    /// Fills a place that was reserved.
    pub(crate) fn fill(&self, letters: Letters<T>) {
        self.queue.push(letters);
        self.filled.notify_one();
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

    /// Sleeps until it was filled.
    ///
    /// # Cancel safety
    ///
    /// Safe: a filling that nobody saw is seen by the next call.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }
}
