//! A sink that answers by a script, and keeps what it saw and what it delivered.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::chain::text_with_causes;
use crate::flush::Flush;
use crate::flush::batch::Batch;
use crate::outcome::batch_id::BatchId;
use crate::outcome::flush_error::FlushError;
use crate::outcome::reason::DropReason;
use crate::partition::trigger::Trigger;
use crate::sync::{Mutex, Notify};
use crate::testing::gate::Gate;
use crate::testing::reply::Reply;

/// A sink that answers by a script, and keeps what it saw and what it delivered.
///
/// Its clones are the same sink: give one to the buffer, and look at the other in the test. It also serves as a dead-letter
/// sink, and then shows why items were dropped.
///
/// # Examples
///
/// ```
/// use buffer_core::Buffer;
/// use buffer_core::testing::{Reply, ScriptedSink};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = ScriptedSink::new([Reply::Unavailable, Reply::deliver(0..1, Reply::Never)]);
/// let buffer = Buffer::builder().partitions(1).build(sink.clone())?;
/// buffer.insert_batch(&mut vec!["a", "b"]).await?;
/// assert_eq!(buffer.close().await.ledger.delivered, 2);
///
/// let seen: Vec<_> = sink.attempts().into_iter().map(|attempt| attempt.items).collect();
/// assert_eq!(seen, [vec!["a", "b"], vec!["a", "b"], vec!["b"]]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ScriptedSink<T> {
    script: Arc<Script<T>>,
    gate: Option<Gate>,
    seen: Arc<Mutex<Seen<T>>>,
    /// Wakes whoever waits for an attempt.
    attempted: Arc<Notify>,
}

type Script<T> = dyn Fn(&Batch<T>) -> Reply + Send + Sync;

/// One attempt, as the sink saw it.
///
/// # Examples
///
/// ```
/// use buffer_core::testing::{Reply, ScriptedSink};
/// use buffer_core::{Buffer, Trigger};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = ScriptedSink::new([Reply::Transient]);
/// let buffer = Buffer::builder().build(sink.clone())?;
/// buffer.insert(7).await?;
/// buffer.flush().await;
/// let attempts = sink.attempts();
/// assert_eq!((attempts[0].number, attempts[1].number), (1, 2));
/// assert_eq!((&attempts[1].items[..], attempts[1].trigger), (&[7][..], Trigger::Request));
/// assert_eq!(attempts[0].id, attempts[1].id);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt<T> {
    /// The items of the batch.
    pub items: Vec<T>,
    /// The batch's id.
    pub id: BatchId,
    /// The id of the batch that these items were in before, if any.
    pub parent: Option<BatchId>,
    /// The attempt's number in its batch, counted from 1.
    pub number: u32,
    /// What sealed the batch.
    pub trigger: Trigger,
    /// The partition that the batch comes from, counted from 0.
    pub partition: usize,
    /// When it began.
    pub at: Instant,
    /// Why the items were dropped, if these are dead letters.
    pub drop_reason: Option<DropReason>,
    /// What caused the drop, if these are dead letters: for each item the text of its error and of all its causes, joined by
    /// `: `.
    pub drop_causes: Vec<String>,
}

struct Seen<T> {
    attempts: Vec<Attempt<T>>,
    delivered: Vec<T>,
    closed: usize,
}

/// What every error, rejection and panic of a script says.
const SCRIPTED: &str = "scripted";

