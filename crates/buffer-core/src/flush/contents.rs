//! The items of a batch, what the sink has said of each, and how they leave.

use std::ops::Range;
use std::sync::Arc;

use crate::caught::drop_each_caught;
use crate::outcome::not_delivered::{NotDelivered, SharedCause};
use crate::outcome::reason::DropReason;
use crate::partition::waiters::{Answer, Answers, Waiters};
use crate::partition::weights::{Weights, in_bytes};

/// The items that are not settled, each with its weight, whoever waits for it, and its mark.
#[derive(Debug)]
pub(crate) struct Contents<T> {
    items: Items<T>,
    weights: Weights,
    waiters: Waiters,
    /// Empty until the sink marks an item; from then on one mark for each item.
    marks: Vec<Mark>,
}

/// Where the items are.
#[derive(Debug)]
enum Items<T> {
    Here(Vec<T>),
    /// The sink has this many of them, and is to say what it did with them.
    Taken(usize),
    /// The sink has this many of them for good.
    Withdrawn(usize),
}

/// What the sink said of one item.
#[derive(Debug)]
enum Mark {
    Open,
    Delivered,
    Rejected(SharedCause),
}

impl Mark {
    fn answer(&self) -> Option<Answer> {
        match self {
            Self::Open => None,
            Self::Delivered => Some(Ok(())),
            Self::Rejected(cause) => Some(Err(NotDelivered::Dropped {
                reason: DropReason::Rejected,
                cause: Some(Arc::clone(cause)),
            })),
        }
    }
}

impl<T> Items<T> {
    fn count(&self) -> usize {
        match self {
            Self::Here(items) => items.len(),
            Self::Taken(count) | Self::Withdrawn(count) => *count,
        }
    }

    /// Takes out what is here, and leaves `instead` in its place.
    fn take(&mut self, instead: impl FnOnce(usize) -> Self) -> Vec<T> {
        match self {
            Self::Here(items) if !items.is_empty() => {
                let items = std::mem::take(items);
                *self = instead(items.len());
                items
            }
            _ => Vec::new(),
        }
    }
}

impl<T> Contents<T> {
    pub(crate) fn new(items: Vec<T>, weights: Weights, waiters: Waiters) -> Self {
        Self {
            items: Items::Here(items),
            weights,
            waiters,
            marks: Vec::new(),
        }
    }

    /// The items, except those that the sink has taken out.
    pub(crate) fn items(&self) -> &[T] {
        match &self.items {
            Items::Here(items) => items,
            Items::Taken(_) | Items::Withdrawn(_) => &[],
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.weights.sum()
    }

    /// The number of items, including those that the sink has taken out.
    pub(crate) fn count(&self) -> usize {
        self.items.count()
    }

    /// Whether the sink has taken the items out, to withdraw them or not.
    pub(crate) fn were_taken(&self) -> bool {
        matches!(self.items, Items::Taken(_) | Items::Withdrawn(_))
    }

    /// Whether the sink has withdrawn all of them, and so says nothing of itself.
    pub(crate) fn were_withdrawn(&self) -> bool {
        matches!(self.items, Items::Withdrawn(_)) && !self.are_marked()
    }

    /// Whether the sink has said something of single items.
    pub(crate) fn are_marked(&self) -> bool {
        self.marks.iter().any(|mark| !matches!(mark, Mark::Open))
    }

    /// Whether the sink has confirmed some of them.
    pub(crate) fn has_delivered(&self) -> bool {
        self.marks.iter().any(|mark| matches!(mark, Mark::Delivered))
    }

    pub(crate) fn deliver(&mut self, range: Range<usize>) {
        for mark in &mut self.marks()[range] {
            *mark = Mark::Delivered;
        }
    }

    pub(crate) fn reject(&mut self, index: usize, cause: SharedCause) {
        self.marks()[index] = Mark::Rejected(cause);
    }

    fn marks(&mut self) -> &mut [Mark] {
        self.marks.resize_with(self.items.count(), || Mark::Open);
        &mut self.marks
    }

    /// Hands the items to the sink, which is to say what it did with them.
    pub(crate) fn take(&mut self) -> Vec<T> {
        self.items.take(Items::Taken)
    }

    /// Hands the items to the sink for good.
    pub(crate) fn withdraw(&mut self) -> Vec<T> {
        self.items.take(Items::Withdrawn)
    }

    /// Splits it in two, in order. Marked items, and taken ones, are settled before.
    pub(crate) fn halves(mut self) -> (Self, Self) {
        let mut items = self.items.take(|_| Items::Here(Vec::new()));
        let middle = items.len() / 2;
        let second = Self::new(
            items.split_off(middle),
            self.weights.split_off(middle),
            self.waiters.split_off(middle),
        );
        (Self::new(items, self.weights, self.waiters), second)
    }

    /// Takes everything out, with the answer for those who wait for an item: the batch is settled.
    pub(crate) fn settle(&mut self, answer: &Answer) -> (Group<T>, Answers) {
        let answers = self.waiters.take(answer);
        (self.take_all(), answers)
    }

    /// Takes everything out, with those that wait for an item: they learn that it was left over when they are dropped.
    pub(crate) fn take_left(&mut self) -> (Group<T>, Waiters) {
        let waiters = std::mem::take(&mut self.waiters);
        (self.take_all(), waiters)
    }

    fn take_all(&mut self) -> Group<T> {
        self.marks.clear();
        let count = self.count();
        let items = std::mem::replace(&mut self.items, Items::Here(Vec::new()));
        Group {
            items: match items {
                Items::Here(items) => items,
                Items::Taken(_) | Items::Withdrawn(_) => Vec::new(),
            },
            count,
            bytes: std::mem::take(&mut self.weights).sum(),
        }
    }

    /// Takes out what the sink has taken and not confirmed, if it has.
    pub(crate) fn take_unconfirmed(&mut self) -> Option<(Group<T>, Answers)> {
        let unconfirmed = NotDelivered::Dropped {
            reason: DropReason::Unconfirmed,
            cause: None,
        };
        matches!(self.items, Items::Taken(_)).then(|| self.settle(&Err(unconfirmed)))
    }

    /// Takes out what the sink has withdrawn, if it has.
    pub(crate) fn take_withdrawn(&mut self) -> Option<(Group<T>, Answers)> {
        matches!(self.items, Items::Withdrawn(_)).then(|| self.settle(&Err(NotDelivered::Withdrawn)))
    }

    /// Takes out the items that the sink marked, if it marked any.
    pub(crate) fn take_marked(&mut self) -> Option<Marked<T>> {
        if self.marks.is_empty() {
            return None;
        }
        let answers = self.waiters.take_answered(self.marks.iter().map(Mark::answer));
        let mut marked = Marked {
            delivered: Group::empty(),
            rejected: Group::empty(),
            causes: Vec::new(),
            answers,
        };
        let weights = std::mem::take(&mut self.weights);
        let items = match &mut self.items {
            Items::Here(items) => std::mem::take(items),
            Items::Taken(_) | Items::Withdrawn(_) => Vec::new(),
        };
        let mut items = items.into_iter();
        let (mut open, mut left) = (0, Vec::new());
        for (index, mark) in self.marks.drain(..).enumerate() {
            // None if the sink has it.
            let item = items.next();
            let bytes = weights.of(index);
            match mark {
                Mark::Open => {
                    open += 1;
                    left.extend(item);
                    self.weights.push(bytes);
                }
                Mark::Delivered => marked.delivered.add(item, bytes),
                Mark::Rejected(cause) => {
                    marked.rejected.add(item, bytes);
                    marked.causes.push(cause);
                }
            }
        }
        self.items = match self.items {
            Items::Taken(_) if open > 0 => Items::Taken(open),
            Items::Withdrawn(_) if open > 0 => Items::Withdrawn(open),
            _ => Items::Here(left),
        };
        Some(marked)
    }

    /// The items alone. What the sink said of single ones is dropped: causes, which are user code.
    pub(crate) fn into_items(mut self) -> Vec<T> {
        drop_each_caught(std::mem::take(&mut self.marks));
        self.items.take(Items::Taken)
    }
}

/// What [`Contents::take_marked`] takes out.
pub(crate) struct Marked<T> {
    pub(crate) delivered: Group<T>,
    pub(crate) rejected: Group<T>,
    /// Why, one for each of the rejected.
    pub(crate) causes: Vec<SharedCause>,
    /// For those who wait for one of them.
    pub(crate) answers: Answers,
}

/// Items that leave a batch together.
pub(crate) struct Group<T> {
    /// Empty if the sink has them.
    pub(crate) items: Vec<T>,
    pub(crate) count: usize,
    pub(crate) bytes: u64,
}

impl<T> Group<T> {
    fn empty() -> Self {
        Self {
            items: Vec::new(),
            count: 0,
            bytes: 0,
        }
    }

