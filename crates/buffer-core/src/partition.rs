//! One lane of a buffer: the open batch under a lock, and the queue of sealed ones.
//!
//! Invariants
//! 1. Whatever enters the queue is pushed while the lock of the open batch is held.
//! 2. The worker takes the open batch only under that lock and after it saw the queue empty there. By 1 and 2, items
//!    leave in the order in which they were admitted.
//! 3. `closed` is set under the lock, and the open batch is sealed in the same step: no item can be admitted after the
//!    worker saw the end.
//! 4. An item is counted in `admitted` in the same step that stores it, and in `settled` only after its outcome is
//!    counted: `admitted - settled` is never less than what is pending.

use crossbeam_utils::CachePadded;
use rand::rngs::SmallRng;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::outcome::{Ledger, Outcome, Tally};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Notify, Ordering, Queue};
use crate::trigger::{Limits, Trigger, Triggers};
use crate::waiters::{Waiter, Waiters};

/// A lane: many threads admit, one worker takes.
pub(crate) struct Partition<T> {
    open: CachePadded<Mutex<Open<T>>>,
    queue: Queue<Entry<T>>,
    tally: Mutex<Tally>,
    /// The sum of `tally`, readable without its lock.
    settled: AtomicU64,
    /// Wakes the worker: something was sealed, or there is a first item to time.
    wake: Notify,
    /// Wakes who waits for room in this very partition.
    pub(crate) room: Notify,
    triggers: Triggers,
    capacity: u64,
}

/// The open batch, and what is decided under its lock.
struct Open<T> {
    items: Vec<T>,
    waiters: Waiters,
    /// Set with the first item.
    first: Option<First>,
    admitted: u64,
    /// The size of the batch before: the next one is likely to need as much.
    expected: usize,
    closed: bool,
    /// The worker is gone: nobody takes from the queue any more.
    ended: bool,
    /// The last barrier, and the admitted count when it was placed.
    barrier: Option<(Reached, u64)>,
    /// Its own generator: the thread's is gone while a thread is being destroyed, and a drop may insert even then.
    rng: SmallRng,
}

/// What the first item of a batch brings with it.
#[derive(Clone, Copy)]
struct First {
    at: Instant,
    limits: Limits,
}

/// What the worker finds in the queue.
pub(crate) enum Entry<T> {
    Sealed(Sealed<T>),
    /// Everything admitted before it is settled once the worker gets here.
    Barrier(watch::Sender<Option<Tally>>),
}

/// A batch on its way to the worker.
pub(crate) struct Sealed<T> {
    pub(crate) items: Vec<T>,
    pub(crate) waiters: Waiters,
    pub(crate) trigger: Trigger,
    pub(crate) opened: Instant,
}

/// Why an item was not admitted.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    /// Another thread holds the lock.
    Taken(T),
    Full(T),
    Closed(T),
}

/// What the worker is to do next.
pub(crate) enum Next<T> {
    Take(Entry<T>),
    /// The open batch is due then, or something is sealed before.
    WaitUntil(Instant),
    Wait,
    End,
}

/// Shows the tally once the worker has reached a barrier; closed without one when the worker ended before.
type Reached = watch::Receiver<Option<Tally>>;

/// A place in the queue: it is reached when everything admitted before it is settled.
pub(crate) struct Barrier {
    /// None where the worker has ended.
    reached: Option<Reached>,
    /// The tally when somebody began to wait.
    pub(crate) before: Tally,
    /// What was pending then.
    pub(crate) pending: u64,
}

impl Barrier {
    /// What was settled until the worker got there; `None` when it ended before.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn reached(self) -> Result<Tally, WorkerEnded> {
        let ended = WorkerEnded { before: self.before };
        let Some(mut reached) = self.reached else {
            return Err(ended);
        };
        match reached.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(after)) => Ok(after.since(&self.before)),
            Ok(None) | Err(_) => Err(ended),
        }
    }
}

/// The worker ended before it got to a barrier; the tally was this when somebody began to wait.
pub(crate) struct WorkerEnded {
    pub(crate) before: Tally,
}

impl<T> Partition<T> {
    pub(crate) fn new(triggers: Triggers, capacity: u64) -> Self {
        let open = Open {
            items: Vec::new(),
            waiters: Waiters::default(),
            first: None,
            admitted: 0,
            expected: 0,
            closed: false,
            ended: false,
            barrier: None,
            rng: rand::make_rng(),
        };
        Self {
            open: CachePadded::new(Mutex::new(open)),
            queue: Queue::new(),
            tally: Mutex::new(Tally::default()),
            settled: AtomicU64::new(0),
            wake: Notify::new(),
            room: Notify::new(),
            triggers,
            capacity,
        }
    }

