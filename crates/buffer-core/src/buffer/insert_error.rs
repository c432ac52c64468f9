//! What the ways in for one item answer when they refuse; a refusal hands the item back.

use std::fmt;

use thiserror::Error;

use crate::outcome::not_delivered::NotDelivered;

const CLOSED: &str = "the buffer is closed; the item is handed back in this error";
const OVERSIZED: &str = "the item is heavier than a batch may be; raise batch_bytes or capacity_bytes, or divide the item, which is handed back in this error";

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
    #[error("{CLOSED}")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error("{OVERSIZED}")]
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
    /// No partition that the item may go to has room in its share of `capacity` and `capacity_bytes`; the item is handed back.
    #[error(
        "the buffer is full; wait with insert, or raise its capacity; the item is handed back in this error"
    )]
    Full(T),
    /// The buffer is closed; the item is handed back.
    #[error("{CLOSED}")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error("{OVERSIZED}")]
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
    #[error("{CLOSED}")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error("{OVERSIZED}")]
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
/// /// For threads that may or may not belong to a runtime.
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
    #[error("{CLOSED}")]
    Closed(T),
    /// The calling thread belongs to a tokio runtime, which waiting would stall; the item is handed back.
    #[error(
        "this thread belongs to a tokio runtime and must not block; use insert; the item is handed back in this error"
    )]
    InsideRuntime(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error("{OVERSIZED}")]
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
/// /// Whether the item is stored or may be; what was refused is kept.
/// async fn insert_or_keep(buffer: &Buffer<String>, item: String, kept: &mut Vec<String>) -> bool {
///     match buffer.insert_and_wait(item).await {
///         Ok(()) => true,
///         Err(InsertAndWaitError::NotDelivered(why)) => {
///             eprintln!("{why}");
///             true
///         }
///         Err(refused) => {
///             kept.extend(refused.into_item());
///             false
///         }
///     }
/// }
/// ```
#[derive(Clone, Error)]
#[non_exhaustive]
pub enum InsertAndWaitError<T> {
    /// The buffer is closed; the item is handed back.
    #[error("{CLOSED}")]
    Closed(T),
    /// The item is heavier than a batch may be; the item is handed back.
    #[error("{OVERSIZED}")]
    Oversized(T),
    /// The item was accepted but not delivered.
    #[error(transparent)]
    NotDelivered(#[from] NotDelivered),
}

impl<T> InsertAndWaitError<T> {
    /// The item, if it was refused; one that was accepted is the buffer's.
    pub fn into_item(self) -> Option<T> {
        match self {
            Self::Closed(item) | Self::Oversized(item) => Some(item),
            Self::NotDelivered(_) => None,
        }
    }
}

/// The other inserts of one item refuse it for the reasons of [`Buffer::insert`](crate::Buffer::insert), and for their own.
macro_rules! from_insert_error {
    ($($error:ident),+) => {$(
        impl<T> From<InsertError<T>> for $error<T> {
            fn from(refused: InsertError<T>) -> Self {
                match refused {
                    InsertError::Closed(item) => Self::Closed(item),
                    InsertError::Oversized(item) => Self::Oversized(item),
                }
            }
        }
    )+};
}

from_insert_error!(InsertTimeoutError, InsertBlockingError, InsertAndWaitError);

impl<T> From<TryInsertError<T>> for InsertTimeoutError<T> {
    fn from(refused: TryInsertError<T>) -> Self {
        match refused {
            TryInsertError::Full(item) => Self::TimedOut(item),
            TryInsertError::Closed(item) => Self::Closed(item),
            TryInsertError::Oversized(item) => Self::Oversized(item),
        }
    }
}

/// `Debug` that names the refusal and not the item, so that `?` works for items without `Debug`, and the content of items stays
/// out of logs.
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
            Self::NotDelivered(why) => f.debug_tuple("NotDelivered").field(why).finish(),
        }
    }
}

debug_without_item! {
    InsertError: Closed, Oversized;
    InsertTimeoutError: TimedOut, Closed, Oversized;
    InsertBlockingError: Closed, InsideRuntime, Oversized;
    TryInsertError: Full, Closed, Oversized;
}
