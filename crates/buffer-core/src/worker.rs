//! Drives one partition: its lane and the burial of what overflows, side by side, and the end of both.

use std::sync::Arc;
use std::time::Duration;

use crate::burial::Burial;
use crate::caught::caught_future;
use crate::flusher::Flusher;
use crate::lane::Lane;
use crate::partition::Partition;
use crate::shared::Shared;

/// The one task of a partition. All its state lies in this struct and none in its futures, so that a worker whose runtime
/// dies can go on elsewhere.
pub(crate) struct Worker<T> {
    pub(crate) shared: Arc<Shared<T>>,
    flusher: Arc<Flusher<T>>,
    index: usize,
    lane: Lane<T>,
    overflow: Burial<T>,
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
    pub(crate) fn new(shared: Arc<Shared<T>>, flusher: Arc<Flusher<T>>, index: usize) -> Self {
        Self {
            lane: Lane::new(Arc::clone(&shared), Arc::clone(&flusher), index),
            overflow: Burial::new(Arc::clone(&shared), Arc::clone(&flusher), index),
            shared,
            flusher,
            index,
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
            // Side by side: in an outage the lane stands still, and that is when items overflow.
            let (_, ()) = tokio::join!(self.lane.flush_all(), self.overflow.bury_overflow());
            // Last items may still be on their way when time is up; the partition is closed behind them.
            while !self.partition().is_closed() {
                self.partition().woken().await;
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
        let left = self.lane.take_left();
        self.overflow.abandon();
        self.stage = Stage::Ended;
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
        let flusher = Arc::new(self.flusher.for_rescue(self.shared.drain_timeout));
        self.lane.set_flusher(Arc::clone(&flusher));
        self.overflow.set_flusher(Arc::clone(&flusher));
        self.flusher = flusher;
    }

    fn partition(&self) -> &Partition<T> {
        &self.shared.partitions[self.index]
    }
}
