//! A batch that a test hands to a sink, without a buffer.

use std::error::Error;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::flush::Flush;
use crate::flush::batch::Batch;
use crate::flush::contents::Marked;
use crate::flusher::TimedOut;
use crate::outcome::causes::Causes;
use crate::outcome::flush_error::{FlushError, FlushErrorKind};
use crate::outcome::reason::DropReason;
use crate::partition::open::Sealed;
use crate::partition::trigger::Trigger;
use crate::partition::waiters::Waiters;
use crate::partition::weights::Weights;

/// A batch that a test hands to a sink, without a buffer, attempt by attempt.
///
/// It derefs to the [`Batch`]: the items that no attempt has settled, their id, and the number of attempts made.
///
/// # Examples
///
/// ```
/// use buffer_core::testing::TestBatch;
/// use buffer_core::{Batch, Flush, FlushError, FlushErrorKind, async_trait};
///
/// struct Table;
///
/// # async fn write(rows: &[&str]) -> Result<(), &'static str> { (rows.len() < 3).then_some(()).ok_or("the connection broke") }
/// #[async_trait]
/// impl Flush<&'static str> for Table {
///     async fn flush(&self, batch: &mut Batch<&'static str>) -> Result<(), FlushError> {
///         let rows: Vec<&str> = batch.iter().copied().filter(|row| !row.is_empty()).collect();
///         write(&rows).await.map_err(FlushError::uncertain)?;
///         for index in 0..batch.len() {
///             if batch[index].is_empty() {
///                 batch.reject(index, "the row is empty");
///             }
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let mut batch = TestBatch::new(["a", "", "b"]);
/// let flushed = batch.flush(&Table).await;
/// assert_eq!(flushed.delivered, ["a", "b"]);
/// assert_eq!(flushed.rejected[0].item, "");
/// assert_eq!(flushed.rejected[0].cause.to_string(), "the row is empty");
///
/// let mut batch = TestBatch::new(["a", "", "b", "c"]);
/// let flushed = batch.flush(&Table).await; // the connection breaks
/// assert_eq!(flushed.kind(), Some(FlushErrorKind::Uncertain));
/// assert_eq!(batch[..], ["a", "", "b", "c"]); // what the next attempt would get
/// # }
/// ```
#[derive(Debug)]
pub struct TestBatch<T> {
    batch: Batch<T>,
    flush_timeout: Duration,
}

/// What became of a [`TestBatch`] in one attempt.
///
/// # Examples
///
/// ```
/// use buffer_core::testing::{Reply, ScriptedSink, TestBatch};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let sink = ScriptedSink::new([Reply::reject(0, Reply::Ok)]); // your sink goes here
/// let flushed = TestBatch::new([1, 2]).flush(&sink).await;
/// assert_eq!(flushed.delivered, [2]);
/// assert!(flushed.error.is_none());
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Flushed<T> {
    /// The delivered items: those that the sink marked, then those that its `Ok` delivered, each in order.
    pub delivered: Vec<T>,
    /// The rejected items, in order.
    pub rejected: Vec<Rejected<T>>,
    /// How many items the sink [took](Batch::take) and did not mark: a buffer counts them as delivered after `Ok`, and drops them
    /// as unconfirmed after an error.
    pub taken: usize,
    /// How many items the sink [withdrew](Batch::withdraw) and did not mark: a buffer counts them as returned, whatever the answer.
    pub withdrawn: usize,
    /// What the sink answered, if it failed; it decides what a buffer would do with the items that are left.
    pub error: Option<FlushError>,
}

/// An item that the sink [rejected](Batch::reject).
///
/// # Examples
///
/// ```
/// use buffer_core::testing::{Reply, ScriptedSink, TestBatch};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let sink = ScriptedSink::new([Reply::reject(0, Reply::Ok)]); // your sink goes here
/// let flushed = TestBatch::new([1, 2]).flush(&sink).await;
/// assert_eq!((flushed.rejected[0].item, flushed.rejected.len()), (1, 1));
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Rejected<T> {
    /// The item.
    pub item: T,
    /// What it was rejected with.
    pub cause: Arc<dyn Error + Send + Sync>,
}

