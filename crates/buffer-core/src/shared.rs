//! What the handles and the workers of one buffer share: its partitions, the way in, and the one place that settles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::drain::{Drain, Left};
use crate::flush::FlushError;
use crate::outcome::{DropReason, Ledger, Outcome};
use crate::partition::{Partition, Refused};
use crate::router::Router;
use crate::sync::{Mutex, Notify};

/// Asked once, before the drain, for items that were kept outside of the buffer until then.
pub(crate) type LastItems<T> = Box<dyn FnOnce() -> Vec<T> + Send>;

pub(crate) struct Shared<T> {
    pub(crate) name: Arc<str>,
    pub(crate) drain_timeout: Duration,
    pub(crate) partitions: Box<[Partition<T>]>,
    pub(crate) router: Router,
    /// Wakes who waits for room in whichever partition.
    pub(crate) room: Notify,
    pub(crate) drain: Drain<T>,
    pub(crate) last_items: Mutex<Option<LastItems<T>>>,
}

impl<T> Shared<T> {
    /// Admits an item at home, or where there is room.
    pub(crate) fn admit(&self, mut item: T) -> Result<(), Refused<T>> {
        let mut taken = false;
        for index in self.router.order() {
            match self.partitions[index].try_admit(item) {
                Err(Refused::Full(back)) => item = back,
                Err(Refused::Taken(back)) => (item, taken) = (back, true),
                admitted_or_closed => return admitted_or_closed,
            }
        }
        if !taken {
            return Err(Refused::Full(item));
        }
        // Some may have had room and were only locked just then.
        for index in self.router.order() {
            match self.partitions[index].admit(item) {
                Err(Refused::Full(back)) => item = back,
                admitted_or_closed => return admitted_or_closed,
            }
        }
        Err(Refused::Full(item))
    }

    /// Admits the front of `items` into one partition that has room, and names the partition.
    pub(crate) fn admit_many(&self, items: &mut Vec<T>) -> Result<usize, Refused<()>> {
        for index in self.router.order() {
            match self.partitions[index].admit_many(items) {
                Ok(()) => return Ok(index),
                Err(Refused::Closed(())) => return Err(Refused::Closed(())),
                Err(Refused::Full(()) | Refused::Taken(())) => {}
            }
        }
        Err(Refused::Full(()))
    }

    /// Settles `items` of a partition: the one place where items end.
    pub(crate) fn settle(&self, partition: usize, outcome: Outcome, items: Vec<T>) {
        if items.is_empty() {
            return;
        }
        self.partitions[partition].settle(outcome, items.len());
        // One waiter each; a waiter that gets in wakes the next.
        self.partitions[partition].room.notify_one();
        self.room.notify_one();
        drop_caught(items);
    }

    pub(crate) fn drop_items(
        &self,
        partition: usize,
        reason: DropReason,
        items: Vec<T>,
        error: Option<&FlushError>,
    ) {
        if items.is_empty() {
            return;
        }
        let error = error.map(|error| error as &dyn std::error::Error);
        let cause = error.and_then(std::error::Error::source);
        tracing::warn!(buffer = &*self.name, partition, items = items.len(), %reason, error, cause, "items dropped");
        self.settle(partition, Outcome::Dropped(reason), items);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        for partition in &self.partitions {
            sum += partition.ledger();
        }
        sum
    }

    /// Starts the drain, or brings its deadline forward.
    pub(crate) fn close_by(&self, deadline: Instant) {
        if !self.drain.begin(deadline) {
            return;
        }
        // Taken out first: user code must not run under the lock.
        let last_items = self.last_items.lock().take();
        let last = last_items.and_then(|last_items| catch_unwind(AssertUnwindSafe(last_items)).ok());
        let mut last = last.unwrap_or_default();
        let home = self.router.home();
        for (index, partition) in self.partitions.iter().enumerate() {
            partition.close(if index == home {
                std::mem::take(&mut last)
            } else {
                Vec::new()
            });
        }
        self.room.notify_waiters();
    }

    /// The last worker is gone and the sink is closed.
    pub(crate) fn finish(&self, sink_error: Option<FlushError>) {
        if let Some(error) = &sink_error {
            let cause = std::error::Error::source(error);
            tracing::warn!(buffer = &*self.name, cause, "the sink did not close well");
        }
        self.drop_unclaimed(self.drain.finish(sink_error));
    }

    /// Settles what a close hands back, which is dropped no more by us.
    pub(crate) fn count_returned(&self, left: &Left<T>) {
        self.partitions[left.partition].settle(Outcome::Returned, left.items.len());
    }

    pub(crate) fn drop_unclaimed(&self, left: Vec<Left<T>>) {
        for Left { partition, items } in left {
            self.drop_items(partition, DropReason::DrainTimeout, items, None);
        }
    }
}

/// Drops items whose destructors are user code and may panic.
fn drop_caught<T>(items: Vec<T>) {
    // A panicking destructor is the user's; the items are counted already and the worker goes on.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(items)));
}

/// `duration` from now, or as good as never where that can't be expressed.
pub(crate) fn deadline_in(duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    Instant::now() + duration.min(NEVER)
}
