//! The handle's flushes: of all keys or of one, waiting or not.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::Hash;
use std::time::Duration;

use buffer_core::{FlushReport, Ledger};
use tokio::time::Instant;

use crate::stat_buffer::StatBuffer;
use crate::turn::Turn;
use crate::windows::KeyTurn;

impl<K: Hash + Eq + Clone + Send + 'static> StatBuffer<K> {
    /// Ends the window and waits until all that was counted before is settled; reports what became of it, and of everything else that
    /// was settled meanwhile. If sums had to wait for earlier counts of their keys, it ends one more window.
    ///
    /// In an outage it waits. Counts that the sink certainly did not write go back into the sums when their retries are spent; the
    /// report has them as returned, and the flush ends. What is left of the window is [`FlushReport::pending`] then, and goes on; sums
    /// that had to wait count as one, if nothing else is left.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was handed over is flushed, the rest stays in the sums.
    pub async fn flush(&self) -> FlushReport {
        self.flush_since(&self.ledger(), Turn::Now, None).await
    }

    /// Like [`flush`](StatBuffer::flush), for at most `limit`. What is not settled by then is in [`FlushReport::pending`], and its
    /// flush goes on. The time is kept as for [`Buffer::flush_within`](buffer_core::Buffer::flush_within).
    ///
    /// With a limit of zero it hands over what there is room for, and returns.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](StatBuffer::flush).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use buffer_stat::StatBuffer;
    ///
    /// /// Whether all that was counted before is stored.
    /// async fn checkpoint(views: &StatBuffer<String>) -> bool {
    ///     let report = views.flush_within(Duration::from_secs(5)).await;
    ///     report.pending == 0 && report.returned == 0 && report.dropped.total() == 0
    /// }
    /// ```
    pub async fn flush_within(&self, limit: Duration) -> FlushReport {
        self.flush_since(&self.ledger(), Turn::Now, Some(limit)).await
    }

    /// Flushes the sum of one key, and begins a new window for it: its next increment does not join the running window, and is flushed
    /// an interval (and the jitter) later at most. Keys that are flushed in this way share that window.
    ///
    /// The report includes counts of other keys that were settled meanwhile. Where the end of a window waits for the sink already, this is
    /// a [`flush`](StatBuffer::flush) of that window.
    ///
    /// # Panics
    ///
    /// If the key's `Hash` or `ToOwned` panics; the sums stay as they were.
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
        // Taken before the key's count is handed over: it may be settled at once.
        let before = self.ledger();
        let key_turn = self.counters.windows.turn_key(key);
        let report = self.flush_since(&before, window_turn(key_turn), None).await;
        if key_turn != KeyTurn::StaysForItsCount {
            return report;
        }
        // That count is settled. If there is another one, it has what was counted before.
        let key_turn = self.counters.windows.turn_key(key);
        self.flush_since(&before, window_turn(key_turn), None).await
    }

    /// Ends the window without waiting for its counts. Counts beyond one batch for each partition follow as those are settled.
    pub fn request_flush(&self) {
        self.counters.hand_over(Turn::Now);
    }

    /// Flushes the sum of one key, as [`flush_key`](StatBuffer::flush_key) does, without waiting for it.
    ///
    /// While a count of the key is still on its way, or the end of a window waits for the sink, the sum stays and is flushed when its
    /// window ends.
    ///
    /// # Panics
    ///
    /// As for [`flush_key`](StatBuffer::flush_key).
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_stat::StatBuffer;
    ///
    /// /// From any thread or task: a page that was viewed often at once is not to wait for the end of the window.
    /// fn count(views: &StatBuffer<String>, page: &str, more: i64) {
    ///     if views.increment(page, more).is_ok() && more >= 1_000 {
    ///         views.request_flush_key(page);
    ///     }
    /// }
    /// ```
    pub fn request_flush_key<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.counters.windows.turn_key(key);
        self.counters.hand_over(Turn::Not);
    }

    /// Ends the window as `turn` says, and waits for at most `limit` until all that was counted, or handed over, before is settled;
    /// reports what was settled since `before`.
    ///
    /// What comes later is not waited for: where increments never end, windows would not either.
    async fn flush_since(&self, before: &Ledger, mut turn: Turn, limit: Option<Duration>) -> FlushReport {
        let (buffer, begun) = (&self.counters.buffer, Instant::now());
        // The window that has what is to be flushed.
        let mut asked = None;
        // How many counts were made by the time that it had ended.
        let mut made = None;
        let of_window = turn != Turn::Not;
        let mut may_ask_again = of_window;
        loop {
            let handed = self.counters.hand_over(turn);
            // While there is a rest of the window before, this one does not end. Whoever finds the rest gone ends it.
            let owed = turn != Turn::Not && !handed.turned;
            let window = *asked.get_or_insert(handed.number + u64::from(owed));
            turn = Turn::Not;
            let has_buffer_all = match handed.number.cmp(&window) {
                Ordering::Less => false,
                // Not those made since: keys that are flushed by hand may add to the rest for ever.
                Ordering::Equal => handed.handed_on >= *made.get_or_insert(handed.made),
                // A later window has ended, so nothing was left of this one.
                Ordering::Greater => true,
            };
            let mut pending = 0;
            let mut is_late = false;
            if let Some(limit) = limit {
                let left = limit.saturating_sub(begun.elapsed());
                pending = buffer.flush_within(left).await.pending;
                is_late = pending > 0 || begun.elapsed() >= limit;
            } else {
                buffer.flush().await;
            }
            // The driver hands on the rest as well, so no single flush covers what became of it.
            let mut report = buffer.ledger().since(before);
            let has_spared = may_ask_again && handed.last_sparing >= window;
            // The last counts of a close may not have come to the buffer yet.
            if has_buffer_all && !has_spared && !buffer.is_closed() {
                report.pending = pending;
                return report;
            }
            // What went back would go back again. The counts that a single key waits for have an end in any case.
            let is_in_vain = buffer.is_closed() || of_window && report.returned > 0;
            if is_in_vain {
                // The rest goes on without this flush, and so do sums that were spared, perhaps only since the hand-over above.
                let windows = &self.counters.windows;
                let leaves_sums = may_ask_again && windows.last_sparing() >= window;
                report.pending = windows.unsettled().max(u64::from(leaves_sums));
                return report;
            }
            if is_late {
                // At least one is pending: one that was not handed over.
                report.pending = (pending + self.counters.windows.rest()).max(1);
                return report;
            }
            if has_buffer_all {
                // The counts for which sums were spared are settled. A sum that is spared again is a new one: what it was before is on
                // its way.
                (turn, asked, made, may_ask_again) = (Turn::Now, None, None, false);
            }
        }
    }
}

/// How the window has to end for the flush of one of its keys.
fn window_turn(key_turn: KeyTurn) -> Turn {
    match key_turn {
        KeyTurn::Goes | KeyTurn::StaysForItsCount => Turn::Not,
        KeyTurn::StaysForTheWindow => Turn::Now,
    }
}
