//! What became of items, and what the outcome hook sees of those that were settled together.

pub(crate) mod attempt;
pub(crate) mod batch_id;
pub(crate) mod causes;
pub(crate) mod flush_error;
pub(crate) mod not_delivered;
pub(crate) mod reason;
pub(crate) mod size;

use std::error::Error;

use crate::outcome::batch_id::BatchId;
use crate::outcome::causes::Causes;
use crate::outcome::reason::DropReason;
use crate::outcome::size::Size;

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

/// Items that were settled together: what [`BufferBuilder::on_outcome`](crate::BufferBuilder::on_outcome) sees.
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
    /// The items, in order. Empty if the sink [took](crate::Batch::take) or [withdrew](crate::Batch::withdraw) them.
    pub items: &'a [T],
    /// The number of items.
    pub count: usize,
    /// The partition that they were in.
    pub partition: usize,
    /// The batch that they were flushed in, if they got that far.
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

    /// Why the item at `index` was dropped: the [`FlushError`](crate::FlushError) of its batch, or the error that it was
    /// [rejected](crate::Batch::reject) with. None if it was delivered or returned, if time ran out, if there was no room for it, or
    /// if the sink took it and did not confirm it.
    pub fn cause(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        self.causes.of(index)
    }
}
