//! What became of the items: outcomes, the ledger that counts them, and the summary of a close.

use std::error::Error;
use std::fmt;
use std::ops::AddAssign;

use crate::batch::Causes;
use crate::batch_id::BatchId;
use crate::flush_error::FlushError;
use crate::reason::DropReason;
use crate::size::Size;

/// What became of an item once it is settled.
///
/// # Examples
///
/// ```
/// use buffer_core::{DropReason, Outcome};
///
/// fn color(outcome: Outcome) -> &'static str {
///     match outcome {
///         Outcome::Delivered => "green",
///         Outcome::Dropped(DropReason::DrainTimeout) | Outcome::Returned => "yellow",
///         _ => "red",
///     }
/// }
/// assert_eq!(color(Outcome::Dropped(DropReason::Permanent)), "red");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The sink has it.
    Delivered,
    /// It was given up, for a reason.
    Dropped(DropReason),
    /// It was handed back: by a close, or to a sink that [withdrew](crate::Batch::withdraw) it.
    Returned,
}

/// Items that were settled together: what [`Builder::on_outcome`](crate::Builder::on_outcome) sees.
///
/// # Examples
///
/// ```
/// use buffer_core::{Outcome, Settled};
///
/// /// One line of a log.
/// fn line(settled: &Settled<'_, String>) -> String {
///     let (items, partition) = (settled.items.len(), settled.partition);
///     match (settled.outcome, settled.cause(0)) {
///         (Outcome::Dropped(reason), Some(cause)) => format!("{items} of {partition} dropped ({reason}): {cause}"),
///         (outcome, _) => format!("{items} of {partition}: {outcome:?}"),
///     }
/// }
/// # let _ = buffer_core::Buffer::builder().on_outcome(|settled| println!("{}", line(settled)));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Settled<'a, T> {
    /// What became of them.
    pub outcome: Outcome,
    /// The items, in order. None where the sink [took](crate::Batch::take) or [withdrew](crate::Batch::withdraw) them.
    pub items: &'a [T],
    /// The number of items.
    pub count: usize,
    /// The partition that they were in.
    pub partition: usize,
    /// The batch that they were flushed in, if they came so far.
    pub batch: Option<BatchId>,
    pub(crate) bytes: u64,
    /// Why they were not delivered.
    pub(crate) causes: &'a Causes,
}

impl<T> Settled<'_, T> {
    pub(crate) fn size(&self) -> Size {
        Size {
            items: self.count as u64,
            bytes: self.bytes,
        }
    }

    /// Why the item at `index` was dropped: the [`FlushError`] of its batch, or the error that it was
    /// [rejected](crate::Batch::reject) with. None where it was delivered or returned, or time ran out.
    pub fn cause(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        self.causes.of(index)
    }
}

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
/// Its `Debug` shows the same: `{retries_exhausted: 9}`.
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
        DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.count(reason)))
            .filter(|(_, items)| *items > 0)
    }
}

impl Dropped {
    fn since(&self, earlier: &Self) -> Self {
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

    /// The same without so many of the items that a drain left over.
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

/// Every accepted item, by what became of it: `accepted = delivered + dropped + returned + pending`, at all times.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().build(Nowhere)?;
/// buffer.insert(1).await?;
/// assert_eq!(buffer.ledger().pending, 1);
/// buffer.flush().await;
/// assert_eq!(buffer.ledger().delivered, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Items that an insert accepted.
    pub accepted: u64,
    /// Items that the sink delivered.
    pub delivered: u64,
    /// Items that were dropped, by reason.
    pub dropped: Dropped,
    /// Items handed back: by a close, or to a sink that [withdrew](crate::Batch::withdraw) them.
    pub returned: u64,
    /// Items accepted and not settled yet.
    pub pending: u64,
    /// Items offered to the sink again, counted once for each attempt after the first.
    pub retried: u64,
    /// Dropped items that the dead-letter sink took. The others of `dropped` are gone.
    pub dead_lettered: u64,
}

impl Ledger {
    /// What was settled since `earlier`, a ledger of the same buffer.
    pub fn since(&self, earlier: &Self) -> FlushReport {
        FlushReport {
            delivered: self.delivered.saturating_sub(earlier.delivered),
            dropped: self.dropped.since(&earlier.dropped),
            returned: self.returned.saturating_sub(earlier.returned),
            pending: 0,
        }
    }

