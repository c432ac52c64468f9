//! Why an increment was not counted.

use thiserror::Error;

/// Why an increment was not counted; the sums are as they were.
///
/// # Examples
///
/// ```
/// use buffer_stat::{IncrementError, StatBuffer};
///
/// /// A visit that comes after the end is not worth an error.
/// fn count(visits: &StatBuffer<String>, page: &str) {
///     match visits.increment(page, 1) {
///         Err(IncrementError::Closed) => eprintln!("{page} was visited too late to be counted"),
///         Err(error) => eprintln!("{page}: {error}"),
///         Ok(()) => {}
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IncrementError {
    /// The counters are closed.
    #[error("the counters are closed; this increment was not counted")]
    Closed,
    /// There are [`max_keys`](crate::StatBuilder::max_keys) keys already, and [`MaxKeys::Refuse`](crate::MaxKeys::Refuse) is set.
    #[error(
        "there are max_keys keys already; raise max_keys, choose another MaxKeys, or wait until idle keys have left"
    )]
    TooManyKeys,
}

/// How far an [`increment_many`](crate::StatBuffer::increment_many) got, and why it stopped.
///
/// # Examples
///
/// ```
/// use buffer_stat::StatBuffer;
///
/// fn count(visits: &StatBuffer<String>, pages: &[(&str, i64)]) {
///     if let Err(error) = visits.increment_many(pages) {
///         eprintln!("{:?} not counted: {error}", &pages[error.counted..]);
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the increments from number {counted} on were not counted")]
#[non_exhaustive]
pub struct IncrementManyError {
    /// How many increments were counted, from the front.
    pub counted: usize,
    /// Why the next one was not.
    #[source]
    pub error: IncrementError,
}
