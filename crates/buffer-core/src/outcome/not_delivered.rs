//! Why an item that was accepted did not end up delivered, for whoever waits for it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::outcome::reason::DropReason;

/// A cause that several items share.
pub(crate) type SharedCause = Arc<dyn Error + Send + Sync>;

/// Why an item that a buffer had accepted was not delivered.
///
/// Not delivered does not mean not written: the sink may have written the item in an attempt that timed out, panicked, was cut off at the
/// drain's deadline or failed as [uncertain](crate::FlushError::uncertain). Only an item for which there was no room was certainly never
/// offered to it.
///
/// # Examples
///
/// ```
/// use std::error::Error;
/// use buffer_core::{Buffer, InsertAndWaitError, NotDelivered};
///
/// /// What the author of an item is told.
/// async fn told(buffer: &Buffer<String>, item: String) -> String {
///     match buffer.insert_and_wait(item).await {
///         Ok(()) => "stored".into(),
///         Err(InsertAndWaitError::NotDelivered(NotDelivered::Dropped { reason, cause, .. })) => {
///             let cause = cause.as_deref().and_then(|cause| cause.source()).map(ToString::to_string);
///             format!("perhaps not stored: {reason}: {}", cause.unwrap_or_default())
///         }
///         Err(refused) => format!("not stored: {refused}"),
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NotDelivered {
    /// It was dropped.
    #[non_exhaustive]
    Dropped {
        /// Why.
        reason: DropReason,
        /// The [`FlushError`](crate::FlushError) of its batch, or the error that it was [rejected](crate::Batch::reject) with. None if
        /// there was no room for it, or if the sink had taken it and did not confirm it.
        cause: Option<SharedCause>,
    },
    /// The sink [withdrew](crate::Batch::withdraw) it, so this attempt did not write it, though an earlier one may have. The buffer does not
    /// have it any more.
    Withdrawn,
    /// The drain's time was up before it was delivered: it is returned to whoever waits for the [close](crate::Summary::undelivered).
    /// If nobody does, it is dropped, with the reason `drain_timeout`. It is counted as pending until then.
    LeftOver,
}

impl NotDelivered {
    /// Why the item was dropped, if it was.
    pub fn drop_reason(&self) -> Option<DropReason> {
        match self {
            Self::Dropped { reason, cause: _ } => Some(*reason),
            Self::Withdrawn | Self::LeftOver => None,
        }
    }
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped { reason, cause: _ } => write!(
                f,
                "the item was dropped: {reason}; it may have been written if an attempt timed out or ended uncertainly"
            ),
            Self::Withdrawn => {
                f.write_str("the sink withdrew the item, though an earlier attempt may have written it; the sink's author knows where it is")
            }
            Self::LeftOver => f.write_str(
                "the buffer closed before the item was delivered; the summary has it if somebody waits for the close",
            ),
        }
    }
}

// By hand: a derived source would be the `Arc`, which can't be downcast to the error in it.
impl Error for NotDelivered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Dropped { reason: _, cause } => {
                cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
            }
            Self::Withdrawn | Self::LeftOver => None,
        }
    }
}
