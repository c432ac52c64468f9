//! The handle's flushes: of all keys and of one, with a wait and without.

use std::borrow::Borrow;
use std::hash::Hash;

use buffer_core::{FlushReport, Ledger};

use crate::stat_buffer::StatBuffer;
use crate::turn::Turn;
use crate::windows::HandedOver;

impl<K: Hash + Eq + Clone + Send + 'static> StatBuffer<K> {
    /// Ends the window and waits until its counts are settled; says what became of them, and of all else that was settled
    /// meanwhile.
    ///
    /// In an outage it waits. Where the sink certainly did not write counts, and their retries are spent, they go back to be
    /// summed on: they are in the report as returned, and the flush ends.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was handed over is flushed, the rest goes on summing.
    pub async fn flush(&self) -> FlushReport {
        self.flush_since(&self.ledger(), Turn::Now).await
    }

    /// Flushes the sum of one key, and begins a fresh window for it: its next increment is flushed an interval after that one,
    /// and not when the running window ends.
    ///
    /// The report has other keys' counts in it that were settled meanwhile.
    ///
    /// # Panics
    ///
    /// When the key's `Hash` or `ToOwned` does; the sums stay as they were.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](StatBuffer::flush).
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Flush, FlushError, async_trait};
    /// # use buffer_stat::{Count, StatBuffer};
    /// # struct Database;
    /// # #[async_trait]
    /// # impl Flush<Count<String>> for Database {
    /// #     async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let views = StatBuffer::builder().build(Database)?;
    /// views.increment("/index.html", 2)?;
    /// views.increment("/about.html", 1)?;
    /// assert_eq!(views.flush_key("/index.html").await.delivered, 1);
    /// assert_eq!((views.count("/index.html"), views.count("/about.html")), (0, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn flush_key<Q>(&self, key: &Q) -> FlushReport
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        // Before the key's count is on its way: it may be settled at once.
        let before = self.ledger();
        loop {
            let spared = self.counters.windows.turn_key(key);
            let report = self.flush_since(&before, Turn::Not).await;
            if !spared || self.ends(&report) {
                return report;
            }
        }
    }

    /// Ends the window as `turn` says, and waits until all is settled that was handed over; says what was settled since `before`.
    async fn flush_since(&self, before: &Ledger, mut turn: Turn) -> FlushReport {
        let buffer = &self.counters.buffer;
        loop {
            let HandedOver { turned, spared, rest } = self.counters.hand_over(turn);
            if turned && !spared {
                turn = Turn::Not;
            }
            buffer.flush().await;
            // The driver hands the rest on, too, and what became of that is in no single flush.
            let report = buffer.ledger().since(before);
            if self.ends(&report) || (!rest && turn == Turn::Not) {
                return report;
            }
        }
    }

    /// Whether to flush more would be in vain: the counters are closed, or counts have gone back.
    fn ends(&self, report: &FlushReport) -> bool {
        self.counters.buffer.is_closed() || report.returned > 0
    }

    /// Ends the window without waiting for its counts. What is more than a batch for each partition follows as those are settled.
    pub fn request_flush(&self) {
        self.counters.hand_over(Turn::Now);
    }
}
