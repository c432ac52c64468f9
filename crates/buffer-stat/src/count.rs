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
///     for index in 0..batch.len() {
///         let Count { key, delta, .. } = batch[index];
///         let add = format!("UPDATE users SET visits = visits + {delta} WHERE id = {key}");
///         execute(add).await.map_err(FlushError::transient)?;
///         batch.deliver(index..index + 1);
///     }
///     Ok(())
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

/// The part of a sum that fits into a count.
pub(crate) fn fitting(sum: i128) -> i64 {
    let nearest = if sum < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(sum).unwrap_or(nearest)
}
