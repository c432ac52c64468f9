//! The way in for a batch that must be the only one of its partition.

use crate::attempt::RefusalReason;
use crate::buffer::Buffer;
use crate::insert_batch_error::TryInsertBatchError;
use crate::intake::Refused;
use crate::parcel::Parcel;

impl<T: Send + 'static> Buffer<T> {
    /// Inserts one batch of `items`, from the front, into a partition that has nothing pending, and seals it at once; the rest
    /// stays in `items`.
    ///
    /// It is for who keeps what can wait outside of the buffer, where it may still change: as long as nothing comes in another
    /// way, a partition has one batch that is not settled, and never two. The batch has `batch_size` items at most, less its
    /// jitter, and weighs `batch_bytes` at most. Nothing is dropped, whatever the [`Overflow`](crate::Overflow) policy.
    ///
    /// With [`Routing::PerCall`](crate::Routing::PerCall) it looks at one partition alone, the one whose turn it is. With
    /// [`Routing::ByKey`](crate::Routing::ByKey) the batch is of the items of one partition, the first that has nothing pending;
    /// `items` keeps each key's order.
    ///
    /// # Errors
    ///
    /// [`TryInsertBatchError::Full`] when something is pending wherever the items may go, [`TryInsertBatchError::Closed`] when
    /// the buffer is closed, [`TryInsertBatchError::Oversized`] when an item is too heavy: none is accepted then. `Ok` does not
    /// mean that `items` is empty.
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
                // By key: the next part comes to the front. After the last all are where they were.
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
            // They are no refusals in the metrics: who asks here keeps what is left, and asks again.
            false => Err(TryInsertBatchError::Full),
        }
    }
}
