//! How much there is of something: items, and what they weigh.

/// What is pending in a buffer or in one of its partitions, or the most that may be; see [`Buffer::size`](crate::Buffer::size)
/// and [`Buffer::capacity`](crate::Buffer::capacity).
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<String> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<String>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().weigh(String::len).build(Nowhere)?;
/// buffer.insert("four".to_owned()).await?;
/// let size = buffer.size();
/// assert_eq!((size.items, size.bytes), (1, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Size {
    /// Items: those that are pending, or the most that may be.
    pub items: u64,
    /// What they weigh, as [`BufferBuilder::weigh`](crate::BufferBuilder::weigh) says: 0 without it. Of a capacity without a bound in
    /// bytes, `u64::MAX`.
    pub bytes: u64,
}
