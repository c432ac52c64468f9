//! A sealed group of items on its way through the sink.

use std::error::Error;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch_id::BatchId;
use crate::flush_error::{Cause, FlushError};
use crate::reason::DropReason;
use crate::trigger::Trigger;
use crate::waiters::{Answer, Answers, Waiters};

/// The items of one flush, borrowed by the sink for one attempt at a time.
///
/// It derefs to `[T]`. The framework owns the items through every attempt, so a sink that only borrows them can time
/// out, panic or be cancelled without losing one.
///
/// Without a word from the sink, `Ok` delivers all of them and an error none. A sink that knows better says so for single
/// items, before it returns: [`deliver`](Batch::deliver) and [`reject`](Batch::reject).
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
///         let answers = post(batch).await.map_err(FlushError::transient)?;
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
    items: Vec<T>,
    /// Empty until the sink marks an item; from then on one mark for each item.
    marks: Vec<Mark>,
    waiters: Waiters,
    id: BatchId,
    parent: Option<BatchId>,
    attempt: u32,
    trigger: Trigger,
    partition: usize,
    buffer: Arc<str>,
    opened: Instant,
    fate: Option<Fate>,
}

impl Mark {
    fn answer(&self) -> Option<Answer> {
        match self {
            Self::Open => None,
            Self::Delivered => Some(Ok(())),
            Self::Rejected(_) => Some(Err(DropReason::Rejected)),
        }
    }
}

/// Why a batch of dead letters was dropped.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) reason: DropReason,
    pub(crate) causes: Causes,
}

/// Why items were not delivered.
#[derive(Debug, Default)]
pub(crate) enum Causes {
    #[default]
    None,
    /// The error that their batch failed with.
    One(FlushError),
    /// One for each item, in order.
    Each(Vec<Cause>),
}

