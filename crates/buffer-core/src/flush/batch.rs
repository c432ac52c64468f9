//! A sealed group of items on its way through the sink.

use std::error::Error;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::flush::contents::{Contents, Marked};
use crate::outcome::batch_id::BatchId;
use crate::outcome::causes::{Causes, Fate};
use crate::outcome::reason::DropReason;
use crate::partition::open::Sealed;
use crate::partition::trigger::Trigger;
use crate::partition::waiters::Waiters;
use crate::partition::weights::Weights;

/// The items of one flush, borrowed by the sink for one attempt at a time.
///
/// It derefs to `[T]`. The framework owns the items through every attempt, so a sink that only borrows them can time
/// out, panic or be cancelled without losing one.
///
/// By itself, `Ok` delivers all of them and an error none. A sink that knows better marks single items before it returns, with
/// [`deliver`](Batch::deliver) and [`reject`](Batch::reject). One that needs owned items [takes](Batch::take) them, at its own
/// risk; one that has a better use for them than another attempt [withdraws](Batch::withdraw) them.
///
/// # Examples
///
/// A sink whose service answers for every item:
///
/// ```
/// use buffer_core::{Batch, Flush, FlushError, async_trait};
///
/// struct Api;
///
/// # async fn post(_: &[u32]) -> Result<Vec<Result<(), String>>, std::io::Error> { Ok(vec![]) }
/// #[async_trait]
/// impl Flush<u32> for Api {
///     async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
///         let answers = post(batch).await.map_err(FlushError::uncertain)?;
///         for (index, answer) in answers.into_iter().enumerate() {
///             if let Err(reason) = answer {
///                 batch.reject(index, reason);
///             }
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Batch<T> {
    pub(crate) contents: Contents<T>,
    id: BatchId,
    parent: Option<BatchId>,
    attempt: u32,
    trigger: Trigger,
    partition: usize,
    buffer: Arc<str>,
    opened: Instant,
    fate: Option<Fate>,
}

impl<T> Batch<T> {
    pub(crate) fn new(sealed: Sealed<T>, partition: usize, buffer: Arc<str>) -> Self {
        let Sealed {
            items,
            weights,
            waiters,
            trigger,
            opened,
        } = sealed;
        Self {
            contents: Contents::new(items, weights, waiters),
            id: BatchId::next(),
            parent: None,
            attempt: 0,
            trigger,
            partition,
            buffer,
            opened,
            fate: None,
        }
    }

    /// The name of exactly these items: unique across processes and the same in every attempt, so it serves as an
    /// idempotency key.
    ///
    /// When some items were delivered or rejected and the rest is tried again, the rest has a new id.
    pub fn id(&self) -> BatchId {
        self.id
    }

    /// The id of the batch that these items were in before, if any: they are the rest of it, a half of it, or its dead letters.
    pub fn parent(&self) -> Option<BatchId> {
        self.parent
    }

    /// The number of this attempt, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What sealed the batch. Dead letters that [overflowed](crate::BufferBuilder::overflow) have `Size`.
    pub fn trigger(&self) -> Trigger {
        self.trigger
    }

    /// The partition that the batch comes from, counted from 0.
    pub fn partition(&self) -> usize {
        self.partition
    }

    /// The name of the buffer that the batch comes from.
    pub fn buffer(&self) -> &str {
        &self.buffer
    }

    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// The time since the first item of the batch was inserted.
    pub fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// What the items weigh, as [`BufferBuilder::weigh`](crate::BufferBuilder::weigh) says; 0 without it.
    pub fn bytes(&self) -> u64 {
        self.contents.bytes()
    }

    /// Why the items were dropped, if this is a batch for a [dead-letter sink](crate::BufferBuilder::dead_letters).
    pub fn drop_reason(&self) -> Option<DropReason> {
        self.fate.as_ref().map(|fate| fate.reason)
    }

    /// Why the item at `index` was dropped, if this is a batch for a dead-letter sink: the [`FlushError`](crate::FlushError) that its batch
    /// failed with, or the error that it was [rejected](Batch::reject) with.
    pub fn drop_cause(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        self.fate.as_ref()?.causes.of(index)
    }

