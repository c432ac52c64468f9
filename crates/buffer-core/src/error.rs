//! What the ways into a buffer and its builder answer when they refuse; a refusal hands the item back.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::reason::DropReason;

/// Why [`Buffer::insert`](crate::Buffer::insert) refused an item.
///
/// # Examples
///
/// ```
/// use buffer_core::Buffer;
///
/// /// Keeps what came too late.
/// async fn insert_or_keep(buffer: &Buffer<String>, item: String, kept: &mut Vec<String>) {
///     if let Err(refused) = buffer.insert(item).await {
///         kept.push(refused.into_item());
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertError<T> {
    /// The buffer is closed; the item is handed back.
    #[error("the buffer is closed; the item is handed back in this error")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error(
        "the item is heavier than a batch may be; raise batch_bytes or capacity_bytes, or divide the item, which is handed back in this error"
    )]
    Oversized(T),
}

impl<T> InsertError<T> {
    /// The item that was refused.
    pub fn into_item(self) -> T {
        match self {
            Self::Closed(item) | Self::Oversized(item) => item,
        }
    }
}

/// Why [`Buffer::try_insert`](crate::Buffer::try_insert) refused an item.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, TryInsertError};
///
/// /// Sheds load: says whether there was room.
/// fn offer(buffer: &Buffer<String>, item: String) -> Result<bool, TryInsertError<String>> {
///     match buffer.try_insert(item) {
///         Ok(()) => Ok(true),
///         Err(TryInsertError::Full(_)) => Ok(false),
///         Err(refused) => Err(refused),
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryInsertError<T> {
    /// The buffer holds as many items as its capacity; the item is handed back.
    #[error(
        "the buffer is full; wait with insert, or raise its capacity; the item is handed back in this error"
    )]
    Full(T),
    /// The buffer is closed; the item is handed back.
    #[error("the buffer is closed; the item is handed back in this error")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error(
        "the item is heavier than a batch may be; raise batch_bytes or capacity_bytes, or divide the item, which is handed back in this error"
    )]
    Oversized(T),
}

impl<T> TryInsertError<T> {
    /// The item that was refused.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) | Self::Oversized(item) => item,
        }
    }
}

/// Why [`Buffer::insert_timeout`](crate::Buffer::insert_timeout) refused an item.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_core::{Buffer, InsertTimeoutError};
///
/// /// The status of a request that brings an item.
/// async fn status(buffer: &Buffer<String>, item: String) -> u16 {
///     match buffer.insert_timeout(item, Duration::from_millis(50)).await {
///         Ok(()) => 202,
///         Err(InsertTimeoutError::TimedOut(_)) => 429,
///         Err(_) => 503,
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertTimeoutError<T> {
    /// The buffer was full for the whole time; the item is handed back.
    #[error(
        "the buffer was full for the whole time; try again later, or raise its capacity; the item is handed back in this error"
    )]
    TimedOut(T),
    /// The buffer is closed; the item is handed back.
    #[error("the buffer is closed; the item is handed back in this error")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error(
        "the item is heavier than a batch may be; raise batch_bytes or capacity_bytes, or divide the item, which is handed back in this error"
    )]
    Oversized(T),
}

impl<T> InsertTimeoutError<T> {
    /// The item that was refused.
    pub fn into_item(self) -> T {
        match self {
            Self::TimedOut(item) | Self::Closed(item) | Self::Oversized(item) => item,
        }
    }
}

/// Why [`Buffer::insert_blocking`](crate::Buffer::insert_blocking) refused an item.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, InsertBlockingError};
///
/// /// For threads of which nobody knows whether they are a runtime's.
/// fn insert_anywhere(buffer: &Buffer<String>, item: String) -> bool {
///     match buffer.insert_blocking(item) {
///         Ok(()) => true,
///         Err(InsertBlockingError::InsideRuntime(item)) => buffer.try_insert(item).is_ok(),
///         Err(_) => false,
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertBlockingError<T> {
    /// The buffer is closed; the item is handed back.
    #[error("the buffer is closed; the item is handed back in this error")]
    Closed(T),
    /// The calling thread belongs to a tokio runtime, which waiting would stall; the item is handed back.
    #[error(
        "this thread belongs to a tokio runtime and must not block; use insert; the item is handed back in this error"
    )]
    InsideRuntime(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error(
        "the item is heavier than a batch may be; raise batch_bytes or capacity_bytes, or divide the item, which is handed back in this error"
    )]
    Oversized(T),
}

impl<T> InsertBlockingError<T> {
    /// The item that was refused.
    pub fn into_item(self) -> T {
        match self {
            Self::Closed(item) | Self::InsideRuntime(item) | Self::Oversized(item) => item,
        }
    }
}

/// Why [`Buffer::insert_and_wait`](crate::Buffer::insert_and_wait) did not end with the item delivered.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, InsertAndWaitError};
///
/// /// What the author of an item is told.
/// async fn told(buffer: &Buffer<String>, item: String) -> String {
///     match buffer.insert_and_wait(item).await {
///         Ok(()) => "stored".into(),
///         Err(InsertAndWaitError::Dropped(reason)) => format!("not stored: {reason}"),
///         Err(_) => "not stored: the service is stopping".into(),
///     }
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertAndWaitError<T> {
    /// The buffer is closed; the item is handed back.
    #[error("the buffer is closed; the item is handed back in this error")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error(
        "the item is heavier than a batch may be; raise batch_bytes or capacity_bytes, or divide the item, which is handed back in this error"
    )]
    Oversized(T),
    /// The item was accepted, and dropped.
    #[error("the item was dropped: {0}; the log names the cause")]
    Dropped(DropReason),
    /// The item was accepted, and the sink [withdrew](crate::Batch::withdraw) it: it was not written, and the buffer does not have
    /// it any more.
    #[error("the sink withdrew the item without writing it; the sink's author knows where it is")]
    Withdrawn,
    /// The item was accepted, and the drain's time was up before it was delivered: it is returned to whoever waits for the
    /// [close](crate::Summary::undelivered), or dropped, with the reason `drain_timeout`, where nobody does.
    #[error(
        "the buffer closed before the item was delivered; the summary has it if somebody waits for the close"
    )]
    LeftOver,
}

