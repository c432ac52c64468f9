//! What lies under a partition's lock: each method is one step of it.

use std::collections::VecDeque;

use crossbeam_utils::CachePadded;
use tokio::time::Instant;

use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::outcome::size::Size;
use crate::partition::barrier::{Barrier, BarrierWait};
use crate::partition::info::Seals;
use crate::partition::open::{OpenBatch, Sealed};
use crate::partition::trigger::{Trigger, Triggers};
use crate::partition::waiters::Waiter;
use crate::partition::weights::in_bytes;
use crate::sync::{HomeGuard, HomeLock};
use crate::tally::Tally;

/// The lock, which is taken only with right counts, or to let items join unchecked.
pub(crate) struct Locked<T>(CachePadded<HomeLock<State<T>>>);

impl<T> Locked<T> {
    pub(crate) fn new() -> Self {
        Self(CachePadded::new(HomeLock::new(State::new())))
    }

    /// For threads that come now and then, above all the worker.
    pub(crate) fn lock(&self) -> HomeGuard<'_, State<T>> {
        let mut state = self.0.lock_first();
        state.count_unchecked();
        state
    }

    /// For threads that insert.
    pub(crate) fn lock_to_insert(&self) -> HomeGuard<'_, State<T>> {
        let mut state = self.0.lock();
        state.count_unchecked();
        state
    }

    pub(crate) fn try_lock(&self) -> Option<HomeGuard<'_, State<T>>> {
        let mut state = self.0.try_lock()?;
        state.count_unchecked();
        Some(state)
    }

    /// Stores an item if no checks are needed; otherwise hands it back. Items that are waited for do not come here, and those that
    /// are weighed have a way of their own.
    #[inline]
    pub(crate) fn join_unchecked(&self, item: T) -> Result<(), T> {
        match self.0.try_lock() {
            Some(mut state) => state.join_unchecked(item),
            None => Err(item),
        }
    }

    /// The same for an item that was weighed.
    pub(crate) fn join_weighed_unchecked(&self, item: T, bytes: usize) -> Result<(), T> {
        match self.0.try_lock() {
            Some(mut state) => state.join_weighed_unchecked(item, bytes),
            None => Err(item),
        }
    }

    /// The same for many items at once: all of them, or none. Says which.
    #[inline]
    pub(crate) fn join_many_unchecked(&self, items: &mut Vec<T>) -> bool {
        let state = self.0.try_lock();
        state.is_some_and(|mut state| state.join_many_unchecked(items))
    }
}

/// The open batch, the sealed ones, and the counts.
pub(crate) struct State<T> {
    pub(crate) open: OpenBatch<T>,
    /// The size up to which the open batch may grow unchecked: it is not empty, no size up to that fills it, and there is room for all
    /// of it. Whatever makes that untrue sets it to zero. Items that are not weighed leave the bytes alone.
    unchecked: Size,
    /// The size of the open batch when the counts were last right: what has joined since is not in them.
    counted: Size,
    pub(crate) queue: VecDeque<Entry<T>>,
    pub(crate) sleep: Sleep,
    /// Whether the worker has let others join the open batch, which it is about to flush early.
    pub(crate) has_gathered: bool,
    /// Whether somebody waits for room that only a flush of the open batch frees.
    pub(crate) is_in_the_way: bool,
    /// When the batch that the worker has in hand was opened.
    pub(crate) in_hand: Option<Instant>,
    /// Every item that was ever accepted: what is pending and what is settled.
    pub(crate) accepted: u64,
    pub(crate) pending: Size,
    /// Room that is kept for those whose turn in the line it is.
    reserved: Size,
    pub(crate) tally: Tally,
    pub(crate) seals: Seals,
    /// How often the partition was read to be reported.
    pub(crate) readings: u64,
    pub(crate) closed: bool,
    /// The worker is gone: nobody takes from the queue any more.
    pub(crate) ended: bool,
}

/// Whether the worker has to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// It comes by itself, or was woken before.
    Awake,
    /// Until the open batch is due.
    UntilDue,
    /// Without a timer.
    Sound,
}

/// What the worker finds in the queue.
pub(crate) enum Entry<T> {
    Sealed(Sealed<T>),
    /// Everything admitted before it is settled once the worker gets here.
    Barrier(Barrier),
}

impl<T> State<T> {
    fn new() -> Self {
        Self {
            open: OpenBatch::new(),
            unchecked: Size::default(),
            counted: Size::default(),
            queue: VecDeque::new(),
            sleep: Sleep::Awake,
            has_gathered: false,
            is_in_the_way: false,
            in_hand: None,
            accepted: 0,
            pending: Size::default(),
            reserved: Size::default(),
            tally: Tally::default(),
            seals: Seals::default(),
            readings: 0,
            closed: false,
            ended: false,
        }
    }

