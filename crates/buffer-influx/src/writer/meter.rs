//! Counts what a writer's sink does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use buffer_core::{Batch, Flush, FlushError, async_trait};

use crate::line::Line;

/// The counts. Relaxed throughout: each is a number of its own and publishes nothing.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) writes: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// A sink whose calls are counted.
pub(crate) struct Metered<S> {
    pub(crate) sink: S,
    pub(crate) meter: Arc<Meter>,
}

#[async_trait]
impl<S: Flush<Line>> Flush<Line> for Metered<S> {
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        let bytes: usize = batch.iter().map(|line| line.as_bytes().len() + 1).sum();
        self.meter.writes.fetch_add(1, Relaxed);
        let mut attempt = Attempt {
            meter: &self.meter,
            failed: true,
        };
        self.sink.flush(batch).await?;
        attempt.failed = false;
        self.meter.bytes.fetch_add(bytes as u64, Relaxed);
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.sink.close().await
    }
}

/// One call. It counts as failed unless it says that it has not, because a time-out drops it without a word.
struct Attempt<'a> {
    meter: &'a Meter,
    failed: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.meter.errors.fetch_add(u64::from(self.failed), Relaxed);
    }
}
