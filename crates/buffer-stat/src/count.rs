//! The item that the sink gets, and how a sum becomes one.

use std::time::SystemTime;

/// How much a key changed in one window: the item that the sink gets.
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, FlushError};
/// use buffer_stat::Count;
///
/// # async fn execute(_: String) -> Result<(), std::io::Error> { Ok(()) }
/// async fn add(batch: &mut Batch<Count<u64>>) -> Result<(), FlushError> {
///     let deltas: Vec<_> = batch.iter().map(|Count { key, delta, .. }| format!("({key}, {delta})")).collect();
///     // A batch whose answer was lost comes again under the same id, and adds nothing then.
///     let add = format!(
///         "WITH new AS (INSERT INTO batches (id) VALUES ('{}') ON CONFLICT DO NOTHING RETURNING id)
///          UPDATE users SET visits = visits + delta FROM (VALUES {}) AS deltas (user_id, delta)
///          WHERE users.id = user_id AND EXISTS (SELECT FROM new)",
///         batch.id(),
///         deltas.join(", "),
///     );
///     execute(add).await.map_err(FlushError::uncertain)
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Count<K> {
    /// The key.
    pub key: K,
    /// The sum of its increments; zero only if [asked for](crate::StatBuilder::send_zero_sums).
    ///
    /// What does not fit into an `i64` follows in a count with a later window start.
    pub delta: i64,
    /// The start of the window, later than that of every window before. Together with the key, it names one delta. A count that is
    /// [flushed by hand](crate::StatBuffer::flush_key) has the moment of that flush instead, and the others of that window have one
    /// just behind it; so do all if the clock is set back. It is a name, and no timestamp for a chart.
    ///
    /// A sink that [marks](buffer_core::Batch::deliver) the counts it has written one by one uses the two as its idempotency key,
    /// because the rest of its batch comes again under another [id](buffer_core::Batch::id). Starts may differ by a microsecond
    /// alone, so store them as exactly as that. If several [`StatBuffer`](crate::StatBuffer)s write to one table, in one process or in
    /// several, add a name for each of them, as their windows may begin at the same moment.
    pub window_start: SystemTime,
}

impl<K> Count<K> {
    /// Makes a count for the test of a sink; the counters make those in a batch.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use buffer_core::testing::TestBatch;
    /// use buffer_core::{Batch, Flush, FlushError, async_trait};
    /// use buffer_stat::Count;
    ///
    /// struct Table;
    ///
    /// # async fn add(id: (&str, SystemTime), _: i64) -> Result<(), &'static str> { (id.0 != "/lost.html").then_some(()).ok_or("no answer") }
    /// #[async_trait]
    /// impl Flush<Count<&'static str>> for Table {
    ///     async fn flush(&self, batch: &mut Batch<Count<&'static str>>) -> Result<(), FlushError> {
    ///         for index in 0..batch.len() {
    ///             let Count { key, delta, window_start, .. } = batch[index];
    ///             if delta < 0 {
    ///                 batch.reject(index, "views only grow");
    ///                 continue;
    ///             }
    ///             // What is marked is not sent again, and the rest has another id: it is these two that name the delta.
    ///             add((key, window_start), delta).await.map_err(FlushError::uncertain)?;
    ///             batch.deliver(index..index + 1);
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let start = SystemTime::UNIX_EPOCH;
    /// let counts = [("/index.html", 2), ("/about.html", -1), ("/lost.html", 1)];
    /// let mut batch = TestBatch::new(counts.map(|(key, delta)| Count::new(key, delta, start)));
    /// let flushed = batch.flush(&Table).await;
    /// assert_eq!(flushed.delivered[0].key, "/index.html");
    /// assert_eq!(flushed.rejected[0].item.key, "/about.html");
    /// assert_eq!(batch[0].key, "/lost.html"); // alone, it comes again
    /// # }
    /// ```
    pub fn new(key: K, delta: i64, window_start: SystemTime) -> Self {
        Self {
            key,
            delta,
            window_start,
        }
    }
}

/// The part of a sum that fits into a count.
pub(crate) fn fitting(sum: i128) -> i64 {
    let nearest = if sum < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(sum).unwrap_or(nearest)
}
