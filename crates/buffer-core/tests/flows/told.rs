//! The items, and what those who insert them were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use buffer_core::{Buffer, DropReason};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::case::Case;
use crate::record::Record;

/// The producer of the items that come with the close.
const LAST: u8 = u8::MAX;

/// An item, which shows by its token that it still exists.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: u32,
    pub(crate) producer: u8,
    pub(crate) weight: usize,
    _token: Arc<()>,
}

impl Item {
    /// Whether it came with the close, whatever its weight.
    pub(crate) fn is_last(&self) -> bool {
        self.producer == LAST
    }
}

/// What a flow knows, from all sides.
#[derive(Debug, Clone)]
pub(crate) struct Books {
    pub(crate) case: Arc<Case>,
    pub(crate) record: Arc<Mutex<Record>>,
    pub(crate) told: Arc<Mutex<Told>>,
    token: Weak<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What each item weighs.
    pub(crate) weights: BTreeMap<u32, usize>,
    pub(crate) accepted: BTreeSet<u32>,
    pub(crate) refused: BTreeSet<u32>,
    /// Those of the accepted that were not settled at the last look, and when their answers came.
    pub(crate) unsettled: BTreeMap<u32, Instant>,
    /// Items of calls that have not answered yet.
    pub(crate) open: BTreeSet<u32>,
    /// Items of calls that were dropped, accepted or not.
    pub(crate) unknown: BTreeSet<u32>,
    /// What those heard who waited for their item's outcome.
    pub(crate) answers: BTreeMap<u32, Answered>,
    /// The number of the next producer that has only one item.
    pub(crate) next_alone: u8,
}

/// The answer to one who waited for the outcome of an item that was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answered {
    Delivered,
    Dropped(DropReason),
    Withdrawn,
    LeftOver,
}

impl Told {
    pub(crate) fn accept(&mut self, id: u32) {
        self.accepted.insert(id);
        self.unsettled.insert(id, Instant::now());
    }
}

impl Books {
    pub(crate) fn new(case: Case, token: &Arc<()>) -> Self {
        Self {
            record: Arc::new(Mutex::new(Record::new(&case))),
            case: Arc::new(case),
            told: Arc::default(),
            token: Arc::downgrade(token),
        }
    }

    /// The next item, noted as one of a call that has not answered.
    pub(crate) fn item(&self, producer: u8, too_heavy: bool) -> Item {
        let mut told = self.told.lock();
        let id = told.weights.len() as u32;
        let heavy = self.case.too_heavy().filter(|_| too_heavy);
        let weight = heavy.unwrap_or_else(|| self.case.weight(id));
        told.weights.insert(id, weight);
        told.open.insert(id);
        self.make(id, producer, weight)
    }

    /// How many items are in calls that have not answered, and not accepted: so many at least, and at most.
    pub(crate) fn waiting(&self, buffer: &Buffer<Item>) -> (u64, u64) {
        let told = self.told.lock();
        let is_closed = buffer.is_closed();
        let last = self.last_ids().filter(|_| is_closed).count();
        // Those who wait for an outcome are accepted, and have no answer either; nor have those who gave up.
        let without_answer = buffer
            .ledger()
            .accepted
            .saturating_sub((told.accepted.len() + last) as u64);
        let (open, unknown) = (told.open.len() as u64, told.unknown.len() as u64);
        let waiting = |accepted| open.saturating_sub(accepted);
        (
            waiting(without_answer),
            waiting(without_answer.saturating_sub(unknown)),
        )
    }

    pub(crate) fn last_items(&self) -> Vec<Item> {
        let (items, weights) = (self.last_ids(), |id| self.case.any_weight(u32::MAX - id));
        items.map(|id| self.make(id, LAST, weights(id))).collect()
    }

    pub(crate) fn last_ids(&self) -> std::ops::Range<u32> {
        u32::MAX - self.case.settings.last_items..u32::MAX
    }

    /// An item that is in no book.
    pub(crate) fn stranger(&self) -> Item {
        self.make(u32::MAX, 0, 0)
    }

    fn make(&self, id: u32, producer: u8, weight: usize) -> Item {
        Item {
            id,
            producer,
            weight,
            _token: self.token.upgrade().expect("the flow runs"),
        }
    }
}
