//! The item that the sink gets, and how a sum becomes one.

use std::time::SystemTime;

/// What a key changed by in one window: the item that the sink gets.
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
    /// The sum of its increments; zero only where that was [asked for](crate::StatBuilder::send_zero_sums).
    ///
    /// What does not fit into it comes in the window after.
    pub delta: i64,
    /// The begin of the window, later than that of every window before: together with the key it names one delta.
    pub window_start: SystemTime,
}

impl<K> Count<K> {
    /// A count for a test of a sink; those in a batch are made by the counters.
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
    /// # async fn add(_: &str, _: i64) -> Result<(), std::io::Error> { Ok(()) }
    /// #[async_trait]
    /// impl Flush<Count<&'static str>> for Table {
    ///     async fn flush(&self, batch: &mut Batch<Count<&'static str>>) -> Result<(), FlushError> {
    ///         for index in 0..batch.len() {
    ///             match batch[index].delta {
    ///                 ..0 => batch.reject(index, "views only grow"),
    ///                 delta => add(batch[index].key, delta).await.map_err(FlushError::uncertain)?,
    ///             }
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let start = SystemTime::UNIX_EPOCH;
    /// let mut batch = TestBatch::new([Count::new("/index.html", 2, start), Count::new("/about.html", -1, start)]);
    /// let flushed = batch.flush(&Table).await;
    /// assert_eq!(flushed.rejected[0].item.key, "/about.html");
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
