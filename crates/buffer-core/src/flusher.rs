//! Takes one batch through one attempt, and says what is to become of it.

pub(crate) mod backoff;
pub(crate) mod hand;
pub(crate) mod hold;

use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::caught::{Caught, Panicked, caught, drop_caught};
use crate::chain::text_with_causes;
use crate::flush::batch::Batch;
use crate::flush::{Flush, FlushFuture};
use crate::flusher::backoff::{Backoff, Delays};
use crate::flusher::hold::Sign;
use crate::outcome::attempt::AttemptResult;
use crate::outcome::flush_error::{FlushError, FlushErrorKind};
use crate::outcome::reason::DropReason;

/// How attempts are made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// The limit of a batch's first attempt; it doubles from attempt to attempt.
    pub(crate) first_timeout: Duration,
    /// The limit that it doubles up to.
    pub(crate) flush_timeout: Duration,
    pub(crate) retries: u32,
    /// Whether attempts that time out spend no retries.
    pub(crate) free_timeouts: bool,
    pub(crate) backoff: Backoff,
    /// How long an outage may last before its batches are dropped, if there is a limit.
    pub(crate) give_up_after: Option<Duration>,
}

impl Policy {
    /// The policy of a rescue: what the sink holds from the dead runtime (pooled connections above all) may hang, so the
    /// first attempts are short, and those that time out are repeated for as long as the drain has time.
    fn for_rescue(self, drain_timeout: Duration) -> Self {
        Self {
            // More than nothing, as it doubles.
            first_timeout: (drain_timeout / 16)
                .max(Duration::from_millis(1))
                .min(self.flush_timeout),
            free_timeouts: true,
            ..self
        }
    }
}

/// A batch on its way, with what it has used up.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    pub(crate) batch: Batch<T>,
    retries: u32,
    timeout: Duration,
    delays: Delays,
    /// Whether there is a drain, for which its delays have started over.
    hurries: bool,
}

impl<T> Flight<T> {
    pub(crate) fn new(batch: Batch<T>, policy: &Policy) -> Self {
        Self {
            batch,
            retries: 0,
            timeout: policy.first_timeout,
            delays: policy.backoff.delays(),
            hurries: false,
        }
    }

    /// Starts over under another policy.
    pub(crate) fn restart(&mut self, policy: &Policy) {
        self.retries = 0;
        self.timeout = policy.first_timeout;
        self.delays = policy.backoff.delays();
    }

    /// There is a drain, which has no time for long delays: they start over, once.
    pub(crate) fn hurry(&mut self, policy: &Policy) {
        if !std::mem::replace(&mut self.hurries, true) {
            self.delays = policy.backoff.delays();
        }
    }

    /// How long to wait before the next attempt, if nothing else says so.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.delays.next().expect("delays never end")
    }
}

/// What is to become of the items that the sink did not mark.
#[derive(Debug)]
pub(crate) enum Verdict {
    Delivered,
    Again { error: FlushError },
    Divide { error: FlushError },
    Dropped { reason: DropReason, error: FlushError },
}

/// The result of an attempt.
pub(crate) struct Attempted {
    pub(crate) result: AttemptResult,
    pub(crate) verdict: Verdict,
    /// What it shows about the sink.
    pub(crate) sign: Sign,
}

/// The sink, and how it is asked. All workers of a buffer share one; those that are rescued have their own.
pub(crate) struct Flusher<T> {
    sink: Arc<dyn Flush<T>>,
    dead_letters: Option<Arc<dyn Flush<T>>>,
    pub(crate) policy: Policy,
}

impl<T> Drop for Flusher<T> {
    fn drop(&mut self) {
        // Two destructors that panic in one drop would abort the process.
        drop_caught(self.dead_letters.take());
    }
}

/// The attempt was cut off at its time limit.
#[derive(Debug, Error)]
#[error("the sink did not answer within {0:?}; it may have written the batch")]
pub(crate) struct TimedOut(pub(crate) Duration);