impl<T> Flushed<T> {
    /// The kind of the error, if the attempt failed.
    pub fn kind(&self) -> Option<FlushErrorKind> {
        self.error.as_ref().map(FlushError::kind)
    }
}

impl<T> TestBatch<T> {
    /// A batch of these items, before its first attempt, of partition 0 of the buffer `test`.
    pub fn new(items: impl Into<Vec<T>>) -> Self {
        let sealed = Sealed {
            items: items.into(),
            weights: Weights::default(),
            waiters: Waiters::default(),
            trigger: Trigger::Size,
            opened: Instant::now(),
        };
        Self {
            batch: Batch::new(sealed, 0, "test".into()),
            flush_timeout: Duration::from_secs(10),
        }
    }

    /// The same batch after this many attempts: the next one has the next number. Default: 0.
    #[must_use]
    pub fn after_attempts(mut self, attempts: u32) -> Self {
        for _ in 0..attempts {
            self.batch.begin_attempt();
        }
        self
    }

    /// The time limit of an attempt, as [`BufferBuilder::flush_timeout`](crate::BufferBuilder::flush_timeout). Default: 10 s.
    #[must_use]
    pub fn flush_timeout(mut self, limit: Duration) -> Self {
        self.flush_timeout = limit;
        self
    }

    /// The same items as dead letters, to test a [dead-letter sink](crate::BufferBuilder::dead_letters).
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_core::testing::{ScriptedSink, TestBatch};
    /// use buffer_core::{DropReason, FlushError};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let cemetery = ScriptedSink::new([]); // your sink goes here
    /// let mut dead = TestBatch::new([1, 2]).dropped(DropReason::Permanent, FlushError::permanent("the row is malformed"));
    /// assert_eq!(dead.flush(&cemetery).await.delivered, [1, 2]);
    /// assert_eq!(cemetery.attempts()[0].drop_reason, Some(DropReason::Permanent));
    /// # }
    /// ```
    #[must_use]
    pub fn dropped(mut self, reason: DropReason, error: FlushError) -> Self {
        let (parent, (all, _)) = (self.batch.id(), self.batch.contents.take_left());
        let causes = Causes::One(Arc::new(error));
        Self {
            batch: self
                .batch
                .dead_letters(parent, all.items, all.bytes, reason, causes),
            ..self
        }
    }

    /// Makes one attempt, as a buffer does: under the time limit, after which the error is
    /// [uncertain](FlushError::uncertain). What is neither delivered nor rejected stays in the batch.
    ///
    /// # Panics
    ///
    /// When the sink panics. A buffer would catch that; here an assertion in the sink fails the test.
    ///
    /// # Cancel safety
    ///
    /// Safe: the items stay, with the marks that the sink has made; the next attempt reports them.
    pub async fn flush(&mut self, sink: &(impl Flush<T> + ?Sized)) -> Flushed<T> {
        self.batch.begin_attempt();
        let limit = self.flush_timeout;
        let error = match timeout(limit, sink.flush(&mut self.batch)).await {
            Ok(answer) => answer.err(),
            Err(_) => Some(FlushError::uncertain(TimedOut(limit))),
        };
        let was_taken = self.batch.contents.were_taken();
        let (mut delivered, rejected) = self.take_marked();
        let withdrawn = self
            .batch
            .contents
            .take_withdrawn()
            .map_or(0, |(group, _)| group.count);
        let mut taken = 0;
        if error.is_none() || was_taken {
            let (mut left, _) = self.batch.contents.take_left();
            taken = left.count - left.items.len();
            delivered.append(&mut left.items);
        }
        Flushed {
            delivered,
            rejected,
            taken,
            withdrawn,
            error,
        }
    }

    fn take_marked(&mut self) -> (Vec<T>, Vec<Rejected<T>>) {
        let Some(marked) = self.batch.take_marked() else {
            return (Vec::new(), Vec::new());
        };
        let Marked {
            delivered,
            rejected,
            causes,
            answers: _,
        } = marked;
        let rejected = rejected.items.into_iter().zip(causes);
        let rejected = rejected.map(|(item, cause)| Rejected { item, cause });
        (delivered.items, rejected.collect())
    }
}

impl<T> Deref for TestBatch<T> {
    type Target = Batch<T>;

    fn deref(&self) -> &Batch<T> {
        &self.batch
    }
}
