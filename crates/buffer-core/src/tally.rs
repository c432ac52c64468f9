//! Counts of settled items.

use std::fmt;
use std::ops::AddAssign;

use crate::outcome::Outcome;
use crate::outcome::reason::DropReason;

/// How many items were dropped, by reason.
///
/// # Examples
///
/// ```
/// use buffer_core::Ledger;
///
/// fn report(ledger: &Ledger) {
///     for (reason, items) in ledger.dropped.iter() {
///         println!("{items} dropped: {reason}");
///     }
/// }
/// # report(&Ledger::default());
/// ```
///
/// Its `Debug` shows the same: `{retries_exhausted: 9}`. Its `Display` is for a sentence: `9 dropped (retries_exhausted 9)`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

impl Dropped {
    /// The items dropped for `reason`.
    pub fn count(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// The items dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, each with its number of items.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::EACH
            .into_iter()
            .map(|reason| (reason, self.count(reason)))
            .filter(|(_, items)| *items > 0)
    }

    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|reason| {
            self.0[reason].saturating_sub(earlier.0[reason])
        }))
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons = f.debug_map();
        for (reason, items) in self.iter() {
            reasons.entry(&format_args!("{reason}"), &items);
        }
        reasons.finish()
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dropped", self.total())?;
        for (index, (reason, items)) in self.iter().enumerate() {
            let before = if index == 0 { " (" } else { ", " };
            write!(f, "{before}{reason} {items}")?;
        }
        if self.total() > 0 {
            f.write_str(")")
        } else {
            Ok(())
        }
    }
}

impl AddAssign for Dropped {
    fn add_assign(&mut self, other: Self) {
        for (sum, items) in self.0.iter_mut().zip(other.0) {
            *sum += items;
        }
    }
}

/// The settled items, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) delivered: u64,
    pub(crate) dropped: Dropped,
    pub(crate) returned: u64,
    pub(crate) retried: u64,
    pub(crate) dead_lettered: u64,
}

impl Tally {
    pub(crate) fn settle(&mut self, outcome: Outcome, items: u64) {
        match outcome {
            Outcome::Delivered => self.delivered += items,
            Outcome::Dropped(reason) => self.dropped.0[reason as usize] += items,
            Outcome::Returned => self.returned += items,
        }
    }

    pub(crate) fn settled(&self) -> u64 {
        self.delivered + self.dropped.total() + self.returned
    }

    /// The same with the overflow of `earlier`, a copy of this tally from before.
    pub(crate) fn with_overflow_of(mut self, earlier: &Self) -> Self {
        for reason in [DropReason::Overflow, DropReason::DeadLetterFull] {
            self.dropped.0[reason as usize] = earlier.dropped.count(reason);
        }
        self
    }

    /// The same without this many of the items that a drain left over.
    pub(crate) fn without_left(mut self, items: u64) -> Self {
        // They are all dropped, or all returned. What was returned otherwise, to the sink, comes last.
        let left = &mut self.dropped.0[DropReason::DrainTimeout as usize];
        let dropped = items.min(*left);
        *left -= dropped;
        self.returned -= (items - dropped).min(self.returned);
        self
    }

    /// What was settled after `earlier`, a copy of this tally from before.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            delivered: self.delivered - earlier.delivered,
            dropped: self.dropped.since(&earlier.dropped),
            returned: self.returned - earlier.returned,
            retried: self.retried - earlier.retried,
            dead_lettered: self.dead_lettered - earlier.dead_lettered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_that_occurred_are_shown_and_no_others() {
        let mut tally = Tally::default();
        assert_eq!(format!("{:?}", tally.dropped), "{}");
        assert_eq!(tally.dropped.to_string(), "0 dropped");
        tally.settle(Outcome::Dropped(DropReason::RetriesExhausted), 9);
        assert_eq!(format!("{:?}", tally.dropped), "{retries_exhausted: 9}");
        tally.settle(Outcome::Dropped(DropReason::Overflow), 1);
        assert_eq!(
            tally.dropped.to_string(),
            "10 dropped (retries_exhausted 9, overflow 1)"
        );
    }

    #[test]
    fn every_drop_reason_has_its_own_counter() {
        let mut tally = Tally::default();
        for (index, reason) in DropReason::EACH.into_iter().enumerate() {
            tally.settle(Outcome::Dropped(reason), index as u64 + 1);
        }
        for (index, reason) in DropReason::EACH.into_iter().enumerate() {
            assert_eq!(tally.dropped.count(reason), index as u64 + 1, "{reason}");
        }
        assert_eq!(tally.settled(), (1..=DropReason::ALL.len() as u64).sum::<u64>());
    }

    /// What was left over is all dropped or all returned; what a sink withdrew before is neither.
    #[test]
    fn what_was_left_behind_a_barrier_is_not_confused_with_what_was_withdrawn_before_it() {
        let mut tally = Tally::default();
        tally.settle(Outcome::Returned, 3);
        for left in [Outcome::Returned, Outcome::Dropped(DropReason::DrainTimeout)] {
            let mut later = tally;
            later.settle(left, 5);
            assert_eq!(later.without_left(5), tally, "{left:?}");
        }
    }

    #[test]
    fn a_tally_since_an_earlier_one_holds_the_difference() {
        let mut earlier = Tally::default();
        earlier.settle(Outcome::Delivered, 3);
        let mut later = earlier;
        later.settle(Outcome::Delivered, 4);
        later.settle(Outcome::Returned, 2);
        let between = later.since(&earlier);
        assert_eq!(
            (between.delivered, between.returned, between.settled()),
            (4, 2, 6)
        );
    }
}
