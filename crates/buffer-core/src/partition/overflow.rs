//! What happens to an item for which there is no room.

/// What an insert does when the buffer is full; see [`BufferBuilder::overflow`](crate::BufferBuilder::overflow).
///
/// # Examples
///
/// A buffer of measurements, where the latest matter most:
///
/// ```
/// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
/// use buffer_core::Overflow;
///
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().overflow(Overflow::DropOldest).build(Nowhere)?;
/// # buffer.insert(1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// It waits for room, in line; inserts that do not wait hand the item back, if there is no room or others are in line for it.
    /// Nothing is dropped.
    #[default]
    Wait,
    /// It drops the oldest batch of one partition, with the reason [`overflow`](crate::DropReason::Overflow): of the one that the
    /// item is routed to, or else of the thread's home, even if others hold older ones. The batch that its worker has in hand is
    /// spared, also between two attempts. No insert waits, and only
    /// [`try_insert_batch_when_idle`](crate::Buffer::try_insert_batch_when_idle) finds the buffer full.
    DropOldest,
    /// It drops the new item, with the same reason, and counts and reports it as accepted. `try_insert` and `try_insert_batch`
    /// hand it back instead.
    DropNewest,
}
