//! What the ways in for many items answer when they stop; what they did not accept stays with the caller.

use thiserror::Error;

const CLOSED: &str = "the buffer is closed; the items that it did not accept are still in the vector";
const OVERSIZED: &str = "is heavier than a batch may be; raise batch_bytes or capacity_bytes, or take it out; all items are still in the vector";

/// Why [`Buffer::insert_batch`](crate::Buffer::insert_batch) stopped; what it did not accept is still in the caller's `Vec`.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, InsertBatchError};
///
/// /// Returns what came too late, which is nothing while the buffer is open.
/// async fn insert_all(buffer: &Buffer<String>, mut items: Vec<String>) -> Vec<String> {
///     if let Err(InsertBatchError::Closed) = buffer.insert_batch(&mut items).await {
///         eprintln!("{} items came too late", items.len());
///     }
///     items
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertBatchError {
    /// The buffer is closed.
    #[error("{CLOSED}")]
    Closed,
    /// An item is heavier than a batch may be. None of the items was accepted.
    #[error("the item at index {index} {OVERSIZED}")]
    Oversized {
        /// Its index in the caller's vector.
        index: usize,
    },
}

/// Why [`Buffer::try_insert_batch`](crate::Buffer::try_insert_batch) or
/// [`Buffer::try_insert_batch_when_idle`](crate::Buffer::try_insert_batch_when_idle) stopped; what it did not accept is still in
/// the caller's `Vec`.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, TryInsertBatchError};
///
/// /// Inserts what there is room for; says whether to come back with the rest.
/// fn insert_some(buffer: &Buffer<String>, items: &mut Vec<String>) -> bool {
///     matches!(buffer.try_insert_batch(items), Err(TryInsertBatchError::Full))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryInsertBatchError {
    /// The buffer has no room for them now.
    #[error(
        "the buffer has no room for the items now; try again, wait with insert_batch, or raise its capacity; those that it did not accept are still in the vector"
    )]
    Full,
    /// The buffer is closed.
    #[error("{CLOSED}")]
    Closed,
    /// An item is heavier than a batch may be. None of the items was accepted.
    #[error("the item at index {index} {OVERSIZED}")]
    Oversized {
        /// Its index in the caller's vector.
        index: usize,
    },
}
