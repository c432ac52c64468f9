//! Takes a partition's batches one by one, and flushes each until it is settled.

use std::error::Error as _;
use std::future::poll_fn;
use std::iter;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::Span;

use crate::caught::{caught, drop_caught, drop_each_caught};
use crate::chain::text_with_causes;
use crate::drain::Left;
use crate::flush::batch::Batch;
use crate::flush::contents::{Group, Marked};
use crate::flusher::hand::{Hand, Undivided};
use crate::flusher::{Attempted, Flusher, Verdict};
use crate::outcome::attempt::{AttemptResult, BatchOutcome};
use crate::outcome::batch_id::BatchId;
use crate::outcome::causes::Causes;
use crate::outcome::flush_error::FlushError;
use crate::outcome::not_delivered::{NotDelivered, SharedCause};
use crate::outcome::reason::DropReason;
use crate::outcome::{Outcome, Settled};
use crate::partition::{Next, Partition};
use crate::shared::Shared;
use crate::worker::burial::{Burial, forget};
use crate::worker::pass::{OutOfTime, Waited, wait_to_pass};

/// The path of one partition's batches through the sink. All its state lies in this struct and none in its futures.
pub(crate) struct Lane<T> {
    pub(crate) shared: Arc<Shared<T>>,
    pub(crate) flusher: Arc<Flusher<T>>,
    pub(crate) index: usize,
    hand: Hand<T>,
    /// Whether the last attempt is to be reported.
    is_unreported: bool,
    /// The burial of what it has dropped, before it goes on. None if nothing was dropped.
    burial: Option<Box<Burial<T>>>,
}

/// Says that the batch of an attempt is still there.
const STAYS_IN_HAND: &str = "a batch stays in hand until it is settled";

/// Why a lane has nothing to do.
enum Rest {
    /// Until it is woken.
    Waits,
    /// The partition is closed and drained.
    Ended,
}