    /// The ledger of one partition.
    pub(crate) fn of(accepted: u64, pending: u64, tally: Tally) -> Self {
        let Tally {
            delivered,
            dropped,
            returned,
            retried,
            dead_lettered,
        } = tally;
        Self {
            accepted,
            delivered,
            dropped,
            returned,
            pending,
            retried,
            dead_lettered,
        }
    }
}

impl Ledger {
    /// Adds what has happened between two looks at a part of what this sums up.
    pub(crate) fn advance(&mut self, before: &Self, now: &Self) {
        self.accepted += now.accepted - before.accepted;
        self.delivered += now.delivered - before.delivered;
        self.dropped += now.dropped.since(&before.dropped);
        self.returned += now.returned - before.returned;
        self.pending = self.pending + now.pending - before.pending;
        self.retried += now.retried - before.retried;
        self.dead_lettered += now.dead_lettered - before.dead_lettered;
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        let Self {
            accepted,
            delivered,
            dropped,
            returned,
            pending,
            retried,
            dead_lettered,
        } = other;
        self.accepted += accepted;
        self.delivered += delivered;
        self.dropped += dropped;
        self.returned += returned;
        self.pending += pending;
        self.retried += retried;
        self.dead_lettered += dead_lettered;
    }
}

/// What became of the items that were pending when [`Buffer::flush`](crate::Buffer::flush) was called.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_core::Buffer;
///
/// /// Whether all that was inserted before is stored.
/// async fn checkpoint(buffer: &Buffer<String>) -> bool {
///     let report = buffer.flush_within(Duration::from_secs(5)).await;
///     report.pending == 0 && report.returned == 0 && report.dropped.total() == 0
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Items that the sink delivered.
    pub delivered: u64,
    /// Items that were dropped, by reason.
    pub dropped: Dropped,
    /// Items handed back: to a sink that [withdrew](crate::Batch::withdraw) them, or by a close that came in between.
    pub returned: u64,
    /// Items that were not settled in time: only after [`flush_within`](crate::Buffer::flush_within).
    pub pending: u64,
}

impl AddAssign for FlushReport {
    fn add_assign(&mut self, other: Self) {
        let Self {
            delivered,
            dropped,
            returned,
            pending,
        } = other;
        self.pending += pending;
        self.delivered += delivered;
        self.dropped += dropped;
        self.returned += returned;
    }
}

impl FlushReport {
    pub(crate) fn add(&mut self, tally: Tally) {
        let Tally {
            delivered,
            dropped,
            returned,
            retried: _,
            dead_lettered: _,
        } = tally;
        self.delivered += delivered;
        self.dropped += dropped;
        self.returned += returned;
    }
}

/// What a close leaves: the final ledger, and the items that could not be delivered in time.
///
/// # Examples
///
/// ```
/// use buffer_core::Buffer;
///
/// # async fn save(_: &[String]) -> Result<(), std::io::Error> { Ok(()) }
/// async fn stop(buffer: Buffer<String>) -> Result<(), Box<dyn std::error::Error>> {
///     let summary = buffer.close().await;
///     save(&summary.undelivered).await?;
///     println!("{} stored, {} for the next start", summary.ledger.delivered, summary.ledger.returned);
///     summary.sink_error.map_or(Ok(()), |error| Err(error.into()))
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary<T> {
    /// The final ledger; nothing is pending.
    pub ledger: Ledger,
    /// The items that the drain's deadline left over, in the order of each partition. They are counted as `returned`, as are those
    /// that the sink [withdrew](crate::Batch::withdraw), which are not here.
    ///
    /// When several callers wait for one close, the first to be answered gets them.
    pub undelivered: Vec<T>,
    /// What [`Flush::close`](crate::Flush::close) answered, if it failed.
    pub sink_error: Option<FlushError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_that_occurred_are_shown_and_no_others() {
        let mut tally = Tally::default();
        assert_eq!(format!("{:?}", tally.dropped), "{}");
        tally.settle(Outcome::Dropped(DropReason::RetriesExhausted), 9);
        assert_eq!(format!("{:?}", tally.dropped), "{retries_exhausted: 9}");
    }

    #[test]
    fn every_drop_reason_has_its_own_counter() {
        let mut tally = Tally::default();
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            tally.settle(Outcome::Dropped(reason), index as u64 + 1);
        }
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
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