    /// Marks the items in `range` as delivered, however this attempt ends. An item's last mark counts.
    ///
    /// # Panics
    ///
    /// When `range` reaches past the end of the batch, or ends before it starts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, FlushError};
    /// # async fn send(_: &u32) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn one_by_one(batch: &mut Batch<u32>) -> Result<(), FlushError> {
    ///     for index in 0..batch.len() {
    ///         send(&batch[index]).await.map_err(FlushError::uncertain)?;
    ///         batch.deliver(index..index + 1);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn deliver(&mut self, range: Range<usize>) {
        self.contents.deliver(range);
    }

    /// Sets the item at `index` aside: it is dropped, with the reason `rejected`, however this attempt ends. An item's last mark
    /// counts.
    ///
    /// What is left is another batch, with an [`id`](Self::id) of its own. If the id is your idempotency key, reject only once the
    /// write has succeeded: after an uncertain one the rest would come again under another id.
    ///
    /// # Panics
    ///
    /// When `index` is past the end of the batch.
    ///
    /// # Examples
    ///
    /// See [`Batch`].
    pub fn reject(&mut self, index: usize, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.contents.reject(index, error.into().into());
    }

    /// Takes all items out, for a sink that needs to own them; from then on the batch derefs to an empty slice.
    ///
    /// This attempt is the last: unless it ends in `Ok`, the items are dropped, with the reason `unconfirmed`, as nothing is left
    /// to try again or to hand to a dead-letter sink. [`deliver`](Batch::deliver) and [`reject`](Batch::reject) still count, by the
    /// index that an item had. Prefer to borrow or to clone.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_core::{Batch, Flush, FlushError, async_trait};
    ///
    /// # use std::io::Error;
    /// # struct Pool;
    /// # impl Pool { async fn connection(&self) -> Result<Connection, Error> { Ok(Connection) } }
    /// # struct Connection;
    /// # impl Connection { async fn insert(&self, _: Vec<String>) -> Result<(), Error> { Ok(()) } }
    /// /// For a client library that wants owned rows, and answers when they are written.
    /// struct Rows(Pool);
    ///
    /// #[async_trait]
    /// impl Flush<String> for Rows {
    ///     async fn flush(&self, batch: &mut Batch<String>) -> Result<(), FlushError> {
    ///         // First what may fail or wait, then the items.
    ///         let connection = self.0.connection().await.map_err(FlushError::unavailable)?;
    ///         connection.insert(batch.take()).await.map_err(FlushError::uncertain)
    ///     }
    /// }
    /// ```
    #[must_use = "the items are out of the buffer; drop them if that is meant"]
    pub fn take(&mut self) -> Vec<T> {
        self.contents.take()
    }

    /// Takes all items out of the buffer for good, without writing them; from then on the batch derefs to an empty slice.
    ///
    /// However the attempt ends, with `Ok`, an error or a time-out, it is the last, and the items are
    /// [`Returned`](crate::Outcome::Returned): neither delivered nor dropped. Their room is freed then, and whoever waits for one
    /// gets [`NotDelivered::Withdrawn`](crate::NotDelivered::Withdrawn). An error still says how the sink is; an `Ok` does not, as
    /// nothing was written. [`deliver`](Batch::deliver) and [`reject`](Batch::reject) count as for [`take`](Batch::take); after a
    /// `take` there is nothing to withdraw. What was withdrawn from a batch of dead letters stays dropped.
    ///
    /// # Examples
    ///
    /// A sink of gauges, where the newest value counts: it does not write old ones.
    ///
    /// ```
    /// use std::time::Duration;
    /// use buffer_core::{Batch, Flush, FlushError, async_trait};
    ///
    /// struct Gauges;
    ///
    /// # async fn write(_: &[f64]) -> Result<(), std::io::Error> { Ok(()) }
    /// #[async_trait]
    /// impl Flush<f64> for Gauges {
    ///     async fn flush(&self, batch: &mut Batch<f64>) -> Result<(), FlushError> {
    ///         if batch.age() > Duration::from_secs(60) {
    ///             drop(batch.withdraw());
    ///             return Ok(());
    ///         }
    ///         write(batch).await.map_err(FlushError::unavailable)
    ///     }
    /// }
    /// ```
    #[must_use = "the items are out of the buffer; drop them if that is meant"]
    pub fn withdraw(&mut self) -> Vec<T> {
        self.contents.withdraw()
    }

    /// Whether an attempt was made at its items before.
    pub(crate) fn was_offered(&self) -> bool {
        self.attempt > 0 || self.parent.is_some()
    }

    pub(crate) fn begin_attempt(&mut self) {
        self.attempt += 1;
    }

    /// Splits the batch in two, in order; each half is a batch of its own that knows its parent. Marked items, and taken ones, are
    /// settled before.
    pub(crate) fn halves(mut self) -> (Self, Self) {
        let nothing = Contents::new(Vec::new(), Weights::default(), Waiters::default());
        let (first, second) = std::mem::replace(&mut self.contents, nothing).halves();
        (self.child(self.id, first), self.child(self.id, second))
    }

    /// Makes a batch of dead letters of items that were flushed in this batch under the id `parent`.
    pub(crate) fn dead_letters(
        &self,
        parent: BatchId,
        items: Vec<T>,
        bytes: u64,
        reason: DropReason,
        causes: Causes,
    ) -> Self {
        Self {
            fate: Some(Fate { reason, causes }),
            ..self.child(
                parent,
                Contents::new(items, Weights::in_all(bytes), Waiters::default()),
            )
        }
    }

    /// A batch of items that were in this one.
    fn child(&self, parent: BatchId, contents: Contents<T>) -> Self {
        Self {
            contents,
            id: BatchId::next(),
            parent: Some(parent),
            attempt: 0,
            trigger: self.trigger,
            partition: self.partition,
            buffer: Arc::clone(&self.buffer),
            opened: self.opened,
            fate: None,
        }
    }

    /// Makes a batch of dead letters of items that never reached the worker.
    pub(crate) fn of_overflow(sealed: Sealed<T>, partition: usize, buffer: Arc<str>) -> Self {
        let fate = Fate {
            reason: DropReason::Overflow,
            causes: Causes::None,
        };
        Self {
            fate: Some(fate),
            ..Self::new(sealed, partition, buffer)
        }
    }

    /// Splits dead letters into the items and why they were dropped.
    pub(crate) fn into_fate(self) -> (Vec<T>, Causes) {
        let causes = self.fate.map_or(Causes::None, |fate| fate.causes);
        (self.contents.into_items(), causes)
    }

    /// Takes out the items that the sink marked; what stays is a batch of its own, with a new id.
    pub(crate) fn take_marked(&mut self) -> Option<Marked<T>> {
        let before = self.contents.count();
        let marked = self.contents.take_marked()?;
        if self.contents.count() < before {
            self.parent = Some(std::mem::replace(&mut self.id, BatchId::next()));
        }
        Some(marked)
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.contents.items()
    }
}

