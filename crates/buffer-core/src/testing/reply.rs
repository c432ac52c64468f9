//! What a scripted sink does in one attempt.

use std::ops::Range;
use std::time::Duration;

use crate::outcome::flush_error::FlushErrorKind;

/// What a [`ScriptedSink`](crate::testing::ScriptedSink) does in one attempt: perhaps some steps, then one end.
///
/// The steps are put before a reply by [`deliver`](Reply::deliver), [`reject`](Reply::reject) and [`after`](Reply::after).
/// All errors have the cause `scripted`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_core::testing::Reply;
///
/// // Delivers the first two, takes a second, and fails.
/// let reply = Reply::deliver(0..2, Reply::after(Duration::from_secs(1), Reply::Transient));
/// # let _ = reply;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Delivers every item that was not marked before.
    Ok,
    /// Fails as [`FlushError::transient`](crate::FlushError::transient).
    Transient,
    /// Fails as [`FlushError::uncertain`](crate::FlushError::uncertain).
    Uncertain,
    /// Fails as [`FlushError::unavailable`](crate::FlushError::unavailable).
    Unavailable,
    /// Fails as [`FlushError::divisible`](crate::FlushError::divisible).
    Divisible,
    /// Fails as [`FlushError::permanent`](crate::FlushError::permanent).
    Permanent,
    /// Fails as this kind, and [asks for the delay](crate::FlushError::retry_after).
    RetryAfter(Duration, FlushErrorKind),
    /// Never answers.
    Never,
    /// Panics.
    Panic,
    /// Marks a range as delivered, then goes on; see [`Reply::deliver`].
    Deliver(Range<usize>, Box<Self>),
    /// Rejects an item, then goes on; see [`Reply::reject`].
    Reject(usize, Box<Self>),
    /// Waits, then goes on; see [`Reply::after`].
    After(Duration, Box<Self>),
}

impl Reply {
    /// [Delivers](crate::Batch::deliver) the items in `range`, then replies with `then`. The sink panics if the range reaches past
    /// the end of the batch.
    pub fn deliver(range: Range<usize>, then: Self) -> Self {
        Self::Deliver(range, Box::new(then))
    }

    /// [Rejects](crate::Batch::reject) the item at `index`, then replies with `then`. The sink panics if the batch has no such
    /// item.
    pub fn reject(index: usize, then: Self) -> Self {
        Self::Reject(index, Box::new(then))
    }

    /// Waits for `delay`, then replies with `then`.
    pub fn after(delay: Duration, then: Self) -> Self {
        Self::After(delay, Box::new(then))
    }
}
