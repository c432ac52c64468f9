//! The ways in for many items at once: waiting or not.

use crate::buffer::Buffer;
use crate::buffer::insert_batch_error::{InsertBatchError, TryInsertBatchError};
use crate::buffer::wait::give_way;
use crate::outcome::attempt::RefusalReason;
use crate::partition::Partition;
use crate::partition::intake::Refused;
use crate::partition::overflow::Overflow;
use crate::partition::parcel::Parcel;
use crate::router::Route;

impl<T: Send + 'static> Buffer<T> {
    /// Inserts all of `items` into one partition, in their order, and waits whenever there is no room for the next part.
    ///
    /// With an [`Overflow`] policy other than `Wait`, it goes on in another partition, if the route allows it, before it drops any.
    ///
    /// Any number is fine: each part is as large as there is room for. On return `items` holds what was not accepted, which is
    /// nothing after `Ok`. With [`Routing::ByKey`](crate::Routing::ByKey) the items are divided among the partitions of their
    /// keys, and `items` keeps only the order within each key. These parts go in one after the other, in the order of the partitions:
    /// while one waits for room, those behind it wait, too, though their partitions may have room.
    ///
    /// # Errors
    ///
    /// [`InsertBatchError::Closed`] when the buffer was closed before all were accepted, [`InsertBatchError::Oversized`] when
    /// an item is too heavy, before any is accepted.
    ///
    /// # Panics
    ///
    /// If the code that [weighs](crate::BufferBuilder::weigh) or [routes](crate::BufferBuilder::routing) items panics; all are then in
    /// `items`.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was accepted before the drop stays accepted, and the rest is still in `items`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<u32> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().build(Nowhere)?;
    /// let mut items: Vec<u32> = (0..1_000_000).collect();
    /// buffer.insert_batch(&mut items).await?;
    /// assert!(items.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn insert_batch(&self, items: &mut Vec<T>) -> Result<(), InsertBatchError> {
        if self.shared().admit_many_unchecked(items) {
            return Ok(());
        }
        // Boxed: most batches find room at once, and every task that inserts would have to hold this.
        Box::pin(self.insert_parts(items)).await
    }

    /// Inserts `items` part by part, where each may go.
    async fn insert_parts(&self, items: &mut Vec<T>) -> Result<(), InsertBatchError> {
        let shared = self.shared();
        let parts = shared.route_many(items);
        let weighed = shared.weigh_many(items);
        let weights = weighed.map_err(|index| InsertBatchError::Oversized { index })?;
        let mut parcel = Parcel::new(items, weights);
        for (mut route, mut count) in parts {
            while count > 0 {
                if shared.is_ahead(route) {
                    give_way().await;
                }
                let before = parcel.len();
                let mut admitted = shared.admit_many_or_drop(route, &mut parcel, count);
                if let Err(Refused::Full(())) = admitted {
                    let wanted = parcel.next_size(count);
                    let admit = |partition: &Partition<T>, room| {
                        partition.admit_many_in_turn(room, &mut parcel, count)
                    };
                    admitted = shared.admit_in_turn(route, wanted, admit).await;
                }
                let partition = admitted.map_err(|_| {
                    shared.meter.refused(RefusalReason::Closed, parcel.len());
                    InsertBatchError::Closed
                })?;
                if shared.overflow == Overflow::Wait {
                    // What follows goes to the same partition.
                    route = Route::To(partition);
                }
                count -= before - parcel.len();
            }
        }
        Ok(())
    }

    /// Inserts as many of `items` as there is room for, from the front, into one partition; the rest stays in `items`.
    ///
    /// With [`Routing::ByKey`](crate::Routing::ByKey) the items are divided among the partitions of their keys, and the insert stops
    /// at the first that has no room; `items` keeps the order within each key.
    ///
    /// # Errors
    ///
    /// [`TryInsertBatchError::Full`] when there was no room for all items, [`TryInsertBatchError::Closed`] when the buffer is
    /// closed, [`TryInsertBatchError::Oversized`] when an item is too heavy, before any is accepted.
    pub fn try_insert_batch(&self, items: &mut Vec<T>) -> Result<(), TryInsertBatchError> {
        let shared = self.shared();
        if shared.admit_many_unchecked(items) {
            return Ok(());
        }
        let parts = shared.route_many(items);
        let weighed = shared.weigh_many(items);
        let weights = weighed.map_err(|index| TryInsertBatchError::Oversized { index })?;
        let mut parcel = Parcel::new(items, weights);
        for (mut route, mut count) in parts {
            while count > 0 {
                let before = parcel.len();
                let admitted = match shared.overflow {
                    Overflow::DropOldest => shared.admit_many_or_drop(route, &mut parcel, count),
                    Overflow::Wait | Overflow::DropNewest => shared.admit_many(route, &mut parcel, count),
                };
                let partition = admitted.map_err(|refused| match refused {
                    Refused::Closed(()) => {
                        shared.meter.refused(RefusalReason::Closed, parcel.len());
                        TryInsertBatchError::Closed
                    }
                    Refused::Full(()) => {
                        shared.meter.refused(RefusalReason::Full, parcel.len());
                        TryInsertBatchError::Full
                    }
                })?;
                if shared.overflow != Overflow::DropOldest {
                    route = Route::To(partition);
                }
                count -= before - parcel.len();
            }
        }
        Ok(())
    }
}