/// Why [`Buffer::insert_batch`](crate::Buffer::insert_batch) stopped; what it did not accept is still in the caller's `Vec`.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, InsertBatchError};
///
/// /// Returns what came too late, which is nothing while the buffer is open.
/// async fn insert_all(buffer: &Buffer<String>, mut items: Vec<String>) -> Vec<String> {
///     if let Err(InsertBatchError::Closed) = buffer.insert_batch(&mut items).await {
///         eprintln!("{} items came too late", items.len());
///     }
///     items
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InsertBatchError {
    /// The buffer is closed.
    #[error("the buffer is closed; the items that it did not accept are still in the vector")]
    Closed,
    /// An item is heavier than a batch may be. None of the items was accepted.
    #[error(
        "the item at index {index} is heavier than a batch may be; raise batch_bytes or capacity_bytes, or take it out; all items are still in the vector"
    )]
    Oversized {
        /// Where it is in the caller's vector.
        index: usize,
    },
}

/// Why [`Buffer::try_insert_batch`](crate::Buffer::try_insert_batch) stopped, or
/// [`Buffer::try_insert_batch_when_idle`](crate::Buffer::try_insert_batch_when_idle); what it did not accept is still in the
/// caller's `Vec`.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, TryInsertBatchError};
///
/// /// Inserts what there is room for; says whether to come back with the rest.
/// fn insert_some(buffer: &Buffer<String>, items: &mut Vec<String>) -> bool {
///     matches!(buffer.try_insert_batch(items), Err(TryInsertBatchError::Full))
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryInsertBatchError {
    /// The buffer has no room for them now.
    #[error(
        "the buffer has no room for the items now; try again, wait with insert_batch, or raise its capacity; those that it did not accept are still in the vector"
    )]
    Full,
    /// The buffer is closed.
    #[error("the buffer is closed; the items that it did not accept are still in the vector")]
    Closed,
    /// An item is heavier than a batch may be. None of the items was accepted.
    #[error(
        "the item at index {index} is heavier than a batch may be; raise batch_bytes or capacity_bytes, or take it out; all items are still in the vector"
    )]
    Oversized {
        /// Where it is in the caller's vector.
        index: usize,
    },
}

/// Why [`Builder::build`](crate::Builder::build) refused the settings.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Flush, FlushError, async_trait};
/// use buffer_core::{Buffer, BuildError};
///
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// // Outside of a runtime:
/// let refused = Buffer::builder().build(Nowhere).expect_err("there is no runtime here");
/// assert_eq!(refused, BuildError::NoRuntime);
///
/// let refused = Buffer::builder().batch_size(0).build(Nowhere).expect_err("a batch holds an item");
/// assert!(refused.to_string().contains("`batch_size`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting is zero that can't be.
    #[error("`{setting}` is zero; set it to at least {least}")]
    Zero {
        /// The setting's name.
        setting: &'static str,
        /// The least that makes sense.
        least: &'static str,
    },
    /// A setting is above what makes sense.
    #[error("`{setting}` is above {most}; lower it")]
    TooLarge {
        /// The setting's name.
        setting: &'static str,
        /// The most that makes sense.
        most: &'static str,
    },
    /// Two settings contradict each other.
    #[error("`{setting}` and `{other}` do not fit together: {rule}")]
    Contradiction {
        /// The first setting's name.
        setting: &'static str,
        /// The second setting's name.
        other: &'static str,
        /// The rule that they break, and so what to change.
        rule: Cow<'static, str>,
    },
    /// A setting has no effect without another one.
    #[error("`{setting}` needs `{other}` too: {reason}")]
    Missing {
        /// The setting that was made.
        setting: &'static str,
        /// The setting that it needs.
        other: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// There is no tokio runtime to run the workers on.
    #[error(
        "no tokio runtime here to run the workers on; call build inside one, or give the builder a handle with `runtime`"
    )]
    NoRuntime,
    /// The tokio runtime was shut down.
    #[error(
        "the tokio runtime is gone and can't run the workers; give the builder the handle of one that lives"
    )]
    RuntimeGone,
    /// The tokio runtime has no timer.
    #[error("the tokio runtime has no timer; build it with `enable_time` or `enable_all`")]
    NoTimer,
}

/// `Debug` that names the refusal and not the item, so that `?` works for items that have no `Debug`, and logs stay free of
/// what they hold.
macro_rules! debug_without_item {
    ($($error:ident: $($variant:ident),+;)+) => {$(
        impl<T> fmt::Debug for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant(_) => concat!(stringify!($variant), "(..)"),)+
                })
            }
        }
    )+};
}

impl<T> fmt::Debug for InsertAndWaitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Oversized(_) => f.write_str("Oversized(..)"),
            Self::Dropped(reason) => f.debug_tuple("Dropped").field(reason).finish(),
            Self::Withdrawn => f.write_str("Withdrawn"),
            Self::LeftOver => f.write_str("LeftOver"),
        }
    }
}

debug_without_item! {
    InsertError: Closed, Oversized;
    InsertTimeoutError: TimedOut, Closed, Oversized;
    InsertBlockingError: Closed, InsideRuntime, Oversized;
    TryInsertError: Full, Closed, Oversized;
}
