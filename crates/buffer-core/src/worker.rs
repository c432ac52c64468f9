//! Drives one partition: takes its batches one by one, flushes each until it is settled, and drains at the end.

use std::collections::VecDeque;
use std::error::Error as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::batch::{Batch, Causes, Fate, Marked};
use crate::batch_id::BatchId;
use crate::caught::{caught_future, drop_caught};
use crate::drain::Left;
use crate::flush_error::FlushError;
use crate::flusher::{Flusher, Verdict};
use crate::hand::{Hand, Undivided};
use crate::outcome::{Outcome, Settled};
use crate::partition::{Entry, Next, Partition, Sealed};
use crate::pass::{OutOfTime, Waited, wait_to_pass};
use crate::reason::DropReason;
use crate::shared::Shared;

/// The one task of a partition. All its state lies in this struct and none in its futures, so that a worker whose runtime
/// dies can go on elsewhere.
pub(crate) struct Worker<T> {
    pub(crate) shared: Arc<Shared<T>>,
    flusher: Flusher<T>,
    index: usize,
    hand: Hand<T>,
    /// What was dropped and is still to be buried.
    dead: VecDeque<Batch<T>>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Flushing,
    /// This worker was the last to leave, so it closes the sink.
    ClosingSink,
    Ended,
}

