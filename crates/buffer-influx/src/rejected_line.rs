//! The report of a line that the server refuses.

use std::sync::Arc;

use thiserror::Error;

/// Why one line was dropped: the cause that the buffer's outcome hook and its dead-letter sink get with the line.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Line, RejectedLine};
/// use buffer_core::Buffer;
///
/// let builder = Buffer::<Line>::builder().on_outcome(|settled| {
///     for (index, line) in settled.items.iter().enumerate() {
///         let cause = settled.cause(index).and_then(|cause| cause.downcast_ref::<RejectedLine>());
///         if let Some(cause) = cause {
///             eprintln!("{line}: {cause}");
///         }
///     }
/// });
/// # drop(builder);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {number} of {lines} was refused with status {status}: {reason:.400}")]
pub struct RejectedLine {
    pub(crate) number: usize,
    pub(crate) lines: usize,
    pub(crate) status: u16,
    /// Shared by all lines that the same words are about.
    pub(crate) reason: Arc<str>,
}

impl RejectedLine {
    /// The line's place in its batch, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The number of lines in the batch.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// The HTTP status of the answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The server's words on this line.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
