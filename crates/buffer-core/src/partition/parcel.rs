//! Many items on their way into one buffer, each with its weight.

use crate::outcome::size::Size;
use crate::partition::weights::in_bytes;

/// A caller's items, reversed so that they can be taken from the end, and reversed back when it is dropped.
pub(crate) struct Parcel<'a, T> {
    items: &'a mut Vec<T>,
    /// Reversed, too; empty if nothing is weighed.
    weights: Vec<usize>,
}

impl<'a, T> Parcel<'a, T> {
    /// `weights` has one for each item, or none at all.
    pub(crate) fn new(items: &'a mut Vec<T>, mut weights: Vec<usize>) -> Self {
        items.reverse();
        weights.reverse();
        Self { items, weights }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_weighed(&self) -> bool {
        !self.weights.is_empty()
    }

    /// The weight of the next item.
    pub(crate) fn next_bytes(&self) -> Option<usize> {
        self.weights.last().copied()
    }

    /// What the next `count` items want of a partition: room for them, or for the first of them if they are weighed.
    pub(crate) fn next_size(&self, count: usize) -> Size {
        Size {
            items: if self.is_weighed() { 1 } else { count as u64 },
            bytes: in_bytes(self.next_bytes()),
        }
    }

    /// Takes the next item, and removes its weight.
    pub(crate) fn next(&mut self) -> Option<T> {
        self.weights.pop();
        self.items.pop()
    }

    /// Takes the next `count` items of a parcel that is not weighed.
    pub(crate) fn take(&mut self, count: usize) -> impl ExactSizeIterator<Item = T> {
        let first = self.items.len() - count;
        self.items.drain(first..).rev()
    }

    /// Splits off the next `count` items, in their order.
    pub(crate) fn split(&mut self, count: usize) -> Vec<T> {
        let first = self.items.len() - count;
        self.weights.truncate(first);
        self.items.drain(first..).rev().collect()
    }

    /// Puts back items that were split off, to be handed back to the caller.
    pub(crate) fn put_back(&mut self, items: Vec<T>) {
        self.items.extend(items.into_iter().rev());
    }
}

impl<T> Drop for Parcel<'_, T> {
    fn drop(&mut self) {
        self.items.reverse();
    }
}