    /// What is pending, and what may come into the room that is kept.
    fn taken(&self) -> Size {
        Size {
            items: self.pending.items + self.reserved.items,
            bytes: self.pending.bytes.saturating_add(self.reserved.bytes),
        }
    }

    /// For how many items there is room, if they are not weighed.
    pub(crate) fn room(&self, capacity: &Size) -> u64 {
        capacity.items.saturating_sub(self.taken().items)
    }

    /// Whether an item may join what is pending.
    #[inline]
    pub(crate) fn has_room(&self, bytes: u64, capacity: &Size) -> bool {
        let taken = self.taken();
        taken.items < capacity.items && taken.bytes.saturating_add(bytes) <= capacity.bytes
    }

    /// Whether there is neither anything pending nor room kept.
    pub(crate) fn is_idle(&self) -> bool {
        self.taken().items == 0
    }

    /// Keeps room for some of the `wanted` items, or for one that weighs that much; says how much. Items that come later join only
    /// after a check, which sees what is kept.
    pub(crate) fn reserve(&mut self, wanted: Size, capacity: &Size) -> Option<Size> {
        self.let_none_join();
        if !self.has_room(wanted.bytes, capacity) {
            return None;
        }
        let room = Size {
            // Not all: one that never comes for it would stop the others.
            items: wanted
                .items
                .min(self.room(capacity))
                .min((capacity.items / 2).max(1)),
            bytes: wanted.bytes,
        };
        self.reserved.items += room.items;
        self.reserved.bytes = self.reserved.bytes.saturating_add(room.bytes);
        Some(room)
    }

    /// Keeps that room no longer.
    pub(crate) fn give_back(&mut self, room: Size) {
        self.reserved.items -= room.items;
        self.reserved.bytes = self.reserved.bytes.saturating_sub(room.bytes);
    }

    /// Makes way for an item for which there is room: seals the open batch if that would be too heavy with it. Says whether it did.
    #[inline]
    pub(crate) fn part_from_heavy(&mut self, bytes: Option<usize>, triggers: &Triggers) -> bool {
        let is_heavy = self.open.bytes().saturating_add(in_bytes(bytes)) > triggers.batch_bytes;
        is_heavy && self.seal(Trigger::Bytes)
    }

    /// Makes way for an item for which there is no room: if all that is pending lies in the open batch, nothing else frees any before
    /// the batch is due. Says whether the worker has to come and flush it.
    pub(crate) fn make_way(&mut self) -> bool {
        self.is_in_the_way = self.pending.items == self.open.len() && self.pending.items > 0;
        self.is_in_the_way
    }

    #[inline]
    fn join_unchecked(&mut self, item: T) -> Result<(), T> {
        if self.open.len() >= self.unchecked.items {
            return Err(item);
        }
        self.open.join_unchecked(item, None);
        Ok(())
    }

    fn join_weighed_unchecked(&mut self, item: T, bytes: usize) -> Result<(), T> {
        let heavy = self.open.bytes().saturating_add(bytes as u64) > self.unchecked.bytes;
        if heavy || self.open.len() >= self.unchecked.items {
            return Err(item);
        }
        self.open.join_unchecked(item, Some(bytes));
        Ok(())
    }

    #[inline]
    fn join_many_unchecked(&mut self, items: &mut Vec<T>) -> bool {
        let joins = self.open.len() + items.len() as u64 <= self.unchecked.items;
        if joins {
            self.open.join_many_unchecked(items);
        }
        joins
    }

    /// Counts the items that have joined unchecked: invariant 4 of `partition.rs`.
    fn count_unchecked(&mut self) {
        let open = self.open.size();
        let items = open.items - self.counted.items;
        self.pending.bytes += open.bytes - self.counted.bytes;
        self.counted = open;
        self.accepted += items;
        self.pending.items += items;
    }

    /// Lets items join unchecked until the open batch, all of which is counted, is of this size.
    fn let_join(&mut self, unchecked: Size) {
        self.unchecked = unchecked;
        self.counted = self.open.size();
    }

    fn let_none_join(&mut self) {
        self.let_join(Size::default());
    }

    /// Looks ahead, so that the next items need no checks.
    pub(crate) fn look_ahead(&mut self, capacity: &Size, triggers: &Triggers) {
        let (open, before_full) = (self.open.size(), self.open.before_full(triggers));
        let with_all_room =
            |open: u64, capacity: u64, taken: u64| open.saturating_add(capacity.saturating_sub(taken));
        let Size { items, bytes } = self.taken();
        self.let_join(Size {
            items: before_full
                .items
                .min(with_all_room(open.items, capacity.items, items)),
            bytes: before_full
                .bytes
                .min(with_all_room(open.bytes, capacity.bytes, bytes)),
        });
    }

