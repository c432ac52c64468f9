//! A part of a buffer: an open batch, a queue of sealed ones, and what became of the items, all under one lock.
//!
//! Invariants
//! 1. Sealed batches are queued in the step that seals them, and the open batch is taken only when the queue is empty: items
//!    leave in the order in which they were admitted.
//! 2. `closed` is set, and the open batch sealed, in one step: no item can be admitted after the worker saw the end.
//! 3. An item is pending from the step that stores it to the step that counts its outcome.
//! 4. Items may join the open batch unchecked only as long as all checks would let them in. They are counted before anything
//!    else is done.
//! 5. A full partition that drops its oldest batches has one to drop: the worker has at most one in hand, and the capacity is two
//!    at least.

mod barrier;
pub(crate) mod info;
pub(crate) mod intake;
pub(crate) mod open;
pub(crate) mod overflow;
pub(crate) mod parcel;
pub(crate) mod slot;
mod state;
pub(crate) mod trigger;
pub(crate) mod waiters;
pub(crate) mod weights;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::time::Instant;

use crate::caught::caught;
use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::outcome::attempt::AttemptResult;
use crate::outcome::size::Size;
use crate::partition::barrier::{Barrier, BarrierWait};
use crate::partition::info::{PartitionInfo, Reading, Stats};
use crate::partition::open::Sealed;
use crate::partition::overflow::Overflow;
use crate::partition::slot::Slot;
use crate::partition::state::{Entry, Locked, Sleep, State};
use crate::partition::trigger::{Trigger, Triggers};
use crate::sync::{AtomicUsize, Notify, Ordering::Relaxed};
use crate::tally::Tally;

/// A part of a buffer: many threads admit, one worker takes.
pub(crate) struct Partition<T> {
    pub(crate) state: Locked<T>,
    /// Wakes the worker: something was sealed, or there is a first item to time.
    pub(crate) wake: Notify,
    /// How many stand in line for room here.
    in_line: AtomicUsize,
    /// Where items that overflowed wait for the dead-letter sink, if there is one. Boxed, as it is large and most have none.
    pub(crate) slot: Option<Box<Slot<T>>>,
    /// The same for all partitions.
    pub(crate) triggers: Arc<Triggers>,
    pub(crate) capacity: Size,
    overflow: Overflow,
    /// How many attempts have ended, by their result. Counted without the lock, which inserting threads want, and boxed, as a partition
    /// takes whole pairs of cache lines.
    attempts: Box<[AtomicU64; AttemptResult::ALL.len()]>,
}

/// What the worker is to do next.
pub(crate) enum Next<T> {
    Flush(Sealed<T>),
    /// The open batch is due then, or something is sealed before.
    WaitUntil(Instant),
    Wait,
    /// Somebody waits for an item of the open batch, or for its room: whoever is about to insert just now may join it.
    Gather,
    End,
}

/// What a test reports.
#[cfg(test)]
pub(crate) const UNREPORTED: Option<fn(Reading)> = None;

/// A wait until everything that was admitted before is settled.
pub(crate) struct Waiting {
    /// None if the worker has ended.
    pub(crate) wait: Option<BarrierWait>,
    /// The tally when the wait began.
    pub(crate) before: Tally,
    /// What was pending then.
    pub(crate) pending: u64,
}

impl<T> Partition<T> {
    pub(crate) fn new(
        triggers: Arc<Triggers>,
        capacity: Size,
        overflow: Overflow,
        slot: Option<Slot<T>>,
    ) -> Self {
        Self {
            state: Locked::new(),
            wake: Notify::new(),
            in_line: AtomicUsize::new(0),
            slot: slot.map(Box::new),
            triggers,
            capacity,
            overflow,
            attempts: Default::default(),
        }
    }

    /// Seals the open batch at somebody's request.
    pub(crate) fn seal_on_request(&self) {
        self.state.lock().seal(Trigger::Request);
        self.wake.notify_one();
    }