impl<T: Send + 'static> Lane<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, flusher: Arc<Flusher<T>>, index: usize) -> Self {
        Self {
            shared,
            flusher,
            index,
            hand: Hand::empty(),
            is_unreported: false,
            burial: None,
        }
    }

    /// Starts over with another flusher.
    pub(crate) fn set_flusher(&mut self, flusher: Arc<Flusher<T>>) {
        self.hand.restart(&flusher.policy);
        if let Some(burial) = &mut self.burial {
            burial.set_flusher(Arc::clone(&flusher));
        }
        self.flusher = flusher;
    }

    /// Flushes one batch after the other until the partition is closed and drained.
    ///
    /// # Cancel safety
    ///
    /// Safe: a second call goes on where the first was dropped.
    pub(crate) async fn flush_all(&mut self) -> ControlFlow<OutOfTime> {
        loop {
            // Boxed, as it is large, and a lane that has nothing to do needs none.
            let rest = Box::pin(self.flush_what_is_there()).await?;
            match rest {
                // Whoever sealed a batch, or inserted the first item, since the lane looked has left a permit.
                Rest::Waits => self.partition().woken().await,
                Rest::Ended => return ControlFlow::Continue(()),
            }
        }
    }

    /// Flushes one batch after the other until there is none, and none to wait for.
    ///
    /// # Cancel safety
    ///
    /// Safe, as for [`flush_all`](Lane::flush_all).
    async fn flush_what_is_there(&mut self) -> ControlFlow<OutOfTime, Rest> {
        loop {
            // A sink that is always ready would keep other tasks off this thread, and so would a caller that asks for flush after flush.
            tokio::task::consume_budget().await;
            self.flush_hand().await?;
            let report = |reading| self.shared.report_read(iter::once((self.index, reading)));
            let report = std::mem::take(&mut self.is_unreported).then_some(report);
            match self.shared.partitions[self.index].next(Instant::now(), report) {
                Next::Flush(sealed) => {
                    let batch = Batch::new(sealed, self.index, Arc::clone(&self.shared.name));
                    self.shared.meter.batch(batch.len(), batch.bytes());
                    self.hand.take(batch, &self.flusher.policy);
                }
                Next::WaitUntil(due) => tokio::select! {
                    () = self.partition().woken() => {}
                    () = sleep_until(due) => {}
                },
                Next::Wait => {
                    self.hand.shrink();
                    return ControlFlow::Continue(Rest::Waits);
                }
                Next::Gather => tokio::task::yield_now().await,
                Next::End => return ControlFlow::Continue(Rest::Ended),
            }
        }
    }

    /// Flushes the batch in hand until all of it is settled.
    async fn flush_hand(&mut self) -> ControlFlow<OutOfTime> {
        loop {
            self.settle_cut_off();
            if self.burial.is_some() {
                // The dead-letter sink may take its time.
                report_unreported(&mut self.is_unreported, &self.shared, self.index);
            }
            if let Some(burial) = &mut self.burial {
                burial.bury().await?;
                self.burial = None;
            }
            let Some(flight) = self.hand.front() else {
                return ControlFlow::Continue(());
            };
            if flight.batch.is_empty() {
                self.shared.hold.leave(self.index);
                self.hand.settled();
                continue;
            }
            let id = flight.batch.id();
            let patience = self
                .flusher
                .policy
                .give_up_after
                .map(|limit| (limit, flight.batch.opened()));
            // All may be held meanwhile.
            report_unreported(&mut self.is_unreported, &self.shared, self.index);
            if let Waited::TooLong = wait_to_pass(&self.shared, self.index, patience).await? {
                let error = FlushError::unavailable(self.shared.hold.reason());
                self.condemn(id, DropReason::GivenUp, error);
                self.shared.report();
                continue;
            }
            if flight.batch.was_offered() {
                self.shared.partitions[self.index].count_retry(flight.batch.len());
            }
            let (began, draining) = (Instant::now(), self.shared.drain.has_begun());
            if draining {
                flight.hurry(&self.flusher.policy);
            }
            let Some(attempted) = self.attempt().await else {
                return ControlFlow::Break(OutOfTime);
            };
            let Attempted {
                result,
                verdict,
                sign,
            } = attempted;
            let now = Instant::now();
            self.partition().count_attempt(result);
            let holds = self.shared.hold.report(self.index, sign, began, now);
            let (outcome, again) = self.settle(verdict, holds);
            self.shared.meter.attempt(outcome, now - began);
            match result {
                // With what comes next.
                AttemptResult::Ok => self.is_unreported = true,
                _ => self.shared.report(),
            }
            if let Some(delay) = again {
                self.back_off(delay, draining).await?;
            }
            // A sink that is always ready would keep other tasks off this thread.
            tokio::task::consume_budget().await;
        }
    }

    /// One attempt at the batch in hand; none if the drain's time is up before it ends.
    async fn attempt(&mut self) -> Option<Attempted> {
        let Self {
            shared,
            flusher,
            index,
            hand,
            ..
        } = self;
        let flight = hand.front()?;
        let batch = &flight.batch;
        let span = || {
            tracing::debug_span!(
                "flush",
                buffer = &*shared.name,
                partition = index,
                batch = %batch.id(),
                items = batch.len(),
                attempt = batch.attempt() + 1,
                trigger = %batch.trigger(),
            )
        };
        // The subscriber is user code.
        let span = caught(span).unwrap_or_else(|_| Span::none());
        let _in_flight = shared.meter.begin_attempt();
        let attempt = in_span(span, flusher.attempt(flight));
        tokio::select! {
            biased;
            attempted = at_first_wait(attempt, || shared.report()) => Some(attempted),
            () = shared.drain.deadline_passed() => None,
        }
    }

    /// Sleeps between two attempts. If a drain began since the last one, that ends the sleep, which may be longer than the drain has.
    async fn back_off(&mut self, delay: Duration, draining: bool) -> ControlFlow<OutOfTime> {
        let drain = &self.shared.drain;
        tokio::select! {
            biased;
            () = drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
            () = drain.begun(), if !draining => {}
            () = sleep(delay) => {}
        }
        ControlFlow::Continue(())
    }

    /// Settles what the attempt decided; says what became of the batch, and how long to wait when the same items are to be tried
    /// again. If the attempt `holds` all partitions, the hold has delays of its own, and leaves the batch's to the batch.
    fn settle(&mut self, verdict: Verdict, holds: bool) -> (BatchOutcome, Option<Duration>) {
        let flight = self.hand.front().expect(STAYS_IN_HAND);
        let batch = &flight.batch;
        // What the sink did not mark was offered under this id too.
        let (id, offered) = (batch.id(), batch.contents.count());
        self.settle_marked();
        let withdrawn = self.settle_withdrawn(id);
        let unconfirmed = !matches!(verdict, Verdict::Delivered) && self.settle_unconfirmed(id);
        let Self {
            shared,
            flusher,
            index,
            hand,
            ..
        } = self;
        let flight = hand.front().expect(STAYS_IN_HAND);
        let batch = &flight.batch;
        if batch.contents.count() == 0 {
            drop_caught(verdict);
            let outcome = match (withdrawn, unconfirmed) {
                (true, _) => BatchOutcome::Returned,
                (false, true) => BatchOutcome::Dropped,
                (false, false) => BatchOutcome::Delivered,
            };
            return (outcome, None);
        }
        let outcome = match verdict {
            Verdict::Delivered => {
                self.deliver(id);
                BatchOutcome::Delivered
            }
            Verdict::Again { error } => {
                let (id, attempt) = (batch.id(), batch.attempt());
                let delay = (!holds).then(|| flight.next_delay());
                let shown = delay.map(tracing::field::debug);
                // The subscriber is user code, and so is the error.
                let _ = caught(|| {
                    tracing::debug!(
                        buffer = &*shared.name,
                        partition = index,
                        %id,
                        attempt,
                        delay = shown,
                        %error,
                        cause = error.source().map(text_with_causes),
                        "again"
                    );
                });
                drop_caught(error);
                return (BatchOutcome::TriedAgain, delay);
            }
            // What was refused together with marked items may be innocent.
            Verdict::Divide { error } if offered == 1 => self.condemn(id, DropReason::Rejected, error),
            Verdict::Divide { error } => match hand.split(&flusher.policy) {
                Ok(()) => {
                    drop_caught(error);
                    BatchOutcome::Divided
                }
                Err(Undivided) => self.condemn(id, DropReason::Undivided, error),
            },
            Verdict::Dropped { reason, error } => self.condemn(id, reason, error),
        };
        (outcome, None)
    }

    /// Settles the batch in hand as delivered, in an attempt under this id.
    fn deliver(&mut self, id: BatchId) {
        let Some(flight) = self.hand.front() else { return };
        let (group, answers) = flight.batch.contents.settle(&Ok(()));
        self.settle_kept(id, Outcome::Delivered, group);
        answers.send();
    }

    /// Settles the batch in hand as dropped, after an attempt under this id.
    fn condemn(&mut self, id: BatchId, reason: DropReason, error: FlushError) -> BatchOutcome {
        if let Some(flight) = self.hand.front() {
            let cause: SharedCause = Arc::new(error);
            let dropped = NotDelivered::Dropped {
                reason,
                cause: Some(Arc::clone(&cause)),
            };
            let (group, answers) = flight.batch.contents.settle(&Err(dropped));
            self.settle_dropped(id, group, reason, Causes::One(cause));
            answers.send();
        }
        BatchOutcome::Dropped
    }

    /// Settles the items that the sink marked in the batch in hand.
    fn settle_marked(&mut self) {
        let Some(flight) = self.hand.front() else { return };
        let id = flight.batch.id();
        let Some(marked) = flight.batch.take_marked() else {
            return;
        };
        let Marked {
            delivered,
            rejected,
            causes,
            answers,
        } = marked;
        self.settle_kept(id, Outcome::Delivered, delivered);
        self.settle_dropped(id, rejected, DropReason::Rejected, Causes::Each(causes));
        answers.send();
    }

    /// Settles what an attempt that was cut off has left: marks, and items that it took.
    fn settle_cut_off(&mut self) {
        let Some(flight) = self.hand.front() else { return };
        let id = flight.batch.id();
        self.settle_marked();
        self.settle_withdrawn(id);
        self.settle_unconfirmed(id);
    }

    /// Settles the items that the sink has taken back for good; says whether there are any.
    fn settle_withdrawn(&mut self, id: BatchId) -> bool {
        let withdrawn = self
            .hand
            .front()
            .and_then(|flight| flight.batch.contents.take_withdrawn());
        let Some((group, answers)) = withdrawn else {
            return false;
        };
        self.settle_kept(id, Outcome::Returned, group);
        answers.send();
        true
    }

    /// Settles the items that the sink took out of the batch in hand and did not confirm; says whether there are any.
    fn settle_unconfirmed(&mut self, id: BatchId) -> bool {
        let unconfirmed = self
            .hand
            .front()
            .and_then(|flight| flight.batch.contents.take_unconfirmed());
        let Some((group, answers)) = unconfirmed else {
            return false;
        };
        self.settle_dropped(id, group, DropReason::Unconfirmed, Causes::None);
        answers.send();
        true
    }

    /// Settles what the sink keeps: it is delivered, or returned.
    fn settle_kept(&self, id: BatchId, outcome: Outcome, group: Group<T>) {
        let Group { items, count, bytes } = group;
        self.shared.settle(&Settled {
            outcome,
            items: &items,
            count,
            bytes,
            partition: self.index,
            batch: Some(id),
            causes: &Causes::None,
        });
        drop_each_caught(items);
    }

    fn settle_dropped(&mut self, id: BatchId, group: Group<T>, reason: DropReason, causes: Causes) {
        let Group { items, count, bytes } = group;
        self.shared.settle(&Settled {
            outcome: Outcome::Dropped(reason),
            items: &items,
            count,
            bytes,
            partition: self.index,
            batch: Some(id),
            causes: &causes,
        });
        if items.is_empty() || !self.flusher.has_dead_letters() {
            forget(items, causes);
            return;
        }
        let flight = self.hand.front().expect(STAYS_IN_HAND);
        let dead = flight.batch.dead_letters(id, items, bytes, reason, causes);
        let burial = || Burial::new(Arc::clone(&self.shared), Arc::clone(&self.flusher), self.index);
        self.burial.get_or_insert_with(|| Box::new(burial())).add(dead);
    }

    /// Takes everything that is left: the batch in hand first, as it is the oldest.
    pub(crate) fn take_left(&mut self) -> Left<T> {
        self.settle_cut_off();
        if let Some(burial) = &mut self.burial {
            burial.abandon();
        }
        self.shared.hold.leave(self.index);
        let mut left = Left::none(self.index);
        for (group, waiters) in self.hand.take_left() {
            left.add(group.items, group.bytes);
            waiters.leave();
        }
        for sealed in self.partition().end() {
            left.add(sealed.items, sealed.weights.sum());
            sealed.waiters.leave();
        }
        left
    }

    pub(crate) fn partition(&self) -> &Partition<T> {
        &self.shared.partitions[self.index]
    }
}

