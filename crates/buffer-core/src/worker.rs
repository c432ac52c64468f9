//! Drives one partition: its lane and the burial of what overflows, side by side, and the end of both.

mod burial;
mod dying;
mod lane;
mod pass;
pub(crate) mod rescue;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use crate::caught::{Caught, Panicked, caught};
use crate::flusher::Flusher;
use crate::shared::{Shared, deadline_in};
use crate::worker::burial::Burial;
use crate::worker::lane::Lane;

/// The one task of a partition. All its state lies in this struct and none in its futures, so that a worker whose runtime
/// dies can go on elsewhere. A worker that waits is small: what it needs for its work comes with the work.
pub(crate) struct Worker<T> {
    lane: Lane<T>,
    /// The burial of what overflows, if there is a slot for it.
    overflow: Option<Box<Burial<T>>>,
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
        let overflow = || Burial::new(Arc::clone(&shared), Arc::clone(&flusher), index);
        let has_slot = shared.partitions[index].slot.is_some();
        Self {
            overflow: has_slot.then(|| Box::new(overflow())),
            lane: Lane::new(shared, flusher, index),
            stage: Stage::Flushing,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<T>> {
        &self.lane.shared
    }

    /// Works until the partition is closed and drained, or the drain's deadline has passed. It goes on after panics of user code
    /// that nothing nearer has caught.
    ///
    /// # Cancel safety
    ///
    /// Safe: a second call goes on where the first was dropped.
    pub(crate) async fn run(&mut self) {
        /// A worker that panics this often without settling an item won't get any further.
        const PANICS_AT_MOST: u32 = 10;
        let (mut panics, mut settled) = (0, 0);
        while panics < PANICS_AT_MOST {
            let Err(panicked) = Caught::new(pin!(Some(self.run_to_end()))).await else {
                return;
            };
            self.tell_of(panicked);
            let settled_before = std::mem::replace(&mut settled, self.lane.partition().tally().settled());
            panics = if settled > settled_before { 1 } else { panics + 1 };
            tokio::task::yield_now().await;
        }
        // What this one leaves is settled by a close, and nobody else would begin one.
        let shared = self.shared();
        shared.close_by(deadline_in(shared.drain_timeout));
        self.abandon();
    }

    fn tell_of(&self, panicked: Panicked) {
        let Lane { shared, index, .. } = &self.lane;
        // The subscriber is user code.
        let _ = caught(
            || tracing::error!(buffer = &*shared.name, partition = index, error = %panicked, "a worker goes on after a panic"),
        );
    }

    async fn run_to_end(&mut self) {
        if self.stage == Stage::Flushing {
            match &mut self.overflow {
                None => drop(self.lane.flush_all().await),
                // Side by side: in an outage the lane stands still, and that is when items overflow.
                Some(overflow) => {
                    let both = async { tokio::join!(self.lane.flush_all(), overflow.bury_overflow()) };
                    drop(Box::pin(both).await);
                }
            }
            // Last items may still be on their way when time is up; the partition is closed behind them.
            while !self.lane.partition().is_closed() {
                self.lane.partition().woken().await;
            }
            self.leave();
        }
        if self.stage == Stage::ClosingSink {
            Box::pin(self.close_sinks()).await;
        }
    }

    async fn close_sinks(&mut self) {
        /// A drain that is out of time still lets the sink say goodbye.
        const LEAST: Duration = Duration::from_secs(1);
        let Lane { shared, flusher, .. } = &self.lane;
        let left = shared.drain.time_left().unwrap_or(LEAST);
        let closed = flusher.close_sinks(left.max(LEAST)).await;
        self.stage = Stage::Ended;
        shared.finish(closed.err());
    }

    /// Hands over what is left, which is nothing after a drain in time.
    fn leave(&mut self) {
        let left = self.lane.take_left();
        if let Some(overflow) = &mut self.overflow {
            overflow.abandon();
        }
        self.stage = Stage::Ended;
        if self.shared().drain.leave(left) {
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
            self.shared().finish(None);
        }
    }

    /// Prepares the worker to go on in another runtime, after its own died.
    pub(crate) fn prepare_rescue(&mut self) {
        let Lane { shared, index, .. } = &self.lane;
        let items = self.lane.partition().pending().items;
        if items > 0 {
            let limit = shared.drain_timeout;
            // Logged as the end of the process waits for it. The subscriber is user code.
            let _ = caught(|| {
                tracing::info!(
                    buffer = &*shared.name,
                    partition = index,
                    items,
                    ?limit,
                    "the runtime has ended, and the flushes go on"
                )
            });
        }
        let flusher = self.lane.flusher.for_rescue(self.shared().drain_timeout);
        let flusher = Arc::new(flusher);
        if let Some(overflow) = &mut self.overflow {
            overflow.set_flusher(Arc::clone(&flusher));
        }
        self.lane.set_flusher(flusher);
    }
}