impl Causes {
    pub(crate) fn of(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::None => None,
            Self::One(error) => Some(error),
            Self::Each(causes) => causes.get(index).map(|cause| &**cause as &(dyn Error + 'static)),
        }
    }
}

/// What the sink said of one item.
#[derive(Debug)]
enum Mark {
    Open,
    Delivered,
    Rejected(Cause),
}

impl<T> Batch<T> {
    pub(crate) fn new(
        items: Vec<T>,
        waiters: Waiters,
        trigger: Trigger,
        partition: usize,
        buffer: Arc<str>,
        opened: Instant,
    ) -> Self {
        let id = BatchId::next();
        Self {
            items,
            marks: Vec::new(),
            waiters,
            id,
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

    /// The id of the batch that these items are the rest of, if they are one.
    pub fn parent(&self) -> Option<BatchId> {
        self.parent
    }

    /// The number of this attempt, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What sealed the batch.
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

    /// Why the items were dropped, if this is a batch for a [dead-letter sink](crate::Builder::dead_letters).
    pub fn drop_reason(&self) -> Option<DropReason> {
        self.fate.as_ref().map(|fate| fate.reason)
    }

    /// Why the item at `index` was dropped, if this is a batch for a dead-letter sink: the [`FlushError`] that its batch
    /// failed with, or the error that it was [rejected](Batch::reject) with.
    pub fn drop_cause(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        self.fate.as_ref()?.causes.of(index)
    }

    /// Says that the items in `range` are delivered, whatever else becomes of this attempt. The last word on an item counts.
    ///
    /// # Panics
    ///
    /// When `range` reaches past the batch or ends before it begins.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, FlushError};
    /// # async fn send(_: &u32) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn one_by_one(batch: &mut Batch<u32>) -> Result<(), FlushError> {
    ///     for index in 0..batch.len() {
    ///         send(&batch[index]).await.map_err(FlushError::transient)?;
    ///         batch.deliver(index..index + 1);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn deliver(&mut self, range: Range<usize>) {
        for mark in &mut self.marks()[range] {
            *mark = Mark::Delivered;
        }
    }

    /// Sets the item at `index` aside: it is dropped, with the reason `rejected`, whatever else becomes of this attempt. The
    /// last word on an item counts.
    ///
    /// # Panics
    ///
    /// When `index` lies past the batch.
    ///
    /// # Examples
    ///
    /// See [`Batch`].
    pub fn reject(&mut self, index: usize, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.marks()[index] = Mark::Rejected(error.into());
    }

    fn marks(&mut self) -> &mut [Mark] {
        self.marks.resize_with(self.items.len(), || Mark::Open);
        &mut self.marks
    }

    /// Whether an attempt was made at its items before.
    pub(crate) fn was_offered(&self) -> bool {
        self.attempt > 0 || self.parent.is_some()
    }

    pub(crate) fn begin_attempt(&mut self) {
        self.attempt += 1;
    }

    /// Splits the batch in two, in order; each half is a batch of its own that knows its parent. Marks are settled before.
    pub(crate) fn halves(mut self) -> (Self, Self) {
        let middle = self.items.len() / 2;
        let (second, second_waiters) = (self.items.split_off(middle), self.waiters.split_off(middle));
        let half = |items, waiters| Self {
            items,
            marks: Vec::new(),
            waiters,
            id: BatchId::next(),
            parent: Some(self.id),
            attempt: 0,
            trigger: self.trigger,
            partition: self.partition,
            buffer: Arc::clone(&self.buffer),
            opened: self.opened,
            fate: None,
        };
        let first = half(std::mem::take(&mut self.items), std::mem::take(&mut self.waiters));
        (first, half(second, second_waiters))
    }

    /// Makes a batch of dead letters of items that were flushed in this batch under the id `parent`.
    pub(crate) fn dead_letters(
        &self,
        parent: BatchId,
        items: Vec<T>,
        reason: DropReason,
        causes: Causes,
    ) -> Self {
        Self {
            items,
            marks: Vec::new(),
            waiters: Waiters::default(),
            id: BatchId::next(),
            parent: Some(parent),
            attempt: 0,
            trigger: self.trigger,
            partition: self.partition,
            buffer: Arc::clone(&self.buffer),
            opened: self.opened,
            fate: Some(Fate { reason, causes }),
        }
    }

    pub(crate) fn fate(&self) -> Option<&Fate> {
        self.fate.as_ref()
    }

    /// Splits dead letters into the items and why they were dropped.
    pub(crate) fn into_fate(mut self) -> (Vec<T>, Causes) {
        let causes = self.fate.take().map_or(Causes::None, |fate| fate.causes);
        (self.take_items(), causes)
    }

    /// Takes all items out, with the answer for those who wait for them: the batch is settled.
    pub(crate) fn settle(&mut self, answer: Answer) -> (Vec<T>, Answers) {
        let answers = self.waiters.take(answer);
        (self.take_items(), answers)
    }

    /// Takes all items out; who waits for one learns that it was left over.
    pub(crate) fn take_items(&mut self) -> Vec<T> {
        self.marks.clear();
        self.waiters = Waiters::default();
        std::mem::take(&mut self.items)
    }

    /// Takes the items out that the sink marked; what stays is a batch of its own, with a new id.
    pub(crate) fn take_marked(&mut self) -> Option<Marked<T>> {
        if self.marks.is_empty() {
            return None;
        }
        let answers = self.waiters.take_answered(self.marks.iter().map(Mark::answer));
        let mut marked = Marked {
            delivered: Vec::new(),
            rejected: Vec::new(),
            causes: Vec::new(),
            answers,
        };
        let before = self.items.len();
        let items = std::mem::take(&mut self.items);
        for (item, mark) in items.into_iter().zip(self.marks.drain(..)) {
            match mark {
                Mark::Open => self.items.push(item),
                Mark::Delivered => marked.delivered.push(item),
                Mark::Rejected(cause) => {
                    marked.rejected.push(item);
                    marked.causes.push(cause);
                }
            }
        }
        if self.items.len() < before {
            self.parent = Some(std::mem::replace(&mut self.id, BatchId::next()));
        }
        Some(marked)
    }
}

impl<T> Deref for Batch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

/// What [`Batch::take_marked`] takes out.
pub(crate) struct Marked<T> {
    pub(crate) delivered: Vec<T>,
    pub(crate) rejected: Vec<T>,
    /// Why, one for each of the rejected.
    pub(crate) causes: Vec<Cause>,
    /// For those who wait for one of them.
    pub(crate) answers: Answers,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(items: Vec<u32>) -> Batch<u32> {
        Batch::new(
            items,
            Waiters::default(),
            Trigger::Size,
            0,
            "test".into(),
            Instant::now(),
        )
    }

    #[test]
    fn marked_items_leave_in_order_and_the_rest_gets_a_new_id_that_knows_its_parent() {
        let mut batch = batch(vec![10, 11, 12, 13, 14]);
        let id = batch.id();
        batch.deliver(0..2);
        batch.reject(3, "bad");
        let marked = batch.take_marked().expect("some are marked");
        assert_eq!(marked.delivered, [10, 11]);
        assert_eq!((marked.rejected, marked.causes.len()), (vec![13], 1));
        assert_eq!(&batch[..], [12, 14]);
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