impl<T: Send + 'static> Worker<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, flusher: Flusher<T>, index: usize) -> Self {
        Self {
            shared,
            flusher,
            index,
            hand: Hand::empty(),
            dead: VecDeque::new(),
            stage: Stage::Flushing,
        }
    }

    /// Works until the partition is closed and drained, or the drain's deadline has passed; through panics of user code that
    /// nothing nearer has caught.
    ///
    /// # Cancel safety
    ///
    /// Safe: a second call goes on where the first was dropped.
    pub(crate) async fn run(&mut self) {
        /// A worker that panics so often without settling an item won't get any further.
        const PANICS_AT_MOST: u32 = 10;
        let (mut panics, mut settled) = (0, 0);
        while panics < PANICS_AT_MOST {
            let Err(error) = caught_future(Box::pin(self.run_to_end())).await else {
                return;
            };
            let settled_before = std::mem::replace(&mut settled, self.partition().tally().settled());
            panics = if settled > settled_before { 1 } else { panics + 1 };
            tracing::error!(buffer = &*self.shared.name, partition = self.index, %error, "a worker goes on after a panic");
            tokio::task::yield_now().await;
        }
        self.abandon();
    }

    async fn run_to_end(&mut self) {
        if self.stage == Stage::Flushing {
            if let ControlFlow::Break(OutOfTime) = self.flush_all().await {
                // Last items may still be on their way; the partition is closed behind them.
                while !self.partition().is_closed() {
                    self.partition().woken().await;
                }
            }
            self.leave();
        }
        if self.stage == Stage::ClosingSink {
            // A drain that is out of time still lets the sink say goodbye.
            const LEAST: Duration = Duration::from_secs(1);
            let left = self.shared.drain.time_left().unwrap_or(LEAST);
            let closed = self.flusher.close_sinks(left.max(LEAST)).await;
            self.stage = Stage::Ended;
            self.shared.finish(closed.err());
        }
    }

    /// Hands over what is left, which is nothing after a drain in time.
    fn leave(&mut self) {
        let items = self.take_left();
        self.stage = Stage::Ended;
        let left = Left {
            partition: self.index,
            items,
        };
        if self.shared.drain.leave(left) {
            self.stage = Stage::ClosingSink;
        }
    }

    /// Ends without another attempt: what is left belongs to whoever waits for the close.
    pub(crate) fn abandon(&mut self) {
        if self.stage == Stage::Flushing {
            self.leave();
        }
        if self.stage == Stage::ClosingSink {
            self.stage = Stage::Ended;
            self.shared.finish(None);
        }
    }

    /// Prepares the worker to go on in another runtime, after its own died.
    pub(crate) fn prepare_rescue(&mut self) {
        self.flusher.policy = self.flusher.policy.for_rescue(self.shared.drain_timeout);
        self.hand.restart(&self.flusher.policy);
    }

    async fn flush_all(&mut self) -> ControlFlow<OutOfTime> {
        loop {
            self.flush_hand().await?;
            match self.partition().next(Instant::now()) {
                Next::Take(Entry::Sealed(Sealed {
                    items,
                    waiters,
                    trigger,
                    opened,
                })) => {
                    let batch = Batch::new(
                        items,
                        waiters,
                        trigger,
                        self.index,
                        Arc::clone(&self.shared.name),
                        opened,
                    );
                    self.hand.take(batch, &self.flusher.policy);
                }
                Next::Take(Entry::Barrier(reached)) => {
                    reached.send_replace(Some(self.partition().tally()));
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
        loop {
            // An attempt that was cut off may have left marks.
            self.settle_marked();
            self.bury().await?;
            let Some(flight) = self.hand.front() else {
                return ControlFlow::Continue(());
            };
            if flight.batch.is_empty() {
                self.shared.hold.leave(self.index);
                self.hand.settled();
                continue;
            }
            let patience = self
                .flusher
                .policy
                .give_up_after
                .map(|limit| (limit, flight.batch.opened()));
            if let Waited::TooLong = wait_to_pass(&self.shared, self.index, patience).await? {
                let error = FlushError::unavailable(self.shared.hold.reason());
                self.condemn(DropReason::GivenUp, error);
                continue;
            }
            if flight.batch.was_offered() {
                self.shared.partitions[self.index].count_retry(flight.batch.len());
            }
            let began = Instant::now();
            let (verdict, sign) = tokio::select! {
                biased;
                attempted = self.flusher.attempt(flight) => attempted,
                () = self.shared.drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
            };
            let holds = self.shared.hold.report(self.index, sign, began, Instant::now());
            if let Some(delay) = self.settle(verdict)
                && !holds
            {
                self.back_off(delay).await?;
            }
            // A sink that is always ready would keep other tasks off this thread.
            tokio::task::consume_budget().await;
        }
    }

    /// Sleeps between two attempts. The begin of a drain ends the sleep: it may be longer than the drain has time.
    async fn back_off(&mut self, delay: Duration) -> ControlFlow<OutOfTime> {
        let drain = &self.shared.drain;
        let draining = drain.has_begun();
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
        let offered = self.hand.front()?.batch.len();
        self.settle_marked();
        let Self {
            shared,
            flusher,
            index,
            hand,
            ..
        } = self;
        let batch = &mut hand.front()?.batch;
        if batch.is_empty() {
            return None;
        }
        match verdict {
            Verdict::Delivered => self.deliver(),
            Verdict::Again { delay, error } => {
                let (id, attempt, cause) = (batch.id(), batch.attempt(), error.source());
                tracing::debug!(buffer = &*shared.name, partition = index, %id, attempt, ?delay, %error, cause, "again");
                return Some(delay);
            }
            // What was refused together with marked items may be innocent.
            Verdict::Divide { error } if offered == 1 => self.condemn(DropReason::Rejected, error),
            Verdict::Divide { error } => {
                if let Err(Undivided) = hand.split(&flusher.policy) {
                    self.condemn(DropReason::Undivided, error);
                }
            }
            Verdict::Dropped { reason, error } => self.condemn(reason, error),
        }
        None
    }

    /// Settles the batch in hand as delivered.
    fn deliver(&mut self) {
        let Some(flight) = self.hand.front() else { return };
        let id = flight.batch.id();
        let (items, answers) = flight.batch.settle(Ok(()));
        self.settle_delivered(id, items);
        answers.send();
    }

    /// Settles the batch in hand as dropped.
    fn condemn(&mut self, reason: DropReason, error: FlushError) {
        let Some(flight) = self.hand.front() else { return };
        let id = flight.batch.id();
        let (items, answers) = flight.batch.settle(Err(reason));
        let dead = flight.batch.dead_letters(id, items, reason, Causes::One(error));
        self.settle_dropped(id, dead);
        answers.send();
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
        let dead = flight
            .batch
            .dead_letters(id, rejected, DropReason::Rejected, Causes::Each(causes));
        self.settle_delivered(id, delivered);
        self.settle_dropped(id, dead);
        answers.send();
    }

    fn settle_delivered(&self, id: BatchId, items: Vec<T>) {
        self.shared.settle(&Settled {
            outcome: Outcome::Delivered,
            items: &items,
            partition: self.index,
            batch: Some(id),
            causes: &Causes::None,
        });
        drop_caught(items);
    }

    fn settle_dropped(&mut self, id: BatchId, dead: Batch<T>) {
        if let Some(Fate { reason, causes }) = dead.fate() {
            self.shared.settle(&Settled {
                outcome: Outcome::Dropped(*reason),
                items: &dead,
                partition: self.index,
                batch: Some(id),
                causes,
            });
        }
        self.dead.push_back(dead);
        if !self.flusher.has_dead_letters() {
            self.forget_dead();
        }
    }

    /// Hands what was dropped to the dead-letter sink, in one attempt for each batch.
    async fn bury(&mut self) -> ControlFlow<OutOfTime> {
        while let Some(dead) = self.dead.front_mut() {
            let count = dead.len();
            if count > 0 {
                let buried = tokio::select! {
                    biased;
                    buried = self.flusher.bury(dead) => buried,
                    () = self.shared.drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
                };
                match buried {
                    Ok(()) => self.partition().count_dead_lettered(count),
                    Err(error) => {
                        let (buffer, partition, cause) = (&*self.shared.name, self.index, error.source());
                        tracing::error!(buffer, partition, items = count, %error, cause, "dead letters lost");
                    }
                }
            }
            self.forget_first_dead();
        }
        ControlFlow::Continue(())
    }

    fn forget_dead(&mut self) {
        while !self.dead.is_empty() {
            self.forget_first_dead();
        }
    }

    /// Drops what is counted already. Items and causes are user code.
    fn forget_first_dead(&mut self) {
        let Some(dead) = self.dead.pop_front() else { return };
        let (items, causes) = dead.into_fate();
        drop_caught(items);
        match causes {
            Causes::Each(causes) => drop_caught(causes),
            other => drop_caught(vec![other]),
        }
    }

    /// Takes everything that is left: the batch in hand first, as it is the oldest.
    fn take_left(&mut self) -> Vec<T> {
        self.settle_marked();
        self.forget_dead();
        self.shared.hold.leave(self.index);
        let mut left = self.hand.take_items();
        left.append(&mut self.partition().end());
        left
    }

    fn partition(&self) -> &Partition<T> {
        &self.shared.partitions[self.index]
    }
}
