//! Wraps the user's sink, and sends a batch that was certainly not written back into the sums.
//!
//! Invariants
//! 1. A batch goes back only while every attempt at it is known not to have written it.
//! 2. It goes back between two attempts: what the sink marked in the last one is settled and out of the batch by then.

use std::future::poll_fn;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use buffer_core::{Batch, Flush, FlushError, FlushErrorKind, async_trait};
use parking_lot::Mutex;

use crate::caught::caught;
use crate::count::Count;
use crate::windows::Windows;

/// The user's sink, and what is known of each partition's current batch.
pub(crate) struct CountSink<K, S> {
    sink: S,
    windows: Arc<Windows<K>>,
    retries: u32,
    known: Box<[Mutex<Known>]>,
}

/// What is known of a batch. A partition tries one batch until it is settled, so it has one of these.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Whether an attempt may have written it.
    unsure: bool,
    /// The answered attempts that certainly did not write it, without those that found the sink down.
    refused: u32,
    /// The attempts in which the sink panicked.
    panics: u32,
}

impl<K, S> CountSink<K, S> {
    pub(crate) fn new(sink: S, windows: Arc<Windows<K>>, retries: u32, partitions: usize) -> Self {
        Self {
            sink,
            windows,
            retries,
            known: (0..partitions).map(|_| Mutex::default()).collect(),
        }
    }
}

#[async_trait]
impl<K, S> Flush<Count<K>> for CountSink<K, S>
where
    K: Hash + Eq + Clone + Send + 'static,
    S: Flush<Count<K>>,
{
    async fn flush(&self, batch: &mut Batch<Count<K>>) -> Result<(), FlushError> {
        let known = self.begin(batch);
        // By invariant 1. Invariant 2 holds, as no attempt is running.
        if !known.unsure && known.refused > self.retries && self.merge_back(batch) {
            // The sink was not asked, so this says nothing of it: an error would be one of the sink's.
            return Ok(());
        }
        if known.panics > self.retries {
            // A bug in the sink that these counts would trigger again: an outage does not panic.
            return Err(FlushError::permanent(
                "the sink panics at this batch again and again",
            ));
        }
        let current = &self.known[batch.partition()];
        // A time-out never reaches the end of this function, so it leaves the batch unsure.
        let sink = &self.sink;
        let mut attempt = counting_panics(current, || sink.flush(batch));
        let answer = poll_fn(|context| counting_panics(current, || attempt.as_mut().poll(context)));
        let answer = answer.await;
        // A destructor that panics does not change the answer, which would be asked for again and again.
        let _ = caught(|| drop(attempt));
        if let Err(error) = &answer {
            *current.lock() = known.after(error.kind());
        }
        answer
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.sink.close().await
    }
}

impl<K: Hash + Eq + Clone, S> CountSink<K, S> {
    /// What is known of the batch before this attempt, which may write it.
    fn begin(&self, batch: &Batch<Count<K>>) -> Known {
        let mut current = self.known[batch.partition()].lock();
        if batch.attempt() == 1 {
            *current = Known::default();
        }
        let known = *current;
        current.unsure = true;
        known
    }

    /// Puts the batch back into the sums, unless the counters are closed or a key's `Hash` panics: then the sink is asked again, in the
    /// first case until the drain's time is up.
    fn merge_back(&self, batch: &mut Batch<Count<K>>) -> bool {
        let hash = |count: &Count<K>| caught(|| self.windows.sums.hash(&count.key));
        // A panic that went on from here would come again in each attempt, and keep the partition for good.
        let hashes: Option<Vec<u64>> = batch.iter().map(hash).collect();
        hashes.is_some_and(|hashes| self.windows.merge_back(hashes, || batch.withdraw()).is_ok())
    }
}

impl Known {
    /// What is known when an attempt has ended in an error of this kind.
    fn after(self, kind: FlushErrorKind) -> Self {
        match kind {
            FlushErrorKind::Transient => Self {
                refused: self.refused.saturating_add(1),
                ..self
            },
            FlushErrorKind::Unavailable => self,
            // The sink says that nothing of the batch is written; its halves begin anew.
            FlushErrorKind::Divisible => Self::default(),
            // The batch ends here.
            FlushErrorKind::Permanent => self,
            // Uncertain, and kinds that are not known yet.
            _ => Self { unsure: true, ..self },
        }
    }
}

/// Counts a panic of the sink, and lets it go on to the buffer.
fn counting_panics<T>(current: &Mutex<Known>, call: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        current.lock().panics += 1;
        resume_unwind(panic)
    })
}