impl<T: Send + 'static> Flusher<T> {
    pub(crate) fn new(
        sink: Arc<dyn Flush<T>>,
        dead_letters: Option<Arc<dyn Flush<T>>>,
        policy: Policy,
    ) -> Self {
        Self {
            sink,
            dead_letters,
            policy,
        }
    }

    /// The same sinks, asked as in a rescue.
    pub(crate) fn for_rescue(&self, drain_timeout: Duration) -> Self {
        Self {
            sink: Arc::clone(&self.sink),
            dead_letters: self.dead_letters.clone(),
            policy: self.policy.for_rescue(drain_timeout),
        }
    }

    /// Whether there is a sink for what is dropped.
    pub(crate) fn has_dead_letters(&self) -> bool {
        self.dead_letters.is_some()
    }

    /// The one attempt to bury a batch of dead letters; in a rescue, where the first is short, those that time out are repeated
    /// up to the whole time limit.
    ///
    /// # Cancel safety
    ///
    /// Safe: the batch stays with the caller.
    pub(crate) async fn bury(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        let sink = self.dead_letters.as_ref();
        let sink = sink.expect("a burial begins only where there is a sink for it");
        let Policy {
            first_timeout,
            flush_timeout,
            ..
        } = self.policy;
        let mut limit = first_timeout;
        loop {
            batch.begin_attempt();
            let answer = within(limit, || sink.flush(batch)).await;
            let is_last = limit >= flush_timeout || batch.contents.were_taken();
            if is_last || !answer.as_ref().is_err_and(caused_by::<TimedOut>) {
                return answer;
            }
            limit = limit.saturating_mul(2).min(flush_timeout);
        }
    }

    /// One attempt: what is to become of the batch, and what it shows about the sink. What the sink marked is still in the batch.
    ///
    /// # Cancel safety
    ///
    /// Safe: the batch stays in `flight`, and the attempt counts as made.
    pub(crate) async fn attempt(&self, flight: &mut Flight<T>) -> Attempted {
        let Flight {
            batch,
            retries,
            timeout,
            delays,
            hurries: _,
        } = flight;
        batch.begin_attempt();
        let limit = *timeout;
        *timeout = limit.saturating_mul(2).min(self.policy.flush_timeout);
        let Err(error) = within(limit, || self.sink.flush(batch)).await else {
            return Attempted {
                result: AttemptResult::Ok,
                verdict: Verdict::Delivered,
                sign: match batch.contents.were_withdrawn() {
                    true => Sign::Nothing,
                    false => Sign::Answered,
                },
            };
        };
        let result = result(&error);
        let timed_out = caused_by::<TimedOut>(&error);
        // What was settled before the time was up is progress: slow calls, item by item or key by key, must neither use up the
        // retries of a sink that is well nor hold it. As each such attempt settles an item, there is an end to them.
        let progressed = timed_out && batch.contents.are_marked();
        let sign = match (progressed, batch.contents.has_delivered()) {
            (true, true) => Sign::Answered,
            // It may have refused them by itself, and be down.
            (true, false) => Sign::Nothing,
            // The cause is the sink's code too.
            (false, _) => caught(|| sign(&error)).unwrap_or(Sign::Nothing),
        };
        if progressed {
            *delays = self.policy.backoff.delays();
        }
        let free = progressed || timed_out && self.policy.free_timeouts;
        let verdict = match error.kind() {
            FlushErrorKind::Divisible => Verdict::Divide { error },
            FlushErrorKind::Permanent => Verdict::Dropped {
                reason: DropReason::Permanent,
                error,
            },
            FlushErrorKind::Transient | FlushErrorKind::Uncertain
                if !free && *retries >= self.policy.retries =>
            {
                Verdict::Dropped {
                    reason: DropReason::RetriesExhausted,
                    error,
                }
            }
            FlushErrorKind::Transient | FlushErrorKind::Uncertain => {
                *retries += u32::from(!free);
                Verdict::Again { error }
            }
            FlushErrorKind::Unavailable => Verdict::Again { error },
        };
        Attempted {
            result,
            verdict,
            sign,
        }
    }

    /// Tells the sinks that the last batch is through.
    pub(crate) async fn close_sinks(&self, limit: Duration) -> Result<(), FlushError> {
        let limit = limit.min(self.policy.flush_timeout);
        let close_dead_letters = async {
            match &self.dead_letters {
                Some(dead_letters) => within(limit, || dead_letters.close()).await,
                None => Ok(()),
            }
        };
        let (closed, dead_letters_closed) =
            tokio::join!(within(limit, || self.sink.close()), close_dead_letters);
        if closed.is_ok() {
            return dead_letters_closed;
        }
        drop_caught(dead_letters_closed);
        closed
    }
}

/// How an attempt that failed ended.
fn result(error: &FlushError) -> AttemptResult {
    match error.kind() {
        FlushErrorKind::Uncertain if caused_by::<TimedOut>(error) => AttemptResult::TimedOut,
        FlushErrorKind::Uncertain if caused_by::<Panicked>(error) => AttemptResult::Panicked,
        FlushErrorKind::Transient => AttemptResult::Transient,
        FlushErrorKind::Uncertain => AttemptResult::Uncertain,
        FlushErrorKind::Unavailable => AttemptResult::Unavailable,
        FlushErrorKind::Permanent => AttemptResult::Permanent,
        FlushErrorKind::Divisible => AttemptResult::Divisible,
    }
}

/// What an error shows about the sink as a whole.
fn sign(error: &FlushError) -> Sign {
    let cause = error.source().map(text_with_causes);
    let reason = cause.unwrap_or_else(|| error.to_string());
    match (error.kind(), error.requested_delay()) {
        (FlushErrorKind::Permanent | FlushErrorKind::Divisible, _) => Sign::Answered,
        (FlushErrorKind::Unavailable, delay) => Sign::Down {
            at_least: delay.unwrap_or_default(),
            reason,
        },
        (FlushErrorKind::Transient | FlushErrorKind::Uncertain, Some(at_least)) => {
            Sign::Down { at_least, reason }
        }
        (FlushErrorKind::Transient | FlushErrorKind::Uncertain, None) => {
            if caused_by::<Panicked>(error) {
                Sign::Nothing
            } else {
                Sign::Failed { reason }
            }
        }
    }
}

/// Whether the direct cause of `error` is an `E`.
pub(crate) fn caused_by<E: std::error::Error + 'static>(error: &FlushError) -> bool {
    error.source().is_some_and(|cause| cause.is::<E>())
}

/// Runs a call of the sink under a time limit and turns its panic into an error.
async fn within<'a>(
    limit: Duration,
    call: impl FnOnce() -> FlushFuture<'a> + Send,
) -> Result<(), FlushError> {
    match tokio::time::timeout(limit, asked(call)).await {
        Ok(answer) => answer,
        Err(_) => Err(FlushError::uncertain(TimedOut(limit))),
    }
}

/// Runs a call of the sink and turns its panic into an error. What the call borrows stays whole: the batch, whose items the
/// sink can only mark, and the sink itself, which decides by its own poisoning.
pub(crate) async fn asked<'a>(call: impl FnOnce() -> FlushFuture<'a> + Send) -> Result<(), FlushError> {
    let answered = match caught(call) {
        Ok(answer) => Caught::new(pin!(Some(answer))).await,
        Err(panicked) => Err(panicked),
    };
    answered.unwrap_or_else(|panicked| Err(FlushError::uncertain(panicked)))
}