/// Reports the last attempt of a partition if that is still to be done.
fn report_unreported<T>(is_unreported: &mut bool, shared: &Shared<T>, index: usize) {
    if std::mem::take(is_unreported) {
        let reading = shared.partitions[index].reading();
        shared.report_read(iter::once((index, reading)));
    }
}

/// Calls `tell` when `future` does not end at once: if an attempt does, its end is reported anyway.
///
/// # Cancel safety
///
/// That of `future`.
async fn at_first_wait<F: Future>(future: F, tell: impl FnOnce()) -> F::Output {
    let (mut future, mut tell) = (pin!(future), Some(tell));
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if polled.is_pending()
            && let Some(tell) = tell.take()
        {
            tell();
        }
        polled
    })
    .await
}

/// Polls `future` in `span`. The subscriber is user code: a panic in it, at the start or the end of a poll or at the span's own end,
/// costs neither the poll nor its result.
///
/// # Cancel safety
///
/// That of `future`.
async fn in_span<F: Future>(span: Span, future: F) -> F::Output {
    let span = EndsCaught(span);
    let mut future = pin!(future);
    poll_fn(|context| {
        let mut polled = None;
        let _ = caught(|| span.0.in_scope(|| polled = Some(future.as_mut().poll(context))));
        polled.unwrap_or_else(|| future.as_mut().poll(context))
    })
    .await
}

/// A span whose end runs code of the subscriber: a panic there is caught.
struct EndsCaught(Span);

impl Drop for EndsCaught {
    fn drop(&mut self) {
        let span = std::mem::replace(&mut self.0, Span::none());
        drop_caught(span);
    }
}