impl<'a, T> IntoIterator for &'a Batch<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(items: Vec<u32>) -> Batch<u32> {
        let mut weights = Weights::default();
        items.iter().for_each(|item| weights.push(Some(*item as usize)));
        let sealed = Sealed {
            items,
            weights,
            waiters: Waiters::default(),
            trigger: Trigger::Size,
            opened: Instant::now(),
        };
        Batch::new(sealed, 0, "test".into())
    }

    #[test]
    fn marked_items_leave_in_order_and_the_rest_gets_a_new_id_that_knows_its_parent() {
        let mut batch = batch(vec![10, 11, 12, 13, 14]);
        let id = batch.id();
        batch.deliver(0..2);
        batch.reject(3, "bad");
        let marked = batch.take_marked().expect("some are marked");
        assert_eq!(
            (marked.delivered.items, marked.delivered.bytes),
            (vec![10, 11], 21)
        );
        assert_eq!((marked.rejected.items, marked.rejected.bytes), (vec![13], 13));
        assert_eq!(marked.causes.len(), 1);
        assert_eq!((&batch[..], batch.bytes()), (&[12, 14][..], 26));
        assert_ne!(batch.id(), id);
        assert_eq!(batch.parent(), Some(id));
    }

    #[test]
    fn an_unmarked_batch_keeps_its_items_and_its_id() {
        let mut batch = batch(vec![1, 2]);
        let id = batch.id();
        assert!(batch.take_marked().is_none());
        assert_eq!((&batch[..], batch.id(), batch.parent()), (&[1, 2][..], id, None));
    }
}
