//! What the handles and the workers of one buffer share: its partitions, the way in, and the one place that settles.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::Causes;
use crate::caught::{caught, drop_caught};
use crate::drain::{Drain, Left};
use crate::flush_error::FlushError;
use crate::hold::Hold;
use crate::outcome::{Ledger, Outcome, Settled};
use crate::partition::{Partition, Refused};
use crate::reason::DropReason;
use crate::router::{Route, Router, Routing};
use crate::sync::{Mutex, Notify};
use crate::waiters::Waiter;

/// Asked once, before the drain, for items that were kept outside of the buffer until then.
pub(crate) type LastItems<T> = Box<dyn FnOnce() -> Vec<T> + Send>;

/// Sees every outcome.
pub(crate) type OnOutcome<T> = Box<dyn Fn(&Settled<'_, T>) + Send + Sync>;

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
    pub(crate) on_outcome: Option<OnOutcome<T>>,
}

impl<T> Shared<T> {
    /// Admits an item where its route says.
    pub(crate) fn admit(&self, route: Route, item: T, waiter: &mut Option<Waiter>) -> Result<(), Refused<T>> {
        match route {
            Route::Anywhere => self.admit_anywhere(item, waiter),
            Route::To(index) => self.partitions[index].admit(item, waiter),
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
    fn admit_anywhere(&self, mut item: T, waiter: &mut Option<Waiter>) -> Result<(), Refused<T>> {
        let mut taken = false;
        for index in self.router.order() {
            match self.partitions[index].try_admit(item, waiter) {
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
            match self.partitions[index].admit(item, waiter) {
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

    /// Settles items: counts them, frees their room, tells the hook. The one place where items of a running buffer end.
    pub(crate) fn settle(&self, settled: &Settled<'_, T>) {
        let Settled {
            outcome,
            items,
            partition,
            ..
        } = *settled;
        if items.is_empty() {
            return;
        }
        self.partitions[partition].settle(outcome, items.len());
        // As the partition does for those who wait for it alone.
        self.room.notify_one();
        self.tell(settled);
    }

    /// Tells the hook and the log of items that are counted. The hook, the causes and the subscriber are user code.
    fn tell(&self, settled: &Settled<'_, T>) {
        if let Some(on_outcome) = &self.on_outcome {
            let _ = caught(|| on_outcome(settled));
        }
        if let Outcome::Dropped(reason) = settled.outcome {
            let (partition, items) = (settled.partition, settled.items.len());
            let _ = caught(|| {
                let error = settled.cause(0);
                let cause = error.and_then(Error::source);
                tracing::warn!(buffer = &*self.name, partition, items, %reason, error, cause, "items dropped");
            });
        }
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
            // Caught, as the partitions are still to be closed.
            let _ = caught(|| tracing::error!(buffer = &*self.name, %error, "no last items: the code that has them failed"));
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
        let left = self.drain.finish(sink_error, |left| self.count(DROPPED, left));
        self.drop_counted(left);
    }

    /// Somebody waits for the end no more.
    pub(crate) fn give_up_claim(&self) {
        let left = self.drain.unregister(|left| self.count(DROPPED, left));
        self.drop_counted(left);
    }

    /// Hands what is left to a waiter.
    pub(crate) fn claim(&self) -> (Vec<Left<T>>, Option<FlushError>) {
        let (left, sink_error) = self.drain.claim(|left| self.count(Outcome::Returned, left));
        self.tell_of(Outcome::Returned, &left);
        (left, sink_error)
    }

    /// Counts leftovers as settled.
    fn count(&self, outcome: Outcome, left: &[Left<T>]) {
        for Left { partition, items } in left {
            self.partitions[*partition].settle(outcome, items.len());
        }
    }

    fn drop_counted(&self, left: Vec<Left<T>>) {
        self.tell_of(DROPPED, &left);
        left.into_iter().for_each(|left| drop_caught(left.items));
    }

    fn tell_of(&self, outcome: Outcome, left: &[Left<T>]) {
        for Left { partition, items } in left {
            self.tell(&Settled {
                outcome,
                items,
                partition: *partition,
                batch: None,
                causes: &Causes::None,
            });
        }
    }
}

/// What becomes of the leftovers that nobody waits for.
const DROPPED: Outcome = Outcome::Dropped(DropReason::DrainTimeout);

/// `duration` from now, or as good as never where that can't be expressed.
pub(crate) fn deadline_in(duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    Instant::now() + duration.min(NEVER)
}