    /// Seals the open batch and marks the place behind it.
    pub(crate) fn place_barrier(&self) -> Waiting {
        let mut state = self.state.lock();
        let newcomers_overflow = self.overflow == Overflow::DropNewest;
        let wait = (!state.ended).then(|| state.place_barrier(newcomers_overflow));
        let waiting = Waiting {
            before: wait.as_ref().map_or(state.tally, |wait| wait.cut(state.tally)),
            pending: state.pending.items,
            wait,
        };
        drop(state);
        self.wake.notify_one();
        waiting
    }

    /// What was settled, since somebody began to wait, of what was pending then.
    pub(crate) fn settled_since(&self, waiting: &Waiting) -> Tally {
        let tally = self.tally();
        let cut = waiting.wait.as_ref().map_or(tally, |wait| wait.cut(tally));
        let settled = cut.since(&waiting.before);
        // It goes in order, until the end of a drain settles whatever is left at once: then the first of it was pending.
        settled.without_left(settled.settled().saturating_sub(waiting.pending))
    }

    /// Admits `last`, whatever the capacity, and closes the partition behind it. If the worker is gone, returns what is queued.
    pub(crate) fn close(&self, last: Vec<(T, Option<usize>)>) -> Vec<Sealed<T>> {
        let mut state = self.state.lock();
        for (item, bytes) in last {
            state.part_from_heavy(bytes, &self.triggers);
            state.join(item, bytes, None, &self.triggers);
        }
        // One step: invariant 2.
        state.seal(Trigger::Close);
        state.closed = true;
        let left = state.ended.then(|| state.take_queue());
        drop(state);
        self.wake.notify_one();
        if let Some(slot) = &self.slot {
            slot.poke();
        }
        left.map_or(Vec::new(), sealed)
    }

