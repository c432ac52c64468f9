//! The reasons for which items are dropped.

use std::fmt;

/// Why items were dropped.
///
/// # Examples
///
/// ```
/// use buffer_core::DropReason;
///
/// let all: &[DropReason] = DropReason::ALL;
/// assert!(all.iter().any(|reason| reason.as_str() == "retries_exhausted"));
/// assert_eq!(DropReason::GivenUp.to_string(), "given_up");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// The sink refused the whole batch for good: [`FlushError::permanent`](crate::FlushError::permanent).
    Permanent,
    /// The sink set the item aside: [`Batch::reject`](crate::Batch::reject).
    Rejected,
    /// The batch was refused as a whole, and split as often as it may be without finding all guilty items:
    /// [`FlushError::divisible`](crate::FlushError::divisible).
    Undivided,
    /// The batch used up its retries. An attempt that timed out or ended uncertainly may have written it.
    RetriesExhausted,
    /// The sink was down for longer than [`give_up_after`](crate::BufferBuilder::give_up_after). An earlier attempt that timed out or ended
    /// uncertainly may have written the items.
    GivenUp,
    /// The sink [took](crate::Batch::take) the items, and the attempt did not end in `Ok`. It may have written them.
    Unconfirmed,
    /// There was no room, and [`Overflow`](crate::Overflow) says to drop.
    Overflow,
    /// The same, and too many items already waited for the dead-letter sink for these to get there.
    DeadLetterFull,
    /// The drain's deadline passed and nobody waited for the close, so that the items could not be returned. An attempt that the
    /// deadline cut off, that timed out or that ended uncertainly may have written them.
    DrainTimeout,
}

impl DropReason {
    /// Every reason. There may be more of them in a later version.
    pub const ALL: &'static [Self] = &Self::EACH;

    pub(crate) const EACH: [Self; 9] = [
        Self::Permanent,
        Self::Rejected,
        Self::Undivided,
        Self::RetriesExhausted,
        Self::GivenUp,
        Self::Unconfirmed,
        Self::Overflow,
        Self::DeadLetterFull,
        Self::DrainTimeout,
    ];

    /// The reason's name in logs and metrics, such as `retries_exhausted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Rejected => "rejected",
            Self::Undivided => "undivided",
            Self::RetriesExhausted => "retries_exhausted",
            Self::GivenUp => "given_up",
            Self::Unconfirmed => "unconfirmed",
            Self::Overflow => "overflow",
            Self::DeadLetterFull => "dead_letter_full",
            Self::DrainTimeout => "drain_timeout",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
