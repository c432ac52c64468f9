//! How a sink says what went wrong.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// A boxed error, as sinks hand them in.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why an attempt failed, as the sink judges it.
///
/// Only its constructors make it, never `?`: what a failure means is the sink's decision.
///
/// | made by | means | the buffer |
/// |---|---|---|
/// | [`transient`](FlushError::transient) | not written | tries again, up to `retries` |
/// | [`uncertain`](FlushError::uncertain) | perhaps written | tries again, up to `retries`, the same items under the same id |
/// | [`unavailable`](FlushError::unavailable) | the sink as a whole is down | holds the items until it is back; spends no retry |
/// | [`divisible`](FlushError::divisible) | refused as a whole because of some items | splits the batch in halves, down to the guilty items |
/// | [`permanent`](FlushError::permanent) | never will be written | drops the items, counted |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_core::{FlushError, FlushErrorKind};
///
/// fn classify(status: u16, body: String) -> FlushError {
///     match status {
///         429 | 503 => FlushError::unavailable(body).retry_after(Duration::from_secs(5)),
///         // The login or the URL is wrong: somebody has to put it right.
///         401 | 403 | 404 => FlushError::unavailable(body),
///         // Some item is wrong, or there are too many of them.
///         400 | 413 | 422 => FlushError::divisible(body),
///         // When in doubt, not `permanent`: that drops the items at once.
///         _ => FlushError::uncertain(body),
///     }
/// }
/// assert_eq!(classify(400, "not a number".into()).kind(), FlushErrorKind::Divisible);
/// ```
#[derive(Debug)]
pub struct FlushError {
    kind: FlushErrorKind,
    retry_after: Option<Duration>,
    cause: Cause,
}

/// The kinds of a [`FlushError`].
///
/// # Examples
///
/// A test of a sink can check them:
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use buffer_core::{FlushError, FlushErrorKind};
///
/// fn classify(error: Error) -> FlushError {
///     match error.kind() {
///         ErrorKind::ConnectionRefused => FlushError::unavailable(error),
///         _ => FlushError::uncertain(error),
///     }
/// }
/// assert_eq!(classify(ErrorKind::ConnectionRefused.into()).kind(), FlushErrorKind::Unavailable);
/// assert_eq!(classify(ErrorKind::BrokenPipe.into()).kind(), FlushErrorKind::Uncertain);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlushErrorKind {
    /// See [`FlushError::transient`].
    Transient,
    /// See [`FlushError::uncertain`].
    Uncertain,
    /// See [`FlushError::unavailable`].
    Unavailable,
    /// See [`FlushError::divisible`].
    Divisible,
    /// See [`FlushError::permanent`].
    Permanent,
}

impl FlushError {
    /// The items were not written but may be next time: they are tried again, up to the buffer's `retries`.
    pub fn transient(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FlushErrorKind::Transient, cause.into())
    }

    /// The items may have been written: the same items are tried again under the same id, up to the buffer's `retries`.
    ///
    /// A time-out and a panic of the sink count as this, too.
    pub fn uncertain(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FlushErrorKind::Uncertain, cause.into())
    }

    /// The sink as a whole is down (connection refused, no login, overload): the items are held and tried again until
    /// it is back, at no cost to their retries.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FlushErrorKind::Unavailable, cause.into())
    }

    /// The batch was refused as a whole because of some items, or because it is too large: it is split in halves, in order,
    /// and each half is flushed by itself.
    ///
    /// Use it only if none of the batch was written, or if writing it again does no harm.
    ///
    /// This way the good items are delivered, and an item that is refused alone is dropped, with the reason `rejected`. Each guilty
    /// item takes about 2·log₂ n requests. There is a bound, which is enough for 8 guilty items in a batch, wherever they stand; a
    /// part that is refused beyond it is dropped, with the reason `undivided`.
    pub fn divisible(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FlushErrorKind::Divisible, cause.into())
    }

    /// The items will never be written: they are dropped, with the reason `permanent`.
    pub fn permanent(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(FlushErrorKind::Permanent, cause.into())
    }

    /// Asks for at least `delay` before the next attempt, as a server's `Retry-After` does.
    ///
    /// A delay above five minutes counts as five minutes. On a permanent or a divisible error it has no effect.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay.min(LONGEST_RETRY_AFTER));
        self
    }

    /// The kind, which decides what the buffer does.
    pub fn kind(&self) -> FlushErrorKind {
        self.kind
    }

    /// The delay that the sink asked for, if it did.
    pub fn requested_delay(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn new(kind: FlushErrorKind, cause: Cause) -> Self {
        Self {
            kind,
            retry_after: None,
            cause,
        }
    }
}

/// A server that asks for an hour is tried again sooner: the buffer's memory fills meanwhile.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FlushErrorKind::Transient => "the sink did not write the batch this time; the cause says why",
            FlushErrorKind::Uncertain => "the sink may have written the batch or not; the cause says why",
            FlushErrorKind::Unavailable => "the sink is down; the cause says what to put right",
            FlushErrorKind::Divisible => {
                "the sink refused the batch as a whole; look for the guilty items by the cause"
            }
            FlushErrorKind::Permanent => "the sink refused the batch for good; the cause says why",
        })
    }
}

impl Error for FlushError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_retry_after_is_clamped() {
        let error = FlushError::transient("busy").retry_after(Duration::MAX);
        assert_eq!(error.requested_delay(), Some(LONGEST_RETRY_AFTER));
        assert_eq!(
            FlushError::transient("busy")
                .retry_after(Duration::ZERO)
                .requested_delay(),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn the_cause_is_the_source_and_not_part_of_the_text() {
        let error = FlushError::permanent("no such table");
        assert!(!error.to_string().contains("no such table"));
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("no such table")
        );
    }
}