    pub(crate) fn batch_size(&self) -> usize {
        self.triggers.batch_size
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// What the worker, which has nothing in hand, does next.
    ///
    /// If the partition is to be reported, it is read in the same step, as inserting threads want the lock, too. It is reported before
    /// anybody who waits at a barrier goes on.
    pub(crate) fn next(&self, now: Instant, report: Option<impl FnOnce(Reading)>) -> Next<T> {
        let mut reached = Vec::new();
        let mut state = self.state.lock();
        let next = Self::next_locked(&mut state, now, &mut reached);
        let report = report.map(|report| (report, self.read(&mut state)));
        let tally = state.tally;
        drop(state);
        if let Some((report, reading)) = report {
            // What is to be flushed next is in no other hand yet, so nothing may unwind.
            let _ = caught(|| report(reading));
        }
        // Under the lock a waker, which is user code, might call back.
        for barrier in reached {
            barrier.reach(tally);
        }
        next
    }

    fn next_locked(state: &mut State<T>, now: Instant, reached: &mut Vec<Barrier>) -> Next<T> {
        state.in_hand = None;
        state.sleep = Sleep::Awake;
        while let Some(entry) = state.queue.pop_front() {
            match entry {
                Entry::Sealed(sealed) => return Next::Flush(state.hand_out(sealed)),
                Entry::Barrier(barrier) => reached.push(barrier),
            }
        }
        // By invariant 1 only now: the queue is empty. An item that somebody waits for does not sit out the interval, nor does one whose
        // room somebody waits for.
        let is_urgent = state.open.is_urgent() || state.is_in_the_way;
        if let Some(due) = state.open.due()
            && due > now
            && !is_urgent
        {
            state.sleep = Sleep::UntilDue;
            return Next::WaitUntil(due);
        }
        if is_urgent && !std::mem::replace(&mut state.has_gathered, true) {
            return Next::Gather;
        }
        state.seal(match (state.is_in_the_way, is_urgent) {
            (true, _) => Trigger::Bytes,
            (false, true) => Trigger::Request,
            (false, false) => Trigger::Interval,
        });
        if let Some(Entry::Sealed(sealed)) = state.queue.pop_front() {
            return Next::Flush(state.hand_out(sealed));
        }
        if state.closed {
            state.ended = true;
            return Next::End;
        }
        state.sleep = Sleep::Sound;
        // Gives back the memory that a burst took.
        state.queue = VecDeque::new();
        Next::Wait
    }

    /// Ends the partition where it is: closes it and takes everything that is left, in order.
    pub(crate) fn end(&self) -> Vec<Sealed<T>> {
        let mut state = self.state.lock();
        state.seal(Trigger::Close);
        state.closed = true;
        state.ended = true;
        let left = state.take_queue();
        drop(state);
        sealed(left)
    }

    /// Sleeps until something was sealed, a first item came, or the partition was closed.
    pub(crate) fn woken(&self) -> impl Future<Output = ()> {
        self.wake.notified()
    }

    /// Counts items as settled. Their room is then for those who stand in line.
    pub(crate) fn settle(&self, outcome: Outcome, size: Size) {
        self.state.lock().settle(outcome, size);
    }

    pub(crate) fn count_attempt(&self, result: AttemptResult) {
        // Relaxed: whoever sees what the attempt settled has come by the lock behind it.
        self.attempts[result as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_dead_lettered(&self, items: usize) {
        self.state.lock().tally.dead_lettered += items as u64;
    }

    pub(crate) fn count_retry(&self, items: usize) {
        self.state.lock().tally.retried += items as u64;
    }

    pub(crate) fn tally(&self) -> Tally {
        self.state.lock().tally
    }

    pub(crate) fn ledger(&self) -> Ledger {
        self.state.lock().ledger()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats_of(&self.state.lock())
    }

    fn stats_of(&self, state: &State<T>) -> Stats {
        let ended = self.attempts.each_ref().map(|attempts| attempts.load(Relaxed));
        let attempts = ended.iter().sum();
        Stats {
            ledger: state.ledger(),
            attempts,
            failed_attempts: attempts - ended[AttemptResult::Ok as usize],
            ended,
            sealed: state.seals,
        }
    }

    pub(crate) fn pending(&self) -> Size {
        self.state.lock().pending
    }

    pub(crate) fn info(&self, now: Instant) -> PartitionInfo {
        let state = self.state.lock();
        let (open, sealed) = (state.open.len(), state.sealed_items());
        let oldest = state.oldest();
        PartitionInfo {
            pending: state.pending,
            open,
            sealed,
            in_hand: state.pending.items - open - sealed,
            oldest: oldest.map(|opened| now.saturating_duration_since(opened)),
        }
    }

    /// What is reported of it.
    pub(crate) fn reading(&self) -> Reading {
        self.read(&mut self.state.lock())
    }

    fn read(&self, state: &mut State<T>) -> Reading {
        state.readings += 1;
        Reading {
            number: state.readings,
            stats: self.stats_of(state),
            pending: state.pending,
            oldest: state.oldest(),
        }
    }

    /// Copies the items that the worker does not have in hand into `copies`; says how many it has. An item whose `clone` panics is
    /// left out.
    pub(crate) fn copy(&self, copies: &mut Vec<T>) -> u64
    where
        T: Clone,
    {
        let state = self.state.lock();
        let waiting = state.sealed().flat_map(|sealed| &sealed.items);
        let mut waiting_items = 0;
        for item in waiting.chain(state.open.items()) {
            waiting_items += 1;
            copies.extend(caught(|| item.clone()));
        }
        state.pending.items - waiting_items
    }
}

/// The batches of a queue that no worker takes from any more.
fn sealed<T>(queue: VecDeque<Entry<T>>) -> Vec<Sealed<T>> {
    let sealed = queue.into_iter().filter_map(|entry| match entry {
        Entry::Sealed(sealed) => Some(sealed),
        // Whoever waits at a barrier that is dropped waits for the end of the drain instead.
        Entry::Barrier(_) => None,
    });
    sealed.collect()
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;

    fn partition(batch_size: usize, capacity: u64) -> Partition<u32> {
        let triggers = Triggers {
            batch_size,
            batch_size_jitter: 0,
            batch_bytes: u64::MAX,
            flush_interval: Duration::from_secs(1),
            flush_jitter: Duration::ZERO,
        };
        let capacity = Size {
            items: capacity,
            bytes: u64::MAX,
        };
        Partition::new(Arc::new(triggers), capacity, Overflow::DropOldest, None)
    }

    fn admit(partition: &Partition<u32>, item: u32) {
        partition.admit(item, None, &mut None).expect("there is room");
    }

    /// Takes the next batch and delivers it.
    fn deliver(partition: &Partition<u32>) -> Vec<u32> {
        let Next::Flush(sealed) = partition.next(Instant::now(), UNREPORTED) else {
            return Vec::new();
        };
        let size = Size {
            items: sealed.items.len() as u64,
            bytes: 0,
        };
        partition.settle(Outcome::Delivered, size);
        sealed.items
    }

    async fn settled(waiting: Waiting) -> Tally {
        let mut wait = waiting.wait.expect("the worker is there");
        let reached = wait.reached().await;
        reached
            .unwrap_or_else(|_| unreachable!("it was reached"))
            .since(&waiting.before)
    }

    #[tokio::test]
    async fn whoever_asks_again_before_anything_is_admitted_shares_the_barrier() {
        let partition = partition(10, 100);
        admit(&partition, 1);
        let mut first: Vec<Waiting> = (0..100).map(|_| partition.place_barrier()).collect();
        assert_eq!(partition.state.lock().queue.len(), 2);
        admit(&partition, 2);
        let later = partition.place_barrier();
        assert_eq!(deliver(&partition), [1]);
        assert_eq!(deliver(&partition), [2]);
        assert!(deliver(&partition).is_empty());
        first.push(later);
        for (index, waiting) in first.into_iter().enumerate() {
            let delivered = if index < 100 { 1 } else { 2 };
            assert_eq!(settled(waiting).await.delivered, delivered);
        }
    }

    /// Its insert finds the partition closed, so what it dropped would be dropped for nothing.
    #[tokio::test]
    async fn nothing_is_dropped_for_an_insert_that_met_a_close() {
        let partition = partition(1, 2);
        (0..2).for_each(|item| admit(&partition, item));
        partition.close(Vec::new());
        assert!(partition.evict(None).is_empty());
        assert_eq!(partition.ledger().pending, 2);
    }

    #[tokio::test]
    async fn barriers_where_nobody_waits_do_not_pile_up() {
        let partition = partition(1, 2);
        for item in 0..1_000 {
            while partition.admit(item, None, &mut None).is_err() {
                partition.evict(None);
            }
            drop(partition.place_barrier());
        }
        assert!(partition.state.lock().queue.len() <= 5);
    }

    /// Fails when what came behind a barrier counts as pending before it.
    #[tokio::test]
    async fn at_the_end_of_a_drain_what_came_behind_a_barrier_is_not_counted_for_it() {
        let partition = partition(10, 100);
        (0..2).for_each(|item| admit(&partition, item));
        let waiting = partition.place_barrier();
        (2..5).for_each(|item| admit(&partition, item));
        let left = partition.end();
        let items = left.iter().map(|sealed| sealed.items.len() as u64).sum();
        assert_eq!(partition.settled_since(&waiting).settled(), 0);
        partition.settle(Outcome::Returned, Size { items, bytes: 0 });
        assert_eq!((items, partition.settled_since(&waiting).settled()), (5, 2));
    }

    #[tokio::test]
    async fn a_barrier_that_is_passed_over_counts_what_was_before_it_alone() {
        let partition = partition(2, 6);
        (0..2).for_each(|item| admit(&partition, item));
        let Next::Flush(in_hand) = partition.next(Instant::now(), UNREPORTED) else {
            unreachable!("it is full")
        };
        (2..4).for_each(|item| admit(&partition, item));
        let waiting = partition.place_barrier();
        (4..6).for_each(|item| admit(&partition, item));
        // One before the barrier, and one behind it.
        assert_eq!(partition.evict(None)[0].1.items, [2, 3]);
        (6..8).for_each(|item| admit(&partition, item));
        assert_eq!(partition.evict(None)[0].1.items, [4, 5]);
        // Whoever asks now and gives up leaves nothing behind.
        drop(partition.place_barrier());
        assert_eq!(in_hand.items, [0, 1]);
        partition.settle(Outcome::Delivered, Size { items: 2, bytes: 0 });
        assert_eq!(deliver(&partition), [6, 7]);
        let settled = settled(waiting).await;
        assert_eq!((settled.delivered, settled.dropped.total()), (2, 2));
    }
}
