//! Counts and sums what arrives, so that no contender can leave anything out.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use buffer_core::{Batch, Flush, FlushError, async_trait};

/// Hands a batch over once it is whole, as who writes batches does: what comes out of a channel is as much as there is just then.
pub fn add_if_whole<T>(batch: &mut Vec<T>, size: usize, add: impl FnOnce(&[T])) {
    if batch.len() >= size {
        add(batch);
        batch.clear();
    }
}

/// A sink that only adds up.
#[derive(Debug, Default)]
pub struct Total {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Total {
    /// Adds what has arrived.
    pub fn add(&self, items: &[u64]) {
        // Relaxed: read after whoever adds was joined or awaited.
        self.count.fetch_add(items.len() as u64, Relaxed);
        self.sum.fetch_add(items.iter().sum(), Relaxed);
    }

    /// How many have arrived by now.
    pub fn arrived(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Panics unless all of `0..items` arrived.
    pub fn check(&self, items: u64) {
        assert_eq!(self.count.load(Relaxed), items);
        assert_eq!(self.sum.load(Relaxed), items * items.saturating_sub(1) / 2);
    }
}

#[async_trait]
impl Flush<u64> for Total {
    async fn flush(&self, batch: &mut Batch<u64>) -> Result<(), FlushError> {
        self.add(batch);
        Ok(())
    }
}
