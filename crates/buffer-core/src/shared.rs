//! What the handles and the workers of one buffer share: its partitions, and the places where items are settled.

pub(crate) mod meter;
pub(crate) mod settings;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::display;

use crate::caught::{caught, drop_caught, drop_each_caught};
use crate::chain::text_with_causes;
use crate::clock::Clock;
use crate::drain::{Begin, Drain, Left};
use crate::drop_log::DropLog;
use crate::flusher::hold::{Health, Hold};
use crate::ledger::Ledger;
use crate::line::Line;
use crate::outcome::causes::Causes;
use crate::outcome::flush_error::FlushError;
use crate::outcome::reason::DropReason;
use crate::outcome::{Outcome, Settled};
use crate::partition::Partition;
use crate::partition::info::Reading;
use crate::partition::open::Sealed;
use crate::partition::overflow::Overflow;
use crate::partition::slot::Letters;
use crate::router::{Route, Router};
use crate::routing::Routing;
use crate::shared::meter::Meter;
use crate::sync::Mutex;

/// Called once, before the drain, for items that were kept outside the buffer until then.
pub(crate) type LastItems<T> = Box<dyn FnOnce() -> Vec<T> + Send>;

/// Sees every outcome.
pub(crate) type OnOutcome<T> = Box<dyn Fn(&Settled<'_, T>) + Send + Sync>;

/// Says what an item weighs.
pub(crate) type Weigh<T> = Box<dyn Fn(&T) -> usize + Send + Sync>;

pub(crate) struct Shared<T> {
    /// Counts the process's buffers in the order in which they were built.
    pub(crate) number: u64,
    pub(crate) name: Arc<str>,
    pub(crate) drain_timeout: Duration,
    pub(crate) clock: Clock,
    pub(crate) partitions: Box<[Partition<T>]>,
    pub(crate) router: Router,
    pub(crate) routing: Routing<T>,
    pub(crate) weigh: Option<Weigh<T>>,
    /// Whether items are not weighed and may go anywhere.
    pub(crate) is_plain: bool,
    /// The most that an item may weigh.
    pub(crate) heaviest: u64,
    pub(crate) overflow: Overflow,
    /// Whoever waits for room.
    pub(crate) line: Line,
    pub(crate) hold: Hold,
    pub(crate) drain: Drain<T>,
    pub(crate) last_items: Mutex<Option<LastItems<T>>>,
    pub(crate) on_outcome: Option<OnOutcome<T>>,
    pub(crate) drop_log: DropLog,
    pub(crate) meter: Meter,
}

impl<T> Shared<T> {
    /// Settles items: counts them, frees their room, tells the hook. The outcome of every attempt ends here; what a drain leaves over is
    /// counted where it is claimed.
    pub(crate) fn settle(&self, settled: &Settled<'_, T>) {
        if settled.count == 0 {
            return;
        }
        self.partitions[settled.partition].settle(settled.outcome, settled.size());
        self.line.serve(&self.partitions, settled.partition);
        self.tell(settled);
    }

    /// Reports items that overflowed, which are counted, and passes them on to be buried, if they have a place there.
    pub(crate) fn overflowed(&self, partition: usize, reason: DropReason, letters: Letters<T>) {
        if letters.items.is_empty() {
            return;
        }
        self.tell(&Settled {
            outcome: Outcome::Dropped(reason),
            count: letters.items.len(),
            items: &letters.items,
            bytes: letters.bytes,
            partition,
            batch: None,
            causes: &Causes::None,
        });
        match &self.partitions[partition].slot {
            Some(slot) if reason == DropReason::Overflow => slot.fill(letters),
            Some(_) | None => drop_each_caught(letters.items),
        }
    }

    /// Tells the hook and the log of items that are counted. The hook, the causes and the subscriber are user code.
    fn tell(&self, settled: &Settled<'_, T>) {
        if let Some(on_outcome) = &self.on_outcome {
            let _ = caught(|| on_outcome(settled));
        }
        if let Outcome::Dropped(reason) = settled.outcome
            && let Some(items) = self.drop_log.line(reason, settled.count, Instant::now())
        {
            let partition = settled.partition;
            let _ = caught(|| {
                let error = settled.cause(0);
                let cause = error.and_then(Error::source).map(text_with_causes);
                let error = error.map(display);
                if reason == DropReason::DrainTimeout {
                    let sink = self.hold.reason();
                    tracing::error!(
                        buffer = &*self.name,
                        partition,
                        items,
                        %reason,
                        sink,
                        "items dropped at the end, as nobody waited for it: await `close` to get such items back"
                    );
                } else {
                    tracing::warn!(buffer = &*self.name, partition, items, %reason, error, cause, "items dropped");
                }
            });
        }
    }

    /// Reports the buffer as it is to the metrics recorder, and to the log when a hold has begun or ended.
    pub(crate) fn report(&self) {
        let partitions = self.partitions.iter().enumerate();
        self.report_read(partitions.map(|(index, partition)| (index, partition.reading())));
    }

    /// Reports what was read from some partitions.
    pub(crate) fn report_read(&self, readings: impl Iterator<Item = (usize, Reading)>) {
        let turned = self.meter.report(readings, || self.hold.health(), Instant::now());
        if let Some(health) = turned {
            // The subscriber is user code.
            let _ = caught(|| match &health {
                Health::Well => tracing::info!(buffer = &*self.name, "the sink is back"),
                Health::Held { reason, .. } => {
                    tracing::warn!(
                        buffer = &*self.name,
                        reason,
                        "the sink is down, so all batches are held"
                    );
                }
            });
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.partitions.iter().map(Partition::ledger).sum()
    }

    /// Starts the drain, or brings its deadline forward.
    pub(crate) fn close_by(&self, deadline: Instant) {
        let begin = self.drain.begin(deadline);
        if begin != Begin::Unchanged {
            // A drain has no time to lose, and a shorter one none for a delay that fitted into a longer one.
            self.hold.hurry(Instant::now(), deadline);
        }
        if begin != Begin::Begun {
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
        for (index, last) in self.divide(last).into_iter().enumerate() {
            self.leave_late(index, self.partitions[index].close(last));
        }
        for index in 0..self.partitions.len() {
            self.line.serve(&self.partitions, index);
        }
    }

    /// Divides items among the partitions, as their routes say; items that may go anywhere are dealt out in batches.
    fn divide(&self, items: Vec<T>) -> Vec<Vec<(T, Option<usize>)>> {
        let mut divided: Vec<Vec<_>> = self.partitions.iter().map(|_| Vec::new()).collect();
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
            let weigh = self.weigh.as_ref();
            let bytes = weigh.map(|weigh| caught(|| weigh(&item)).unwrap_or_default());
            divided[index].push((item, bytes));
        }
        divided
    }

    /// The last worker is gone and the sink is closed.
    pub(crate) fn finish(&self, sink_error: Option<FlushError>) {
        if let Some(error) = &sink_error {
            let _ = caught(|| {
                tracing::warn!(
                    buffer = &*self.name,
                    cause = error.source().map(text_with_causes),
                    "the sink did not close well"
                )
            });
        }
        // Before the finish wakes those who wait for it.
        self.meter.retire();
        let left = self.drain.finish(sink_error, |left| self.count(DROPPED, left));
        self.drop_counted(left);
        self.report();
        for (reason, items) in self.drop_log.rests() {
            let _ = caught(
                || tracing::warn!(buffer = &*self.name, items, %reason, "more items dropped until the end"),
            );
        }
    }

    /// Last items have come after the worker of their partition: they belong to whoever waits for the close.
    fn leave_late(&self, partition: usize, late: Vec<Sealed<T>>) {
        if late.is_empty() {
            return;
        }
        let mut left = Left::none(partition);
        for sealed in late {
            left.add(sealed.items, sealed.weights.sum());
        }
        let unclaimed = self.drain.add(left, |left| self.count(DROPPED, left));
        self.drop_counted(unclaimed);
        self.report();
    }

    /// Somebody stops waiting for the end.
    pub(crate) fn give_up_claim(&self) {
        let left = self.drain.unregister(|left| self.count(DROPPED, left));
        self.drop_counted(left);
        self.report();
    }

    /// Hands what is left to a waiter.
    pub(crate) fn claim(&self) -> (Vec<Left<T>>, Option<FlushError>) {
        let (left, sink_error) = self.drain.claim(|left| self.count(Outcome::Returned, left));
        self.tell_of(Outcome::Returned, &left);
        let items: usize = left.iter().map(|left| left.items.len()).sum();
        if items > 0 {
            let _ = caught(|| {
                tracing::warn!(
                    buffer = &*self.name,
                    items,
                    sink = self.hold.reason(),
                    "items handed back by the close: they are in its summary"
                );
            });
        }
        self.report();
        (left, sink_error)
    }

    /// Counts leftovers as settled.
    fn count(&self, outcome: Outcome, left: &[Left<T>]) {
        for left in left {
            self.partitions[left.partition].settle(outcome, left.size());
        }
    }

    fn drop_counted(&self, left: Vec<Left<T>>) {
        self.tell_of(DROPPED, &left);
        left.into_iter().for_each(|left| drop_each_caught(left.items));
    }

    fn tell_of(&self, outcome: Outcome, left: &[Left<T>]) {
        for left in left {
            self.tell(&Settled {
                outcome,
                count: left.items.len(),
                items: &left.items,
                bytes: left.bytes,
                partition: left.partition,
                batch: None,
                causes: &Causes::None,
            });
        }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // User code, which may go with the last handle; two that panic in one drop would abort the process.
        drop_caught(std::mem::replace(&mut self.routing, Routing::ThreadHome));
        drop_caught(self.weigh.take());
        drop_caught(self.on_outcome.take());
        drop_caught(self.drain.take_sink_error());
    }
}

/// What becomes of the leftovers that nobody waits for.
const DROPPED: Outcome = Outcome::Dropped(DropReason::DrainTimeout);

/// `duration` from now, or as good as never if that can't be expressed.
pub(crate) fn deadline_in(duration: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    Instant::now() + duration.min(NEVER)
}
