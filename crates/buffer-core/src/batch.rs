//! A sealed group of items on its way through the sink.

use std::error::Error;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch_id::BatchId;
use crate::caught::drop_caught;
use crate::not_delivered::{NotDelivered, SharedCause};
use crate::open::Sealed;
use crate::reason::DropReason;
use crate::trigger::Trigger;
use crate::waiters::{Answer, Answers, Waiters};
use crate::weights::{Weights, in_bytes};

/// The items of one flush, borrowed by the sink for one attempt at a time.
///
/// It derefs to `[T]`. The framework owns the items through every attempt, so a sink that only borrows them can time
/// out, panic or be cancelled without losing one.
///
/// Without a word from the sink, `Ok` delivers all of them and an error none. A sink that knows better says so for single
/// items, before it returns: [`deliver`](Batch::deliver) and [`reject`](Batch::reject). One that can't do with borrowed items
/// [takes](Batch::take) them, and the risk with them; one that knows what is better for them than another attempt
/// [withdraws](Batch::withdraw) them.
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
    items: Vec<T>,
    /// How many items the sink has taken out; there is none in `items` then.
    taken: usize,
    /// Whether it has withdrawn those.
    withdrawn: bool,
    /// Empty until the sink marks an item; from then on one mark for each item.
    marks: Vec<Mark>,
    weights: Weights,
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
            Self::Rejected(cause) => Some(Err(NotDelivered::Dropped {
                reason: DropReason::Rejected,
                cause: Some(Arc::clone(cause)),
            })),
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
    One(SharedCause),
    /// One for each item, in order.
    Each(Vec<SharedCause>),
}

impl Causes {
    pub(crate) fn of(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::None => None,
            Self::One(cause) => Some(&**cause),
            Self::Each(causes) => causes.get(index).map(|cause| &**cause as &(dyn Error + 'static)),
        }
    }
}

/// What the sink said of one item.
#[derive(Debug)]
enum Mark {
    Open,
    Delivered,
    Rejected(SharedCause),
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
            items,
            taken: 0,
            withdrawn: false,
            marks: Vec::new(),
            weights,
            waiters,
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

    /// What the items weigh, as [`Builder::weigh`](crate::Builder::weigh) says; 0 without it.
    pub fn bytes(&self) -> u64 {
        self.weights.sum()
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
    ///         send(&batch[index]).await.map_err(FlushError::uncertain)?;
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
        self.marks()[index] = Mark::Rejected(error.into().into());
    }

    /// Takes all items out, for a sink that needs to own them; what the batch derefs to is empty from then on.
    ///
    /// This attempt is the last: unless it ends in `Ok`, the items are dropped, with the reason `unconfirmed`, as there is
    /// nothing left to try again or to bury. [`deliver`](Batch::deliver) and [`reject`](Batch::reject) still count, by the index
    /// that an item had. Prefer to borrow or to clone.
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
    /// /// Of a client library that wants owned rows, and answers when they are written.
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
    pub fn take(&mut self) -> Vec<T> {
        let items = std::mem::take(&mut self.items);
        self.taken += items.len();
        items
    }

    /// Takes all items back for good: they were not written, and the buffer is to have them no more. What the batch derefs to is
    /// empty from then on.
    ///
    /// Whatever the attempt ends in, be it `Ok`, an error or a time-out, it is the last, and they are
    /// [`Returned`](crate::Outcome::Returned): neither delivered nor dropped. Their room is freed then, and whoever waits for one has
    /// [`NotDelivered::Withdrawn`](crate::NotDelivered::Withdrawn). An error still says how the sink is; an
    /// `Ok` does not, as nothing was written.
    /// [`deliver`](Batch::deliver) and [`reject`](Batch::reject) count as for [`take`](Batch::take), after which there is nothing
    /// to withdraw. What was withdrawn from a batch of dead letters stays dropped.
    ///
    /// # Examples
    ///
    /// A sink of gauges, of which the newest value counts: it does not write old ones.
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
    pub fn withdraw(&mut self) -> Vec<T> {
        self.withdrawn |= self.taken == 0 && !self.items.is_empty();
        self.take()
    }

