//! Drives one partition: takes its batches one by one, flushes each until it is settled, and drains at the end.

use std::error::Error as _;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::batch::{Batch, Marked};
use crate::drain::Left;
use crate::flusher::{Flusher, Verdict};
use crate::hand::{Hand, Undivided};
use crate::hold::Pass;
use crate::outcome::{DropReason, Outcome};
use crate::partition::{Entry, Next, Partition, Sealed};
use crate::shared::Shared;

/// The one task of a partition. All its state lies in this struct and none in its futures, so that a worker whose runtime
/// dies can go on elsewhere.
pub(crate) struct Worker<T> {
    pub(crate) shared: Arc<Shared<T>>,
    flusher: Flusher<T>,
    index: usize,
    hand: Hand<T>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Flushing,
    /// This worker was the last to leave, so it closes the sink.
    ClosingSink,
    Ended,
}

/// The drain's deadline has passed.
struct OutOfTime;

impl<T: Send + 'static> Worker<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, flusher: Flusher<T>, index: usize) -> Self {
        Self {
            shared,
            flusher,
            index,
            hand: Hand::empty(),
            stage: Stage::Flushing,
        }
    }

    /// Works until the partition is closed and drained, or the drain's deadline has passed.
    ///
    /// # Cancel safety
    ///
    /// Safe: a second call goes on where the first was dropped.
    pub(crate) async fn run(&mut self) {
        if self.stage == Stage::Flushing {
            let left = match self.flush_all().await {
                ControlFlow::Continue(()) => Vec::new(),
                ControlFlow::Break(OutOfTime) => self.give_up(),
            };
            let last = self.shared.drain.leave(Left {
                partition: self.index,
                items: left,
            });
            self.stage = if last { Stage::ClosingSink } else { Stage::Ended };
        }
        if self.stage == Stage::ClosingSink {
            let closed = self.flusher.close_sink().await;
            self.shared.finish(closed.err());
            self.stage = Stage::Ended;
        }
    }

    /// Prepares the worker to go on in another runtime, after its own died.
    pub(crate) fn prepare_rescue(&mut self) {
        self.settle_marked();
        self.flusher.policy = self.flusher.policy.for_rescue(self.shared.drain_timeout);
        self.hand.restart(&self.flusher.policy);
    }

    async fn flush_all(&mut self) -> ControlFlow<OutOfTime> {
        loop {
            self.flush_hand().await?;
            match self.partition().next(Instant::now()) {
                Next::Take(Entry::Sealed(Sealed {
                    items,
                    trigger,
                    opened,
                })) => {
                    let batch = Batch::new(items, trigger, self.index, Arc::clone(&self.shared.name), opened);
                    self.hand.take(batch, &self.flusher.policy);
                }
                Next::Take(Entry::Barrier(reached)) => {
                    // An error means that nobody waits there any more.
                    let _ = reached.send(self.partition().tally());
                }
                Next::WaitUntil(due) => tokio::select! {
                    () = self.partition().woken() => {}
                    () = sleep_until(due) => {}
                },
                Next::Wait => self.partition().woken().await,
                Next::End => return ControlFlow::Continue(()),
            }
            // A sink that is always ready would keep other tasks off this thread.
            tokio::task::consume_budget().await;
        }
    }

    /// Flushes the batch in hand until all of it is settled.
    async fn flush_hand(&mut self) -> ControlFlow<OutOfTime> {
        while let Some(flight) = self.hand.front() {
            wait_to_pass(&self.shared, self.index).await?;
            if flight.batch.was_offered() {
                self.shared.partitions[self.index].count_retry(flight.batch.len());
            }
            let (verdict, sign) = tokio::select! {
                biased;
                () = self.shared.drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
                attempted = self.flusher.attempt(flight) => attempted,
            };
            let held = self.shared.hold.report(self.index, sign, Instant::now());
            if let Some(delay) = self.settle(verdict)
                && !held
            {
                self.back_off(delay).await?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Sleeps between two attempts. The begin of a drain ends the sleep: it may be longer than the drain has time.
    async fn back_off(&mut self, delay: Duration) -> ControlFlow<OutOfTime> {
        let drain = &self.shared.drain;
        let draining = drain.deadline().is_some();
        tokio::select! {
            biased;
            () = drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
            () = drain.begun(), if !draining => {
                if let Some(flight) = self.hand.front() {
                    flight.restart_delays(&self.flusher.policy);
                }
            }
            () = sleep(delay) => {}
        }
        ControlFlow::Continue(())
    }

    /// Settles what the attempt decided; says how long to wait when the same items are to be tried again.
    fn settle(&mut self, verdict: Verdict) -> Option<Duration> {
        self.settle_marked();
        let Self {
            shared,
            flusher,
            index,
            hand,
            ..
        } = self;
        let batch = &mut hand.front()?.batch;
        match flusher.give_up_late(verdict, shared.hold.held_for(Instant::now())) {
            Verdict::Again { .. } | Verdict::Divide { .. } if batch.is_empty() => {}
            Verdict::Again { delay, error } => {
                let (id, attempt, cause) = (batch.id(), batch.attempt(), error.source());
                tracing::debug!(buffer = &*shared.name, partition = index, %id, attempt, ?delay, %error, cause, "again");
                return Some(delay);
            }
            Verdict::Divide { error } if batch.len() == 1 => {
                shared.drop_items(*index, DropReason::Rejected, batch.take_items(), Some(&error));
            }
            Verdict::Divide { error } => match hand.split(&flusher.policy) {
                Ok(()) => return None,
                Err(Undivided) => {
                    let items = hand.front()?.batch.take_items();
                    shared.drop_items(*index, DropReason::Undivided, items, Some(&error));
                }
            },
            Verdict::Delivered => shared.settle(*index, Outcome::Delivered, batch.take_items()),
            Verdict::Dropped { reason, error } => {
                shared.drop_items(*index, reason, batch.take_items(), Some(&error));
            }
        }
        hand.settled();
        None
    }

    /// Settles the items that the sink marked in the batch just tried.
    fn settle_marked(&mut self) {
        let Self {
            shared, index, hand, ..
        } = self;
        let Some(flight) = hand.front() else { return };
        let Marked { delivered, rejected } = flight.batch.take_marked();
        shared.settle(*index, Outcome::Delivered, delivered);
        for (item, cause) in rejected {
            tracing::debug!(buffer = &*shared.name, partition = index, %cause, "the sink rejected an item");
            shared.settle(*index, Outcome::Dropped(DropReason::Rejected), vec![item]);
        }
    }

    /// Takes everything that is left: the batch in hand first, as it is the oldest.
    fn give_up(&mut self) -> Vec<T> {
        self.settle_marked();
        self.shared.hold.leave(self.index);
        let mut left = self.hand.take_items();
        left.append(&mut self.partition().end());
        left
    }

    fn partition(&self) -> &Partition<T> {
        &self.shared.partitions[self.index]
    }
}

/// Waits while the partitions are held. The begin of a drain lets a probe go at once.
async fn wait_to_pass<T>(shared: &Shared<T>, index: usize) -> ControlFlow<OutOfTime> {
    let Shared { hold, drain, .. } = shared;
    loop {
        let mut changed = pin!(hold.changed.notified());
        changed.as_mut().enable();
        let until = match hold.pass(index, Instant::now()) {
            Pass::Now => return ControlFlow::Continue(()),
            Pass::After(delay) => {
                tokio::select! {
                    biased;
                    () = drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
                    () = sleep(delay) => continue,
                }
            }
            Pass::AskAt(until) => Some(until),
            Pass::Ask => None,
        };
        let draining = drain.deadline().is_some();
        let slept = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
            () = drain.begun(), if !draining => hold.hurry(Instant::now()),
            () = changed => {}
            () = slept => {}
        }
    }
}
