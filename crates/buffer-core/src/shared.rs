//! What the handles and the workers of one buffer share: its partitions, the way in, and the one place that settles.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::drain::{Drain, Left};
use crate::flush::FlushError;
use crate::hold::Hold;
use crate::outcome::{DropReason, Ledger, Outcome};
use crate::partition::{Partition, Refused};
use crate::router::{Route, Router, Routing};
use crate::sync::{Mutex, Notify};

/// Asked once, before the drain, for items that were kept outside of the buffer until then.
pub(crate) type LastItems<T> = Box<dyn FnOnce() -> Vec<T> + Send>;

pub(crate) struct Shared<T> {
    pub(crate) name: Arc<str>,
    pub(crate) drain_timeout: Duration,
    pub(crate) partitions: Box<[Partition<T>]>,
    pub(crate) router: Router,
    pub(crate) routing: Routing<T>,
    /// Wakes who waits for room in whichever partition.
    pub(crate) room: Notify,
    pub(crate) hold: Hold,
    pub(crate) drain: Drain<T>,
    pub(crate) last_items: Mutex<Option<LastItems<T>>>,
}

impl<T> Shared<T> {
    /// Admits an item where its route says.
    pub(crate) fn admit(&self, route: Route, item: T) -> Result<(), Refused<T>> {
        match route {
            Route::Anywhere => self.admit_anywhere(item),
            Route::To(index) => self.partitions[index].admit(item),
        }
    }

    /// Wakes who waits for room on a route.
    pub(crate) fn room(&self, route: Route) -> &Notify {
        match route {
            Route::Anywhere => &self.room,
            Route::To(index) => &self.partitions[index].room,
        }
    }

    /// Admits an item at home, or where there is room.
    fn admit_anywhere(&self, mut item: T) -> Result<(), Refused<T>> {
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

    /// Admits the front of `items` into one partition, as far as there is room, and names the partition.
    pub(crate) fn admit_many(
        &self,
        route: Route,
        items: &mut Vec<T>,
        count: usize,
    ) -> Result<usize, Refused<()>> {
        if let Route::To(index) = route {
            return self.partitions[index].admit_many(items, count).map(|()| index);
        }
        for index in self.router.order() {
            match self.partitions[index].admit_many(items, count) {
                Ok(()) => return Ok(index),
                Err(Refused::Closed(())) => return Err(Refused::Closed(())),
                Err(Refused::Full(()) | Refused::Taken(())) => {}
            }
        }
        Err(Refused::Full(()))
    }

    /// The way of the first of `items`, and how many from the front share it. By key, items of one partition are brought
    /// together first, each key's in their order.
    pub(crate) fn route_many(&self, items: &mut [T]) -> (Route, usize) {
        let Routing::ByKey(hash) = &self.routing else {
            let route = items
                .first()
                .map_or(Route::Anywhere, |first| self.router.route(&self.routing, first));
            return (route, items.len());
        };
        items.sort_by_cached_key(|item| self.router.partition_of(hash, item));
        let Some(first) = items.first() else {
            return (Route::Anywhere, 0);
        };
        let partition = self.router.partition_of(hash, first);
        let count = items.partition_point(|item| self.router.partition_of(hash, item) == partition);
        (Route::To(partition), count)
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
        for (partition, last) in self.partitions.iter().zip(self.divide(last.unwrap_or_default())) {
            partition.close(last);
        }
        self.room.notify_waiters();
    }

    /// Divides items among the partitions, as their routes say.
    fn divide(&self, items: Vec<T>) -> Vec<Vec<T>> {
        let mut divided: Vec<Vec<T>> = self.partitions.iter().map(|_| Vec::new()).collect();
        let home = self.router.home();
        for item in items {
            // A key that can't be found must not keep the item out: this is its last chance.
            let route = catch_unwind(AssertUnwindSafe(|| self.router.route(&self.routing, &item)));
            match route.unwrap_or(Route::Anywhere) {
                Route::Anywhere => divided[home].push(item),
                Route::To(index) => divided[index].push(item),
            }
        }
        divided
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