    fn marks(&mut self) -> &mut [Mark] {
        self.marks.resize_with(self.count(), || Mark::Open);
        &mut self.marks
    }

    /// The number of items, those included that the sink has taken out.
    pub(crate) fn count(&self) -> usize {
        self.items.len() + self.taken
    }

    /// Whether the sink has withdrawn all of it, and so says nothing of itself.
    pub(crate) fn was_withdrawn(&self) -> bool {
        self.taken > 0 && self.withdrawn && !self.is_marked()
    }

    /// Whether the sink has taken the items out, to withdraw them or not.
    pub(crate) fn was_taken(&self) -> bool {
        self.taken > 0
    }

    /// Whether the sink has said something of single items.
    pub(crate) fn is_marked(&self) -> bool {
        self.marks.iter().any(|mark| !matches!(mark, Mark::Open))
    }

    /// Whether an attempt was made at its items before.
    pub(crate) fn was_offered(&self) -> bool {
        self.attempt > 0 || self.parent.is_some()
    }

    pub(crate) fn begin_attempt(&mut self) {
        self.attempt += 1;
    }

    /// Splits the batch in two, in order; each half is a batch of its own that knows its parent. Marks are settled before, and
    /// what was taken.
    pub(crate) fn halves(mut self) -> (Self, Self) {
        let middle = self.items.len() / 2;
        let second = (
            self.items.split_off(middle),
            self.weights.split_off(middle),
            self.waiters.split_off(middle),
        );
        let first = (
            std::mem::take(&mut self.items),
            std::mem::take(&mut self.weights),
            std::mem::take(&mut self.waiters),
        );
        let [first, second] = [first, second].map(|(items, weights, waiters)| Self {
            waiters,
            ..self.child(self.id, items, weights)
        });
        (first, second)
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
            ..self.child(parent, items, Weights::in_all(bytes))
        }
    }

