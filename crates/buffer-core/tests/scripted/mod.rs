//! A sink that answers by a script and keeps what it delivered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Batch, BatchId, Flush, FlushError, Trigger, async_trait};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What the sink does in one attempt.
#[derive(Debug, Clone, PartialEq)]
#[allow(dead_code, reason = "each test binary uses the replies it needs")]
pub(crate) enum Reply {
    Ok,
    Transient,
    TransientAfter(Duration),
    Uncertain,
    Unavailable,
    Permanent,
    /// Never answers.
    Never,
    Panic,
    /// Delivers the first so many, then fails.
    DeliverThenTransient(usize),
    /// Delivers the first so many, then never answers.
    DeliverThenNever(usize),
    /// Sets one item aside and delivers the rest.
    Reject(usize),
    /// Sets one item aside and fails.
    RejectThenTransient(usize),
}

/// One attempt, as the sink saw it.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "each test binary looks at what it needs")]
pub(crate) struct Attempt<T> {
    pub(crate) items: Vec<T>,
    pub(crate) id: BatchId,
    pub(crate) parent: Option<BatchId>,
    pub(crate) number: u32,
    pub(crate) trigger: Trigger,
    pub(crate) partition: usize,
    pub(crate) at: Instant,
}

/// Plays its script attempt by attempt, then answers `Ok`.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedSink<T> {
    state: Arc<Mutex<State<T>>>,
    /// A permit for each attempt that may begin.
    gate: Option<Arc<Semaphore>>,
}

#[derive(Debug)]
struct State<T> {
    script: VecDeque<Reply>,
    attempts: Vec<Attempt<T>>,
    delivered: Vec<T>,
    closed: usize,
}

#[allow(dead_code, reason = "each test binary uses what it needs")]
impl<T: Clone + Send + Sync + 'static> ScriptedSink<T> {
    pub(crate) fn new(script: impl IntoIterator<Item = Reply>) -> Self {
        let state = State {
            script: script.into_iter().collect(),
            attempts: Vec::new(),
            delivered: Vec::new(),
            closed: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            gate: None,
        }
    }

    /// A sink whose attempts wait until the test opens the gate for them.
    pub(crate) fn gated() -> (Self, Arc<Semaphore>) {
        Self::gated_with([])
    }

    /// The same with a script.
    pub(crate) fn gated_with(script: impl IntoIterator<Item = Reply>) -> (Self, Arc<Semaphore>) {
        let gate = Arc::new(Semaphore::new(0));
        let sink = Self {
            gate: Some(Arc::clone(&gate)),
            ..Self::new(script)
        };
        (sink, gate)
    }

    pub(crate) fn delivered(&self) -> Vec<T> {
        self.state.lock().delivered.clone()
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt<T>> {
        self.state.lock().attempts.clone()
    }

    pub(crate) fn closed(&self) -> usize {
        self.state.lock().closed
    }
}

#[async_trait]
impl<T: Clone + Send + Sync + 'static> Flush<T> for ScriptedSink<T> {
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        if let Some(gate) = &self.gate {
            gate.acquire().await.expect("the gate is never closed").forget();
        }
        let reply = {
            let mut state = self.state.lock();
            state.attempts.push(Attempt {
                items: batch.to_vec(),
                id: batch.id(),
                parent: batch.parent(),
                number: batch.attempt(),
                trigger: batch.trigger(),
                partition: batch.partition(),
                at: Instant::now(),
            });
            state.script.pop_front().unwrap_or(Reply::Ok)
        };
        let deliver = |items: &[T]| self.state.lock().delivered.extend_from_slice(items);
        match reply {
            Reply::Ok => deliver(batch),
            Reply::Transient => return Err(FlushError::transient("scripted")),
            Reply::TransientAfter(delay) => return Err(FlushError::transient("scripted").retry_after(delay)),
            Reply::Uncertain => return Err(FlushError::uncertain("scripted")),
            Reply::Unavailable => return Err(FlushError::unavailable("scripted")),
            Reply::Permanent => return Err(FlushError::permanent("scripted")),
            Reply::Never => std::future::pending().await,
            Reply::Panic => panic!("scripted"),
            Reply::DeliverThenTransient(count) => {
                deliver(&batch[..count]);
                batch.deliver(0..count);
                return Err(FlushError::transient("scripted"));
            }
            Reply::DeliverThenNever(count) => {
                deliver(&batch[..count]);
                batch.deliver(0..count);
                std::future::pending().await
            }
            Reply::Reject(index) => {
                batch.reject(index, "scripted");
                deliver(&batch[..index]);
                deliver(&batch[index + 1..]);
            }
            Reply::RejectThenTransient(index) => {
                batch.reject(index, "scripted");
                return Err(FlushError::transient("scripted"));
            }
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.state.lock().closed += 1;
        Ok(())
    }
}
