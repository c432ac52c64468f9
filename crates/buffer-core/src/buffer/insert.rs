//! The ways in for one item: waiting or not.

use std::time::Duration;

use crate::buffer::Buffer;
use crate::buffer::insert_error::{
    InsertAndWaitError, InsertBlockingError, InsertError, InsertTimeoutError, TryInsertError,
};
use crate::buffer::inserting::Inserting;
use crate::buffer::receipt::Receipt;
use crate::buffer::wait::block_on;
use crate::outcome::attempt::RefusalReason;
use crate::partition::intake::Refused;
use crate::partition::overflow::Overflow;
use crate::partition::waiters::Waiter;

impl<T: Send + 'static> Buffer<T> {
    /// Inserts `item`, and waits while the buffer is full.
    ///
    /// A task that inserts faster than the worker takes gives way to it when some full batches wait. With an [`Overflow`] policy
    /// other than `Wait`, items are dropped instead and no insert waits.
    ///
    /// Whoever waits stands in line, first come, first served: room that is free goes to those in front, and is kept for them. Whoever
    /// comes later, by any way in, finds none before them; so no insert waits for ever while others get in.
    ///
    /// # Errors
    ///
    /// [`InsertError::Closed`] and [`InsertError::Oversized`] hand the item back.
    ///
    /// # Panics
    ///
    /// If the code that [weighs](crate::BufferBuilder::weigh) or [routes](crate::BufferBuilder::routing) items panics, here as in every
    /// other insert; the item is then dropped and not counted.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped while it waits, or gives way, has inserted nothing; the item is dropped with it and not counted, and the
    /// place in line is lost. One that is kept and not polled, as by a branch of a `select!` that waits for something else meanwhile,
    /// keeps the room for its item; one of [`insert_batch`](Buffer::insert_batch) keeps up to half of a partition's.
    pub fn insert(&self, item: T) -> impl Future<Output = Result<(), InsertError<T>>> + Send {
        Inserting::new(self, item)
    }

    /// Inserts `item`, and waits for at most `limit` while the buffer is full.
    ///
    /// Outside any runtime, and inside one without a timer, the buffer's own runtime keeps the time: something must
    /// [drive](crate::BufferBuilder::runtime) it meanwhile. tokio reports a missing timer only by a panic, which is caught here, once for a
    /// runtime if no other without a timer comes between; with `panic = "abort"` it ends the process.
    ///
    /// # Errors
    ///
    /// [`InsertTimeoutError::TimedOut`], [`InsertTimeoutError::Closed`] and [`InsertTimeoutError::Oversized`] hand the item back.
    ///
    /// # Cancel safety
    ///
    /// As for [`insert`](Buffer::insert).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<u32> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().build(Nowhere)?;
    /// buffer.insert_timeout(1, Duration::from_millis(50)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn insert_timeout(&self, item: T, limit: Duration) -> Result<(), InsertTimeoutError<T>> {
        let Err(item) = self.shared().admit_unchecked(item) else {
            return Ok(());
        };
        let (mut waiting, mut waiter) = (Some(item), None);
        let inserted = self.insert_from(&mut waiting, &mut waiter);
        match self.shared().clock.within(limit, inserted).await {
            Some(inserted) => inserted.map_err(Into::into),
            // It may have given way and not waited, so there may be room.
            None => {
                let item = waiting.expect("an item that waits is not inserted");
                self.try_insert(item).map_err(Into::into)
            }
        }
    }

    /// Inserts `item`, waits while the buffer is full, and then until the item is settled. `Ok` means that it is delivered.
    ///
    /// It does not wait for the interval to end: a partition with nothing in flight flushes at once, and items that are inserted
    /// while a flush is in flight share the next batch.
    ///
    /// # Errors
    ///
    /// [`InsertAndWaitError::Closed`] and [`InsertAndWaitError::Oversized`] hand the item back;
    /// [`InsertAndWaitError::NotDelivered`] says what became of an item that was accepted.
    ///
    /// # Cancel safety
    ///
    /// As for [`insert`](Buffer::insert) while there is no room. After that the item is accepted and flushed even if nobody
    /// waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
    /// # struct Database;
    /// # #[async_trait]
    /// # impl Flush<u32> for Database {
    /// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().build(Database)?;
    /// buffer.insert_and_wait(1).await?;
    /// assert_eq!(buffer.ledger().delivered, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn insert_and_wait(&self, item: T) -> Result<(), InsertAndWaitError<T>> {
        let (waiter, answer) = Waiter::urgent();
        self.insert_from(&mut Some(item), &mut Some(waiter)).await?;
        Ok(Receipt::new(answer).await?)
    }

    /// Inserts `item`, waits while the buffer is full, and returns a [`Receipt`] that tells what becomes of the item.
    ///
    /// The item leaves when its batch does: unlike [`insert_and_wait`](Buffer::insert_and_wait), it does not cause a flush before
    /// the interval ends.
    ///
    /// # Errors
    ///
    /// [`InsertError::Closed`] and [`InsertError::Oversized`] hand the item back.
    ///
    /// # Cancel safety
    ///
    /// As for [`insert`](Buffer::insert).
    ///
    /// # Examples
    ///
    /// See [`Receipt`].
    pub async fn insert_with_receipt(&self, item: T) -> Result<Receipt, InsertError<T>> {
        let (waiter, answer) = Waiter::patient();
        self.insert_from(&mut Some(item), &mut Some(waiter)).await?;
        Ok(Receipt::new(answer))
    }

    /// Inserts `item` if there is room. With [`Overflow::DropOldest`] it makes room by dropping the oldest batches; with the other two
    /// a full buffer hands the item back.
    ///
    /// # Errors
    ///
    /// [`TryInsertError::Full`], [`TryInsertError::Closed`] and [`TryInsertError::Oversized`] hand the item back.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, TryInsertError, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<u32> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().partitions(1).batch_size(1).capacity(1).build(Nowhere)?;
    /// buffer.try_insert(1)?;
    /// assert_eq!(buffer.try_insert(2), Err(TryInsertError::Full(2)));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn try_insert(&self, item: T) -> Result<(), TryInsertError<T>> {
        match self.shared().admit_unchecked(item) {
            Ok(()) => Ok(()),
            Err(item) => self.try_insert_checked(item),
        }
    }

    /// Inserts `item` if there is room, and returns a [`Receipt`] that tells what becomes of the item.
    ///
    /// As with [`insert_with_receipt`](Buffer::insert_with_receipt), the item leaves when its batch does. A full buffer makes room, or
    /// hands the item back, as for [`try_insert`](Buffer::try_insert).
    ///
    /// # Errors
    ///
    /// Those of [`try_insert`](Buffer::try_insert).
    ///
    /// # Examples
    ///
    /// A request that is refused if there is no room, and answered when its item is stored:
    ///
    /// ```
    /// use std::time::Duration;
    /// use buffer_core::Buffer;
    /// use tokio::time::timeout;
    ///
    /// async fn status(buffer: &Buffer<String>, item: String) -> u16 {
    ///     let Ok(receipt) = buffer.try_insert_with_receipt(item) else {
    ///         return 503;
    ///     };
    ///     match timeout(Duration::from_secs(5), receipt).await {
    ///         Ok(Ok(())) => 201,
    ///         Ok(Err(_)) => 500,
    ///         Err(_) => 202, // It is on its way.
    ///     }
    /// }
    /// ```
    pub fn try_insert_with_receipt(&self, item: T) -> Result<Receipt, TryInsertError<T>> {
        let (waiter, answer) = Waiter::patient();
        self.try_insert_with(item, &mut Some(waiter))?;
        Ok(Receipt::new(answer))
    }

    /// Apart, as room for a waiter would keep the short way from being inlined.
    #[inline(never)]
    fn try_insert_checked(&self, item: T) -> Result<(), TryInsertError<T>> {
        self.try_insert_with(item, &mut None)
    }

    fn try_insert_with(&self, item: T, waiter: &mut Option<Waiter>) -> Result<(), TryInsertError<T>> {
        let shared = self.shared();
        let Ok(bytes) = shared.weigh(&item) else {
            shared.meter.refused(RefusalReason::Oversized, 1);
            return Err(TryInsertError::Oversized(item));
        };
        let route = shared.router.route(&shared.routing, &item);
        let admitted = match shared.overflow {
            Overflow::DropOldest => shared.admit_or_drop(route, item, bytes, waiter),
            Overflow::Wait | Overflow::DropNewest => shared.admit(route, item, bytes, waiter),
        };
        admitted.map_err(|refused| match refused {
            Refused::Closed(item) => {
                shared.meter.refused(RefusalReason::Closed, 1);
                TryInsertError::Closed(item)
            }
            Refused::Full(item) => {
                shared.meter.refused(RefusalReason::Full, 1);
                TryInsertError::Full(item)
            }
        })
    }

    /// Inserts `item` from a plain thread, and blocks the thread while the buffer is full.
    ///
    /// Something must drive the buffer's [runtime](crate::BufferBuilder::runtime) meanwhile.
    ///
    /// # Errors
    ///
    /// [`InsertBlockingError::Closed`], [`InsertBlockingError::Oversized`] and [`InsertBlockingError::InsideRuntime`] hand the
    /// item back. The threads of `spawn_blocking` belong to a runtime, too; there, use
    /// `Handle::current().block_on(buffer.insert(item))`.
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
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().build(Nowhere)?;
    /// let inserted = std::thread::spawn({
    ///     let buffer = buffer.clone();
    ///     move || buffer.insert_blocking(1)
    /// });
    /// assert_eq!(inserted.join().expect("no panic"), Ok(()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert_blocking(&self, item: T) -> Result<(), InsertBlockingError<T>> {
        if tokio::runtime::Handle::try_current().is_ok() {
            return Err(InsertBlockingError::InsideRuntime(item));
        }
        let Err(item) = self.shared().admit_unchecked(item) else {
            return Ok(());
        };
        block_on(self.insert_from(&mut Some(item), &mut None)).map_err(Into::into)
    }
}
