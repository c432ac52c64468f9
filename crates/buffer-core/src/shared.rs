//! What the handles and the workers of one buffer share: its partitions, the way in, and the one place that settles.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::caught::caught;
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

    /// Admits of the last `count` of `items`, from the end, into one partition as far as there is room, and names it.
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

    /// Turns `items` around, so that each part can be taken from the end, and says which parts share a route, from the end
    /// too. By key, items of one partition are brought together, each key's in their order.
    pub(crate) fn route_many(&self, items: &mut [T]) -> Vec<(Route, usize)> {
        let Some(first) = items.first() else {
            return Vec::new();
        };
        let Routing::ByKey(hash) = &self.routing else {
            let route = self.router.route(&self.routing, first);
            items.reverse();
            return vec![(route, items.len())];
        };
        items.sort_by_cached_key(|item| self.router.partition_of(hash, item));
        let mut parts: Vec<(Route, usize)> = Vec::new();
        for item in items.iter() {
            let route = Route::To(self.router.partition_of(hash, item));
            match parts.last_mut() {
                Some((last, count)) if *last == route => *count += 1,
                _ => parts.push((route, 1)),
            }
        }
        items.reverse();
        parts
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
        let count = items.len();
        if count == 0 {
            return;
        }
        self.settle(partition, Outcome::Dropped(reason), items);
        self.log_drop(partition, reason, count, error);
    }

    /// Logs what was dropped. The cause and the subscriber are user code.
    fn log_drop(&self, partition: usize, reason: DropReason, items: usize, error: Option<&FlushError>) {
        let _ = caught(|| {
            let error = error.map(|error| error as &dyn Error);
            let cause = error.and_then(Error::source);
            tracing::warn!(buffer = &*self.name, partition, items, %reason, error, cause, "items dropped");
        });
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
        let last = last_items.map_or(Ok(Vec::new()), caught);
        let last = last.unwrap_or_else(|error| {
            tracing::error!(buffer = &*self.name, %error, "no last items: the code that has them failed");
            Vec::new()
        });
        for (partition, last) in self.partitions.iter().zip(self.divide(last)) {
            partition.close(last);
        }
        self.room.notify_waiters();
    }

    /// Divides items among the partitions, as their routes say; what may go anywhere is dealt out in batches.
    fn divide(&self, items: Vec<T>) -> Vec<Vec<T>> {
        let mut divided: Vec<Vec<T>> = self.partitions.iter().map(|_| Vec::new()).collect();
        let mut dealt = 0;
        for item in items {
            // A key that can't be found must not keep the item out: this is its last chance.
            let index = match caught(|| self.router.route(&self.routing, &item)) {
                Ok(Route::To(index)) => index,
                Ok(Route::Anywhere) | Err(_) => {
                    dealt += 1;
                    (dealt - 1) / self.partitions[0].batch_size() % divided.len()
                }
            };
            divided[index].push(item);
        }
        divided
    }

    /// The last worker is gone and the sink is closed.
    pub(crate) fn finish(&self, sink_error: Option<FlushError>) {
        if let Some(error) = &sink_error {
            let _ = caught(|| {
                tracing::warn!(
                    buffer = &*self.name,
                    cause = error.source(),
                    "the sink did not close well"
                )
            });
        }
        let dropped = DropReason::DrainTimeout;
        let left = self
            .drain
            .finish(sink_error, |left| self.count(Outcome::Dropped(dropped), left));
        self.drop_counted(left);
    }

    /// Somebody waits for the end no more.
    pub(crate) fn give_up_claim(&self) {
        let dropped = DropReason::DrainTimeout;
        let left = self
            .drain
            .unregister(|left| self.count(Outcome::Dropped(dropped), left));
        self.drop_counted(left);
    }

    /// Hands what is left to a waiter.
    pub(crate) fn claim(&self) -> (Vec<Left<T>>, Option<FlushError>) {
        self.drain.claim(|left| self.count(Outcome::Returned, left))
    }

    /// Counts leftovers as settled.
    fn count(&self, outcome: Outcome, left: &[Left<T>]) {
        for Left { partition, items } in left {
            self.partitions[*partition].settle(outcome, items.len());
        }
    }

    fn drop_counted(&self, left: Vec<Left<T>>) {
        for Left { partition, items } in left {
            self.log_drop(partition, DropReason::DrainTimeout, items.len(), None);
            drop_caught(items);
        }
    }
}

/// Drops items whose destructors are user code and may panic.
fn drop_caught<T>(items: Vec<T>) {
    // The items are counted already, and the worker goes on.
    let _ = caught(|| drop(items));
}

/// `duration` from now, or as good as never where that can't be expressed.
pub(crate) fn deadline_in(duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    Instant::now() + duration.min(NEVER)
}
