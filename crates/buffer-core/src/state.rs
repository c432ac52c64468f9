//! What lies under a partition's lock: each method is one step of it.

use std::collections::VecDeque;
use std::ops::RangeBounds;

use tokio::time::Instant;

use crate::barrier::{Barrier, Wait};
use crate::info::Seals;
use crate::open::{OpenBatch, Sealed};
use crate::outcome::{Outcome, Tally};
use crate::size::Size;
use crate::trigger::{Trigger, Triggers};
use crate::waiters::Waiter;
use crate::weights::in_bytes;

/// The open batch, the sealed ones, and the counts.
pub(crate) struct State<T> {
    pub(crate) open: OpenBatch<T>,
    pub(crate) queue: VecDeque<Entry<T>>,
    /// When the batch was opened that the worker has in hand.
    pub(crate) in_hand: Option<Instant>,
    pub(crate) pending: Size,
    pub(crate) tally: Tally,
    pub(crate) seals: Seals,
    pub(crate) attempts: u64,
    pub(crate) failed_attempts: u64,
    pub(crate) closed: bool,
    /// The worker is gone: nobody takes from the queue any more.
    pub(crate) ended: bool,
    /// The last barrier, and the count of accepted items when it was placed.
    pub(crate) barrier: Option<(Wait, u64)>,
}

/// What the worker finds in the queue.
pub(crate) enum Entry<T> {
    Sealed(Sealed<T>),
    /// Everything admitted before it is settled once the worker gets here.
    Barrier(Barrier),
}

impl<T> State<T> {
    pub(crate) fn new() -> Self {
        Self {
            open: OpenBatch::new(),
            queue: VecDeque::new(),
            in_hand: None,
            pending: Size::default(),
            tally: Tally::default(),
            seals: Seals::default(),
            attempts: 0,
            failed_attempts: 0,
            closed: false,
            ended: false,
            barrier: None,
        }
    }

    /// Whether an item may join what is pending.
    pub(crate) fn has_room(&self, bytes: Option<usize>, capacity: &Size) -> bool {
        self.pending.items < capacity.items
            && self.pending.bytes.saturating_add(in_bytes(bytes)) <= capacity.bytes
    }

    /// Seals the open batch if the next item would take it past its weight; says whether it did.
    pub(crate) fn part_from_heavy(&mut self, bytes: Option<usize>, triggers: &Triggers) -> bool {
        let is_heavy = self.open.bytes().saturating_add(in_bytes(bytes)) > triggers.batch_bytes;
        is_heavy && self.seal(Trigger::Bytes)
    }

    /// Stores an item, and seals the open batch if that is full with it; says whether it was.
    pub(crate) fn join(
        &mut self,
        item: T,
        bytes: Option<usize>,
        waiter: Option<Waiter>,
        triggers: &Triggers,
    ) -> bool {
        self.pending.items += 1;
        self.pending.bytes = self.pending.bytes.saturating_add(in_bytes(bytes));
        let full = self.open.join(item, bytes, waiter, triggers);
        full.is_some_and(|trigger| self.seal(trigger))
    }

    /// Stores items that were not weighed, and seals the open batch as often as it is full.
    pub(crate) fn join_many(&mut self, mut items: impl ExactSizeIterator<Item = T>, triggers: &Triggers) {
        self.pending.items += items.len() as u64;
        while items.len() > 0 {
            if let Some(trigger) = self.open.join_many(&mut items, triggers) {
                self.seal(trigger);
            }
        }
    }

    /// Seals the open batch, if there is one.
    pub(crate) fn seal(&mut self, trigger: Trigger) -> bool {
        let Some(sealed) = self.open.seal(trigger) else {
            return false;
        };
        self.seals[trigger as usize] += 1;
        self.queue.push_back(Entry::Sealed(sealed));
        true
    }

    pub(crate) fn hand_out(&mut self, sealed: Sealed<T>) -> Sealed<T> {
        self.in_hand = Some(sealed.opened);
        sealed
    }

    pub(crate) fn settle(&mut self, outcome: Outcome, size: Size) {
        self.tally.settle(outcome, size.items);
        self.pending.items -= size.items;
        self.pending.bytes -= size.bytes.min(self.pending.bytes);
    }

    /// Takes the oldest sealed batch out of the queue. Barriers before it are passed over by that.
    pub(crate) fn take_oldest_sealed(&mut self) -> Option<Sealed<T>> {
        let mut entries = self.queue.iter();
        let index = entries.position(|entry| matches!(entry, Entry::Sealed(_)))?;
        let tally = self.tally;
        self.barriers(..index)
            .for_each(|barrier| barrier.pass_over(tally));
        match self.queue.remove(index) {
            Some(Entry::Sealed(sealed)) => Some(sealed),
            Some(Entry::Barrier(_)) | None => unreachable!("a sealed batch was seen there"),
        }
    }

    pub(crate) fn barriers(&self, range: impl RangeBounds<usize>) -> impl Iterator<Item = &Barrier> {
        self.queue.range(range).filter_map(|entry| match entry {
            Entry::Barrier(barrier) => Some(barrier),
            Entry::Sealed(_) => None,
        })
    }

    pub(crate) fn sealed(&self) -> impl Iterator<Item = &Sealed<T>> {
        self.queue.iter().filter_map(|entry| match entry {
            Entry::Sealed(sealed) => Some(sealed),
            Entry::Barrier(_) => None,
        })
    }
}
