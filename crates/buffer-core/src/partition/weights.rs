//! What the items of a batch weigh.

/// A weight for each item, in order, and their sum. In a buffer that weighs nothing it is empty, and takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Weights {
    each: Vec<usize>,
    sum: u64,
}

impl Weights {
    /// The weight of items that will not be parted any more.
    pub(crate) fn in_all(sum: u64) -> Self {
        Self {
            each: Vec::new(),
            sum,
        }
    }

    /// How many items were weighed.
    pub(crate) fn len(&self) -> usize {
        self.each.len()
    }

    pub(crate) fn reserve(&mut self, items: usize) {
        self.each.reserve(items);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.sum
    }

    /// The weight of the item at `index`, if it was weighed.
    pub(crate) fn of(&self, index: usize) -> Option<usize> {
        self.each.get(index).copied()
    }

    /// Adds the weight of the next item, if it was weighed.
    #[inline]
    pub(crate) fn push(&mut self, bytes: Option<usize>) {
        if let Some(weight) = bytes {
            self.each.push(weight);
            self.sum = self.sum.saturating_add(in_bytes(bytes));
        }
    }

    /// Takes those of the items from `index` on.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let mut behind = Self::default();
        for bytes in self.each.drain(index.min(self.each.len())..) {
            behind.push(Some(bytes));
        }
        self.sum -= behind.sum.min(self.sum);
        behind
    }
}

/// The weight of an item, which is nothing if it was not weighed.
pub(crate) fn in_bytes(weighed: Option<usize>) -> u64 {
    weighed.map_or(0, |bytes| bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_parts_the_sum_too() {
        let mut weights = Weights::default();
        [3, 5, 7].into_iter().for_each(|bytes| weights.push(Some(bytes)));
        let behind = weights.split_off(1);
        assert_eq!((weights.sum(), behind.sum()), (3, 12));
        assert_eq!(
            (weights.of(0), weights.of(1), behind.of(0)),
            (Some(3), None, Some(5))
        );
    }

    #[test]
    fn what_is_not_weighed_weighs_nothing() {
        let mut weights = Weights::default();
        weights.push(None);
        let behind = weights.split_off(1);
        assert_eq!((weights.sum(), behind.sum(), weights.of(0)), (0, 0, None));
    }
}