    /// A batch of items that were in this one.
    fn child(&self, parent: BatchId, items: Vec<T>, weights: Weights) -> Self {
        Self {
            items,
            taken: 0,
            withdrawn: false,
            marks: Vec::new(),
            weights,
            waiters: Waiters::default(),
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

    /// Makes a batch of dead letters of items that never came into a batch of the worker's.
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

    pub(crate) fn fate(&self) -> Option<&Fate> {
        self.fate.as_ref()
    }

    /// Splits dead letters into the items and why they were dropped. What their sink said of single items is dropped: causes, which
    /// are user code.
    pub(crate) fn into_fate(mut self) -> (Vec<T>, Causes) {
        drop_caught(std::mem::take(&mut self.marks));
        let causes = self.fate.take().map_or(Causes::None, |fate| fate.causes);
        (self.items, causes)
    }

    /// Takes everything out, with the answer for those who wait for an item: the batch is settled.
    pub(crate) fn settle(&mut self, answer: &Answer) -> (Group<T>, Answers) {
        let answers = self.waiters.take(answer);
        (self.take_all(), answers)
    }

    /// Takes everything out, and those who wait for an item: they learn that it was left over when they are dropped.
    pub(crate) fn take_left(&mut self) -> (Group<T>, Waiters) {
        let waiters = std::mem::take(&mut self.waiters);
        (self.take_all(), waiters)
    }

    fn take_all(&mut self) -> Group<T> {
        self.marks.clear();
        let count = self.count();
        self.taken = 0;
        self.withdrawn = false;
        Group {
            items: std::mem::take(&mut self.items),
            count,
            bytes: std::mem::take(&mut self.weights).sum(),
        }
    }

    /// Takes out what the sink has taken and not confirmed, if it has.
    pub(crate) fn take_unconfirmed(&mut self) -> Option<(Group<T>, Answers)> {
        let unconfirmed = NotDelivered::Dropped {
            reason: DropReason::Unconfirmed,
            cause: None,
        };
        (self.taken > 0 && !self.withdrawn).then(|| self.settle(&Err(unconfirmed)))
    }

    /// Takes out what the sink has withdrawn, if it has.
    pub(crate) fn take_withdrawn(&mut self) -> Option<(Group<T>, Answers)> {
        (self.taken > 0 && self.withdrawn).then(|| self.settle(&Err(NotDelivered::Withdrawn)))
    }

    /// Takes the items out that the sink marked; what stays is a batch of its own, with a new id.
    pub(crate) fn take_marked(&mut self) -> Option<Marked<T>> {
        if self.marks.is_empty() {
            return None;
        }
        let answers = self.waiters.take_answered(self.marks.iter().map(Mark::answer));
        let mut marked = Marked {
            delivered: Group::empty(),
            rejected: Group::empty(),
            causes: Vec::new(),
            answers,
        };
        let before = self.count();
        let were_taken = std::mem::take(&mut self.taken) > 0;
        let weights = std::mem::take(&mut self.weights);
        let mut items = std::mem::take(&mut self.items).into_iter();
        for (index, mark) in self.marks.drain(..).enumerate() {
            // None where the sink has it.
            let item = items.next();
            let bytes = weights.of(index);
            match mark {
                Mark::Open => {
                    self.items.extend(item);
                    self.taken += usize::from(were_taken);
                    self.weights.push(bytes);
                }
                Mark::Delivered => marked.delivered.add(item, bytes),
                Mark::Rejected(cause) => {
                    marked.rejected.add(item, bytes);
                    marked.causes.push(cause);
                }
            }
        }
        if self.count() < before {
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
    pub(crate) delivered: Group<T>,
    pub(crate) rejected: Group<T>,
    /// Why, one for each of the rejected.
    pub(crate) causes: Vec<SharedCause>,
    /// For those who wait for one of them.
    pub(crate) answers: Answers,
}

/// Items that leave a batch together.
pub(crate) struct Group<T> {
    /// None where the sink has them.
    pub(crate) items: Vec<T>,
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

impl<T> Group<T> {
    fn empty() -> Self {
        Self {
            items: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }

    fn add(&mut self, item: Option<T>, bytes: Option<usize>) {
        self.items.extend(item);
        self.count += 1;
        self.bytes = self.bytes.saturating_add(in_bytes(bytes));
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

    #[test]
    fn what_was_withdrawn_is_counted_by_its_marks_and_the_rest_goes_back() {
        let mut batch = batch(vec![10, 11, 12]);
        batch.deliver(0..1);
        assert_eq!(batch.withdraw(), [10, 11, 12]);
        assert!(batch.withdraw().is_empty() && batch.take().is_empty());
        let marked = batch.take_marked().expect("one is marked");
        assert_eq!((marked.delivered.count, marked.delivered.bytes), (1, 10));
        assert!(batch.take_unconfirmed().is_none());
        let (withdrawn, _) = batch.take_withdrawn().expect("two are left");
        assert_eq!((withdrawn.count, withdrawn.bytes), (2, 23));
    }

    #[test]
    fn what_was_taken_before_can_t_be_withdrawn() {
        let mut batch = batch(vec![10]);
        assert_eq!((batch.take(), batch.withdraw()), (vec![10], vec![]));
        assert!(batch.take_withdrawn().is_none() && batch.take_unconfirmed().is_some());
    }

    #[test]
    fn what_was_taken_is_counted_by_its_marks_and_the_rest_is_unconfirmed() {
        let mut batch = batch(vec![10, 11, 12, 13]);
        batch.deliver(0..1);
        assert_eq!(batch.take(), [10, 11, 12, 13]);
        batch.reject(3, "bad");
        let marked = batch.take_marked().expect("some are marked");
        assert_eq!((marked.delivered.count, marked.delivered.bytes), (1, 10));
        assert_eq!((marked.rejected.count, marked.rejected.bytes), (1, 13));
        let (unconfirmed, _) = batch.take_unconfirmed().expect("two are left");
        assert_eq!((unconfirmed.count, unconfirmed.bytes), (2, 23));
        assert_eq!((batch.count(), batch.bytes()), (0, 0));
    }
}
