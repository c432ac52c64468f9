//! The batch that a worker has in hand: whole, or in the parts that it was split in.

use std::collections::VecDeque;

use crate::flush::batch::Batch;
use crate::flush::contents::Group;
use crate::flusher::{Flight, Policy};
use crate::partition::waiters::Waiters;

/// The parts of one sealed batch that are not settled yet, in order.
#[derive(Debug)]
pub(crate) struct Hand<T> {
    parts: VecDeque<Flight<T>>,
    /// How often parts may still be split.
    splits_left: u32,
}

/// With this many guilty items in a batch, wherever they stand, the search still finds each of them.
const GUILTY_ITEMS: u32 = 8;

/// The search for the guilty items has used up its requests.
pub(crate) struct Undivided;

impl<T> Hand<T> {
    pub(crate) fn empty() -> Self {
        Self {
            parts: VecDeque::new(),
            splits_left: 0,
        }
    }

    /// Takes the next batch in hand.
    pub(crate) fn take(&mut self, batch: Batch<T>, policy: &Policy) {
        self.splits_left = most_splits(batch.len());
        self.parts.push_back(Flight::new(batch, policy));
    }

    /// The part that is flushed next.
    pub(crate) fn front(&mut self) -> Option<&mut Flight<T>> {
        self.parts.front_mut()
    }

    /// The first part is settled.
    pub(crate) fn settled(&mut self) {
        self.parts.pop_front();
    }

    /// Gives back the memory of what it held.
    pub(crate) fn shrink(&mut self) {
        self.parts.shrink_to_fit();
    }

    /// Splits the first part in halves, which take its place; a single item stays one part, to be tried alone.
    pub(crate) fn split(&mut self, policy: &Policy) -> Result<(), Undivided> {
        self.splits_left = self.splits_left.checked_sub(1).ok_or(Undivided)?;
        if let Some(flight) = self.parts.pop_front_if(|flight| flight.batch.len() > 1) {
            let (first, second) = flight.batch.halves();
            self.parts.push_front(Flight::new(second, policy));
            self.parts.push_front(Flight::new(first, policy));
        }
        Ok(())
    }

    /// Starts all parts over under another policy.
    pub(crate) fn restart(&mut self, policy: &Policy) {
        for flight in &mut self.parts {
            flight.restart(policy);
        }
    }

    /// Empties the hand.
    pub(crate) fn take_left(&mut self) -> impl Iterator<Item = (Group<T>, Waiters)> {
        self.parts
            .drain(..)
            .map(|mut flight| flight.batch.contents.take_left())
    }
}

/// How often this many items may be split before the search for the guilty ones is given up.
pub(crate) fn most_splits(items: usize) -> u32 {
    // Each guilty item costs at most one split for each time that the items can be halved.
    GUILTY_ITEMS * items.next_power_of_two().ilog2()
}