    fn add(&mut self, item: Option<T>, bytes: Option<usize>) {
        self.items.extend(item);
        self.count += 1;
        self.bytes = self.bytes.saturating_add(in_bytes(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each item weighs its value.
    fn contents(items: Vec<u32>) -> Contents<u32> {
        let mut weights = Weights::default();
        items.iter().for_each(|item| weights.push(Some(*item as usize)));
        Contents::new(items, weights, Waiters::default())
    }

    #[test]
    fn what_was_withdrawn_is_counted_by_its_marks_and_the_rest_goes_back() {
        let mut contents = contents(vec![10, 11, 12]);
        contents.deliver(0..1);
        assert_eq!(contents.withdraw(), [10, 11, 12]);
        assert!(contents.withdraw().is_empty() && contents.take().is_empty());
        let marked = contents.take_marked().expect("one is marked");
        assert_eq!((marked.delivered.count, marked.delivered.bytes), (1, 10));
        assert!(contents.take_unconfirmed().is_none());
        let (withdrawn, _) = contents.take_withdrawn().expect("two are left");
        assert_eq!((withdrawn.count, withdrawn.bytes), (2, 23));
    }

    #[test]
    fn what_was_taken_before_can_t_be_withdrawn() {
        let mut contents = contents(vec![10]);
        assert_eq!((contents.take(), contents.withdraw()), (vec![10], vec![]));
        assert!(contents.take_withdrawn().is_none() && contents.take_unconfirmed().is_some());
    }

    #[test]
    fn what_was_taken_is_counted_by_its_marks_and_the_rest_is_unconfirmed() {
        let mut contents = contents(vec![10, 11, 12, 13]);
        contents.deliver(0..1);
        assert_eq!(contents.take(), [10, 11, 12, 13]);
        let cause: Box<dyn std::error::Error + Send + Sync> = "bad".into();
        contents.reject(3, cause.into());
        let marked = contents.take_marked().expect("some are marked");
        assert_eq!((marked.delivered.count, marked.delivered.bytes), (1, 10));
        assert_eq!((marked.rejected.count, marked.rejected.bytes), (1, 13));
        let (unconfirmed, _) = contents.take_unconfirmed().expect("two are left");
        assert_eq!((unconfirmed.count, unconfirmed.bytes), (2, 23));
        assert_eq!((contents.count(), contents.bytes()), (0, 0));
    }
}
