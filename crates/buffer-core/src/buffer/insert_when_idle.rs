//! The way in for a batch that must be the only one of its partition.

use crate::buffer::Buffer;
use crate::buffer::insert_batch_error::TryInsertBatchError;
use crate::outcome::attempt::RefusalReason;
use crate::partition::intake::Refused;
use crate::partition::parcel::Parcel;

impl<T: Send + 'static> Buffer<T> {
    /// Inserts one batch of `items`, from the front, into a partition that has nothing pending, and seals it at once; the rest
    /// stays in `items`.
    ///
    /// Use it to keep items outside the buffer, where they can still change, until a partition is free. As long as nothing is
    /// inserted in another way, a partition never has more than one unsettled batch. The batch has at most `batch_size` items, less
    /// its jitter, and weighs at most `batch_bytes`. Nothing is dropped, whatever the [`Overflow`](crate::Overflow) policy.
    ///
    /// With [`Routing::PerCall`](crate::Routing::PerCall) it tries only the partition whose turn it is. With
    /// [`Routing::ByKey`](crate::Routing::ByKey) the batch holds items of one partition, the first that has nothing pending;
    /// `items` keeps the order within each key.
    ///
    /// # Errors
    ///
    /// [`TryInsertBatchError::Full`] when every partition that the items may go to has something pending,
    /// [`TryInsertBatchError::Closed`] when the buffer is closed, [`TryInsertBatchError::Oversized`] when an item is too heavy. On
    /// an error no item is accepted. `Ok` does not mean that `items` is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, TryInsertBatchError, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<u32> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().partitions(1).batch_size(2).build(Nowhere)?;
    /// let mut items = vec![1, 2, 3];
    /// buffer.try_insert_batch_when_idle(&mut items)?;
    /// assert_eq!(items, [3]);
    /// assert_eq!(buffer.try_insert_batch_when_idle(&mut items), Err(TryInsertBatchError::Full));
    /// buffer.flush().await;
    /// buffer.try_insert_batch_when_idle(&mut items)?;
    /// assert!(items.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn try_insert_batch_when_idle(&self, items: &mut Vec<T>) -> Result<(), TryInsertBatchError> {
        let shared = self.shared();
        let parts = shared.route_many(items);
        let weighed = shared.weigh_many(items);
        let mut weights = weighed.map_err(|index| TryInsertBatchError::Oversized { index })?;
        for (route, count) in &parts {
            let mut parcel = Parcel::new(items, weights.clone());
            let admitted = shared.admit_when_idle(*route, &mut parcel, *count);
            drop(parcel);
            match admitted {
                Ok(_) => return Ok(()),
                Err(Refused::Closed(())) => {
                    shared.meter.refused(RefusalReason::Closed, items.len());
                    return Err(TryInsertBatchError::Closed);
                }
                // By key: the next part comes to the front. After the last part, all items are where they were.
                Err(Refused::Full(())) => {
                    items.rotate_left(*count);
                    if !weights.is_empty() {
                        weights.rotate_left(*count);
                    }
                }
            }
        }
        match parts.is_empty() {
            true => Ok(()),
            // It is no refusal in the metrics: the caller keeps what is left, and tries again.
            false => Err(TryInsertBatchError::Full),
        }
    }
}