    /// Admits an item unless the lock is taken.
    pub(crate) fn try_admit(&self, item: T, waiter: &mut Option<Waiter>) -> Result<(), Refused<T>> {
        match self.open.try_lock() {
            Some(open) => self.admit_locked(open, item, waiter),
            None => Err(Refused::Taken(item)),
        }
    }

    /// Admits an item, and with it the waiter, if there is one.
    pub(crate) fn admit(&self, item: T, waiter: &mut Option<Waiter>) -> Result<(), Refused<T>> {
        self.admit_locked(self.open.lock(), item, waiter)
    }

    fn admit_locked(
        &self,
        mut open: MutexGuard<'_, Open<T>>,
        item: T,
        waiter: &mut Option<Waiter>,
    ) -> Result<(), Refused<T>> {
        if open.closed {
            return Err(Refused::Closed(item));
        }
        if self.room_in(&open) == 0 {
            return Err(Refused::Full(item));
        }
        let first = open.items.is_empty();
        let limit = open.first_item(&self.triggers);
        let waited = waiter.take();
        let to_wake = first || waited.is_some();
        if let Some(waiter) = waited {
            let index = open.items.len();
            open.waiters.push(index, waiter);
        }
        open.items.push(item);
        open.admitted += 1;
        let full = open.items.len() >= limit;
        if full {
            self.seal(&mut open, Trigger::Size);
        }
        drop(open);
        if to_wake || full {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Admits as many of the last `count` of `items` as there is room for, from the end; what is not admitted stays. Full
    /// means that there was room for none.
    pub(crate) fn admit_many(&self, items: &mut Vec<T>, count: usize) -> Result<(), Refused<()>> {
        let mut open = self.open.lock();
        if open.closed {
            return Err(Refused::Closed(()));
        }
        let room = usize::try_from(self.room_in(&open)).unwrap_or(usize::MAX);
        if room == 0 && count > 0 {
            return Err(Refused::Full(()));
        }
        let count = count.min(room);
        let first_of_count = items.len() - count;
        self.store(&mut open, items.drain(first_of_count..).rev());
        drop(open);
        self.wake.notify_one();
        Ok(())
    }

    /// Stores items behind the open batch, sealing it as often as it is full.
    fn store(&self, open: &mut Open<T>, mut items: impl ExactSizeIterator<Item = T>) {
        while items.len() > 0 {
            let limit = open.first_item(&self.triggers);
            let before = open.items.len();
            open.items.extend(items.by_ref().take(limit - before));
            open.admitted += (open.items.len() - before) as u64;
            if open.items.len() >= limit {
                self.seal(open, Trigger::Size);
            }
        }
    }

    fn room_in(&self, open: &Open<T>) -> u64 {
        // SeqCst, paired with `settle`: a waiter registers, then reads this; a settle raises it, then looks for waiters. In
        // any weaker order each could miss the other.
        self.capacity
            .saturating_sub(open.admitted - self.settled.load(Ordering::SeqCst))
    }

    /// Invariant 1: `open` is the locked one.
    fn seal(&self, open: &mut Open<T>, trigger: Trigger) {
        if let Some(sealed) = open.cut(trigger) {
            self.queue.push(Entry::Sealed(sealed));
        }
    }

    /// Seals the open batch at somebody's request.
    pub(crate) fn seal_on_request(&self) {
        let mut open = self.open.lock();
        self.seal(&mut open, Trigger::Request);
        drop(open);
        self.wake.notify_one();
    }

    /// Seals the open batch and marks the place behind it. Where nothing was admitted since the last barrier, that one
    /// serves: who asks again and again in an outage takes no memory.
    pub(crate) fn place_barrier(&self) -> Barrier {
        let mut open = self.open.lock();
        // Read before the push: the worker may reach the barrier at once.
        let before = self.tally();
        let pending = open.admitted - before.settled();
        if open.ended {
            return Barrier {
                reached: None,
                before,
                pending,
            };
        }
        if let Some((reached, admitted)) = &open.barrier
            && *admitted == open.admitted
            && reached.borrow().is_none()
        {
            return Barrier {
                reached: Some(reached.clone()),
                before,
                pending,
            };
        }
        self.seal(&mut open, Trigger::Request);
        let (sender, reached) = watch::channel(None);
        self.queue.push(Entry::Barrier(sender));
        open.barrier = Some((reached.clone(), open.admitted));
        drop(open);
        self.wake.notify_one();
        Barrier {
            reached: Some(reached),
            before,
            pending,
        }
    }

    /// Closes the partition behind `last`, which is admitted whatever the capacity.
    pub(crate) fn close(&self, last: Vec<T>) {
        let mut open = self.open.lock();
        if !open.closed {
            self.store(&mut open, last.into_iter());
            self.seal(&mut open, Trigger::Close);
            open.closed = true;
        }
        drop(open);
        self.wake.notify_one();
        self.room.notify_waiters();
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.triggers.batch_size
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.open.lock().closed
    }

    /// What the worker does next.
    pub(crate) fn next(&self, now: Instant) -> Next<T> {
        if let Some(entry) = self.queue.pop() {
            return Next::Take(entry);
        }
        let mut open = self.open.lock();
        // By invariant 1 the queue stays as it is seen here until the lock is released.
        if let Some(entry) = self.queue.pop() {
            return Next::Take(entry);
        }
        // Somebody who waits does not sit out the interval.
        let waited = !open.waiters.is_empty();
        if let Some(First { limits, .. }) = open.first
            && limits.due > now
            && !waited
        {
            return Next::WaitUntil(limits.due);
        }
        if let Some(sealed) = open.cut(if waited {
            Trigger::Request
        } else {
            Trigger::Interval
        }) {
            return Next::Take(Entry::Sealed(sealed));
        }
        if open.closed {
            open.ended = true;
            return Next::End;
        }
        Next::Wait
    }

    /// Ends the partition where it is: closes it and takes everything that is left, in order.
    pub(crate) fn end(&self) -> Vec<T> {
        let mut open = self.open.lock();
        self.seal(&mut open, Trigger::Close);
        open.closed = true;
        open.ended = true;
        let mut items = Vec::new();
        while let Some(entry) = self.queue.pop() {
            match entry {
                Entry::Sealed(mut sealed) => items.append(&mut sealed.items),
                // Who waits at a barrier that is dropped waits for the end of the drain instead.
                Entry::Barrier(_) => {}
            }
        }
        items
    }

    /// Sleeps until something was sealed, a first item came, or the partition was closed.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Counts `items` items as settled, then wakes one who waits for their room; a waiter that gets in wakes the next.
    pub(crate) fn settle(&self, outcome: Outcome, items: usize) {
        self.tally.lock().settle(outcome, items as u64);
        // SeqCst: see `room_in`. After the tally, by invariant 4.
        self.settled.fetch_add(items as u64, Ordering::SeqCst);
        // After the count, or the woken one could find the partition full and sleep on.
        self.room.notify_one();
    }

    pub(crate) fn count_dead_lettered(&self, items: usize) {
        self.tally.lock().dead_lettered += items as u64;
    }

    pub(crate) fn count_retry(&self, items: usize) {
        self.tally.lock().retried += items as u64;
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let open = self.open.lock();
        // Inside the other lock, so that nothing is counted as settled that was not counted as admitted.
        Ledger::of(open.admitted, self.tally())
    }
}

impl<T> Open<T> {
    /// Draws the limits with the first item of a batch; says how many items seal it.
    fn first_item(&mut self, triggers: &Triggers) -> usize {
        if let Some(First { limits, .. }) = self.first {
            return limits.items;
        }
        let at = Instant::now();
        let limits = match self.admitted {
            0 => triggers.draw_first(at, &mut self.rng),
            _ => triggers.draw(at, &mut self.rng),
        };
        self.first = Some(First { at, limits });
        self.items.reserve(self.expected);
        limits.items
    }

    /// Cuts the open batch off; an empty one is not cut.
    fn cut(&mut self, trigger: Trigger) -> Option<Sealed<T>> {
        let First { at, limits: _ } = self.first.take()?;
        let items = std::mem::take(&mut self.items);
        self.expected = items.len();
        Some(Sealed {
            items,
            waiters: std::mem::take(&mut self.waiters),
            trigger,
            opened: at,
        })
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_again_before_anything_is_admitted_shares_the_barrier() {
        let triggers = Triggers {
            batch_size: 10,
            batch_size_jitter: 0,
            flush_interval: Duration::from_secs(1),
            flush_jitter: Duration::ZERO,
        };
        let partition = Partition::new(triggers, 100);
        partition.admit(1, &mut None).expect("there is room");
        let first = partition.place_barrier();
        let again: Vec<Barrier> = (0..100).map(|_| partition.place_barrier()).collect();
        partition.admit(2, &mut None).expect("there is room");
        let later = partition.place_barrier();

        let mut seen = Vec::new();
        while let Next::Take(entry) = partition.next(Instant::now()) {
            match entry {
                Entry::Sealed(sealed) => {
                    seen.push("batch");
                    partition.settle(Outcome::Delivered, sealed.items.len());
                }
                Entry::Barrier(reached) => {
                    seen.push("barrier");
                    reached.send_replace(Some(partition.tally()));
                }
            }
        }
        assert_eq!(seen, ["batch", "barrier", "batch", "barrier"]);
        for barrier in again.into_iter().chain([first]) {
            let settled = barrier
                .reached()
                .await
                .unwrap_or_else(|_| unreachable!("it was reached"));
            assert_eq!(settled.delivered, 1);
        }
        let settled = later
            .reached()
            .await
            .unwrap_or_else(|_| unreachable!("it was reached"));
        assert_eq!(settled.delivered, 2);
    }
}