impl<T: Clone + Send + Sync + 'static> ScriptedSink<T> {
    /// A sink that gives one of these replies to each attempt, in order and whichever the partition, and then [`Reply::Ok`].
    pub fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Mutex::new(script.into_iter().collect::<VecDeque<_>>());
        Self::answering(move |_| replies.lock().pop_front().unwrap_or(Reply::Ok))
    }

    /// A sink whose reply depends on the batch.
    ///
    /// # Examples
    ///
    /// A server that refuses every batch with a bad item in it, and does not say which:
    ///
    /// ```
    /// use buffer_core::testing::{Reply, ScriptedSink};
    /// use buffer_core::{Buffer, DropReason};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sink = ScriptedSink::answering(|batch| match batch.contains(&13) {
    ///     true => Reply::Divisible,
    ///     false => Reply::Ok,
    /// });
    /// let buffer = Buffer::builder().partitions(1).build(sink.clone())?;
    /// buffer.insert_batch(&mut (0..20).collect()).await?;
    /// assert_eq!(buffer.flush().await.dropped.count(DropReason::Rejected), 1);
    /// assert_eq!(sink.delivered(), (0..20).filter(|item| *item != 13).collect::<Vec<_>>());
    /// # Ok(())
    /// # }
    /// ```
    pub fn answering(script: impl Fn(&Batch<T>) -> Reply + Send + Sync + 'static) -> Self {
        let seen = Seen {
            attempts: Vec::new(),
            delivered: Vec::new(),
            closed: 0,
        };
        Self {
            script: Arc::new(script),
            gate: None,
            seen: Arc::new(Mutex::new(seen)),
            attempted: Arc::new(Notify::new()),
        }
    }

    /// The same sink behind a gate, at which attempts wait before they are answered until the test lets them through.
    ///
    /// # Examples
    ///
    /// See [`Gate`].
    pub fn gated(self) -> (Self, Gate) {
        let gate = Gate::closed();
        let sink = Self {
            gate: Some(gate.clone()),
            ..self
        };
        (sink, gate)
    }

    /// The items that it delivered, in the order in which it did.
    pub fn delivered(&self) -> Vec<T> {
        self.seen.lock().delivered.clone()
    }

    /// The attempts that have begun, including those that wait at the gate or were cut off.
    pub fn attempts(&self) -> Vec<Attempt<T>> {
        self.seen.lock().attempts.clone()
    }

    /// How often it was closed.
    pub fn closed(&self) -> usize {
        self.seen.lock().closed
    }

    /// Waits until this many attempts have begun since the sink was made.
    ///
    /// With paused time, the clock meanwhile runs on to whatever the buffer waits for: the end of an interval or of a backoff.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub async fn attempted(&self, attempts: usize) {
        loop {
            let mut notified = std::pin::pin!(self.attempted.notified());
            notified.as_mut().enable();
            if self.seen.lock().attempts.len() >= attempts {
                return;
            }
            notified.await;
        }
    }

    fn begin(&self, batch: &Batch<T>) -> Reply {
        let drop_causes = (0..batch.len()).filter_map(|index| batch.drop_cause(index));
        let attempt = Attempt {
            items: batch.to_vec(),
            id: batch.id(),
            parent: batch.parent(),
            number: batch.attempt(),
            trigger: batch.trigger(),
            partition: batch.partition(),
            at: Instant::now(),
            drop_reason: batch.drop_reason(),
            drop_causes: drop_causes.map(text_with_causes).collect(),
        };
        self.seen.lock().attempts.push(attempt);
        self.attempted.notify_waiters();
        // Outside the lock, and last: it is the test's code, and may panic.
        (self.script)(batch)
    }
}

#[async_trait]
impl<T: Clone + Send + Sync + 'static> Flush<T> for ScriptedSink<T> {
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        let mut reply = self.begin(batch);
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        let mut marked = vec![false; batch.len()];
        loop {
            reply = match reply {
                Reply::Ok => {
                    let left = batch.iter().zip(marked).filter(|(_, marked)| !marked);
                    let left: Vec<T> = left.map(|(item, _)| item.clone()).collect();
                    self.seen.lock().delivered.extend(left);
                    return Ok(());
                }
                Reply::Transient => return Err(FlushError::transient(SCRIPTED)),
                Reply::Uncertain => return Err(FlushError::uncertain(SCRIPTED)),
                Reply::Unavailable => return Err(FlushError::unavailable(SCRIPTED)),
                Reply::Divisible => return Err(FlushError::divisible(SCRIPTED)),
                Reply::Permanent => return Err(FlushError::permanent(SCRIPTED)),
                Reply::RetryAfter(delay, kind) => {
                    return Err(FlushError::new(kind, SCRIPTED.into()).retry_after(delay));
                }
                Reply::Never => std::future::pending().await,
                Reply::Panic => panic!("{SCRIPTED}"),
                Reply::Deliver(range, then) => {
                    marked[range.clone()].fill(true);
                    self.seen
                        .lock()
                        .delivered
                        .extend_from_slice(&batch[range.clone()]);
                    batch.deliver(range);
                    *then
                }
                Reply::Reject(index, then) => {
                    marked[index] = true;
                    batch.reject(index, SCRIPTED);
                    *then
                }
                Reply::After(delay, then) => {
                    sleep(delay).await;
                    *then
                }
            }
        }
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.seen.lock().closed += 1;
        Ok(())
    }
}

impl<T> fmt::Debug for ScriptedSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen {
            attempts,
            delivered,
            closed,
        } = &*self.seen.lock();
        f.debug_struct("ScriptedSink")
            .field("attempts", &attempts.len())
            .field("delivered", &delivered.len())
            .field("closed", closed)
            .finish_non_exhaustive()
    }
}