    /// Stores an item, and seals the open batch if the item fills it; says whether it did.
    pub(crate) fn join(
        &mut self,
        item: T,
        bytes: Option<usize>,
        waiter: Option<Waiter>,
        triggers: &Triggers,
    ) -> bool {
        self.accepted += 1;
        self.pending.items += 1;
        self.pending.bytes = self.pending.bytes.saturating_add(in_bytes(bytes));
        let full = self.open.join(item, bytes, waiter, triggers);
        self.let_none_join();
        full.is_some_and(|trigger| self.seal(trigger))
    }

    /// Stores items that were not weighed, and seals the open batch as often as it is full.
    pub(crate) fn join_many(&mut self, mut items: impl ExactSizeIterator<Item = T>, triggers: &Triggers) {
        self.accepted += items.len() as u64;
        self.pending.items += items.len() as u64;
        while items.len() > 0 {
            if let Some(trigger) = self.open.join_many(&mut items, triggers) {
                self.seal(trigger);
            }
        }
        self.let_none_join();
    }

    /// Seals the open batch, if there is one.
    pub(crate) fn seal(&mut self, trigger: Trigger) -> bool {
        let Some(sealed) = self.open.seal(trigger) else {
            return false;
        };
        self.let_none_join();
        self.has_gathered = false;
        self.is_in_the_way = false;
        self.seals[trigger as usize] += 1;
        self.queue.push_back(Entry::Sealed(sealed));
        true
    }

    pub(crate) fn hand_out(&mut self, sealed: Sealed<T>) -> Sealed<T> {
        self.in_hand = Some(sealed.opened);
        sealed
    }

    /// Counts an outcome, by invariant 3 of `partition.rs` in the step in which its items are no longer pending.
    pub(crate) fn settle(&mut self, outcome: Outcome, size: Size) {
        self.tally.settle(outcome, size.items);
        self.pending.items -= size.items;
        self.pending.bytes -= size.bytes.min(self.pending.bytes);
    }

    /// Takes the oldest sealed batch out of the queue, or the open one if none is sealed. That passes over the barriers before it;
    /// those at which nobody waits any more go with it, or they would pile up in front.
    pub(crate) fn take_oldest(&mut self) -> Option<Sealed<T>> {
        let mut passed = Vec::new();
        let oldest = loop {
            match self.queue.pop_front() {
                Some(Entry::Sealed(sealed)) => break Some(sealed),
                Some(Entry::Barrier(barrier)) if barrier.is_abandoned() => {}
                Some(Entry::Barrier(barrier)) => {
                    barrier.pass_over(self.tally);
                    passed.push(barrier);
                }
                None if self.seal(Trigger::Bytes) => {}
                None => break None,
            }
        };
        for barrier in passed.into_iter().rev() {
            self.queue.push_front(Entry::Barrier(barrier));
        }
        oldest
    }

    /// Takes all that is left in the queue, at the end. The oldest batch counts as in hand until it is settled.
    pub(crate) fn take_queue(&mut self) -> VecDeque<Entry<T>> {
        let in_hand = self.in_hand.filter(|_| self.pending.items > 0);
        self.in_hand = in_hand.or_else(|| self.sealed().next().map(|sealed| sealed.opened));
        std::mem::take(&mut self.queue)
    }

    /// Marks the place behind all that was admitted. If nothing came behind the last mark, that one serves: asking again and again in
    /// an outage takes no memory. If newcomers are what is dropped, whatever overflows comes from behind.
    pub(crate) fn place_barrier(&mut self, newcomers_overflow: bool) -> BarrierWait {
        self.seal(Trigger::Request);
        if let Some(Entry::Barrier(barrier)) = self.queue.back() {
            return barrier.wait();
        }
        let (barrier, wait) = Barrier::new();
        if newcomers_overflow {
            barrier.pass_over(self.tally);
        }
        self.queue.push_back(Entry::Barrier(barrier));
        wait
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let ledger = Ledger::of(self.accepted, self.pending.items, self.tally);
        debug_assert_eq!(
            ledger.accepted,
            ledger.pending + self.tally.settled(),
            "{ledger:?}"
        );
        ledger
    }

    /// When the oldest pending item's batch was opened.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let open = self.open.len();
        let has_in_hand = self.pending.items > open + self.sealed_items();
        let in_hand = self.in_hand.filter(|_| has_in_hand);
        let sealed = || self.sealed().next().map(|sealed| sealed.opened);
        in_hand.or_else(sealed).or(self.open.opened())
    }

    pub(crate) fn sealed_items(&self) -> u64 {
        self.sealed().map(|sealed| sealed.items.len() as u64).sum()
    }

    pub(crate) fn sealed(&self) -> impl Iterator<Item = &Sealed<T>> {
        self.queue.iter().filter_map(|entry| match entry {
            Entry::Sealed(sealed) => Some(sealed),
            Entry::Barrier(_) => None,
        })
    }
}
