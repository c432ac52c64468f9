//! What the writers answer when they refuse a point, which is handed back.

use std::fmt;

use buffer_core::NotDelivered;
use thiserror::Error;

use crate::point::Point;
use crate::point::point_error::PointError;

/// Why [`Writer::write`](crate::Writer::write) refused a point; the point is handed back.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Point, WritePointError, Writer};
///
/// /// Returns a point that came too late; a bad one is the caller's mistake.
/// async fn write(writer: &Writer, point: Point) -> Result<Option<Point>, WritePointError> {
///     match writer.write(point).await {
///         Ok(()) => Ok(None),
///         Err(WritePointError::Closed(point)) => Ok(Some(*point)),
///         Err(bad) => Err(bad),
///     }
/// }
/// ```
#[derive(Error)]
#[non_exhaustive]
pub enum WritePointError {
    /// The point can't be written.
    #[error("{INVALID}")]
    Invalid {
        /// The point.
        point: Box<Point>,
        /// What is wrong with it.
        #[source]
        reason: PointError,
    },
    /// The point's line is heavier than a batch may be.
    #[error("{OVERSIZED}")]
    Oversized(Box<Point>),
    /// The writer is closed.
    #[error("{CLOSED}")]
    Closed(Box<Point>),
}

/// Why [`Writer::try_write`](crate::Writer::try_write) refused a point; the point is handed back.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Point, TryWritePointError, Writer};
///
/// /// Says whether there was room.
/// fn offer(writer: &Writer, point: Point) -> Result<bool, TryWritePointError> {
///     match writer.try_write(point) {
///         Ok(()) => Ok(true),
///         Err(TryWritePointError::Full(_)) => Ok(false),
///         Err(refused) => Err(refused),
///     }
/// }
/// ```
#[derive(Error)]
#[non_exhaustive]
pub enum TryWritePointError {
    /// The point can't be written.
    #[error("{INVALID}")]
    Invalid {
        /// The point.
        point: Box<Point>,
        /// What is wrong with it.
        #[source]
        reason: PointError,
    },
    /// The buffer holds as many points as its capacity allows.
    #[error(
        "the writer's buffer is full; wait with write, or raise its capacity; the point is handed back in this error"
    )]
    Full(Box<Point>),
    /// The point's line is heavier than a batch may be.
    #[error("{OVERSIZED}")]
    Oversized(Box<Point>),
    /// The writer is closed.
    #[error("{CLOSED}")]
    Closed(Box<Point>),
}

/// Why [`Writer::write_blocking`](crate::Writer::write_blocking) refused a point; the point is handed back.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Point, Writer};
///
/// /// Keeps what was refused.
/// fn write_or_keep(writer: &Writer, point: Point, kept: &mut Vec<Point>) {
///     if let Err(refused) = writer.write_blocking(point) {
///         eprintln!("{refused}");
///         kept.push(refused.into_point());
///     }
/// }
/// ```
#[derive(Error)]
#[non_exhaustive]
pub enum WritePointBlockingError {
    /// The point can't be written.
    #[error("{INVALID}")]
    Invalid {
        /// The point.
        point: Box<Point>,
        /// What is wrong with it.
        #[source]
        reason: PointError,
    },
    /// The point's line is heavier than a batch may be.
    #[error("{OVERSIZED}")]
    Oversized(Box<Point>),
    /// The writer is closed.
    #[error("{CLOSED}")]
    Closed(Box<Point>),
    /// The calling thread belongs to a tokio runtime, which waiting would stall.
    #[error(
        "this thread belongs to a tokio runtime and must not block; use write; the point is handed back in this error"
    )]
    InsideRuntime(Box<Point>),
}

/// Why [`Writer::write_sync`](crate::Writer::write_sync) did not end with the point stored.
///
/// # Examples
///
/// ```
/// use std::error::Error;
/// use buffer_influx::{Point, WriteSyncError, Writer};
///
/// /// Says whether the point is known to be stored; a bad one, or one that comes too late, is an error.
/// async fn store(writer: &Writer, point: Point) -> Result<bool, WriteSyncError> {
///     match writer.write_sync(point).await {
///         Ok(()) => Ok(true),
///         Err(WriteSyncError::NotStored(why)) => {
///             eprintln!("{why}: {}", why.source().map(ToString::to_string).unwrap_or_default());
///             Ok(false)
///         }
///         Err(refused) => Err(refused),
///     }
/// }
/// ```
#[derive(Error)]
#[non_exhaustive]
pub enum WriteSyncError {
    /// The point can't be written.
    #[error("{INVALID}")]
    Invalid {
        /// The point.
        point: Box<Point>,
        /// What is wrong with it.
        #[source]
        reason: PointError,
    },
    /// The point's line is heavier than a batch may be.
    #[error("{OVERSIZED}")]
    Oversized(Box<Point>),
    /// The writer is closed.
    #[error("{CLOSED}")]
    Closed(Box<Point>),
    /// The point was accepted, but nobody said that it is stored: it was dropped, with the server's words as the cause, or the
    /// drain's time was up. If an answer was lost, it may be stored all the same; written again, it overwrites itself.
    #[error(transparent)]
    NotStored(NotDelivered),
}

const INVALID: &str = "the point can't be written; see the cause; the point is handed back in this error";
const OVERSIZED: &str = "the point's line is heavier than `batch_bytes`; split its fields over several points; the point is handed back in this error";
const CLOSED: &str = "the writer is closed; the point is handed back in this error";

impl WritePointError {
    /// The point that was refused.
    pub fn into_point(self) -> Point {
        match self {
            Self::Invalid { point, reason: _ } | Self::Oversized(point) | Self::Closed(point) => *point,
        }
    }
}

impl TryWritePointError {
    /// The point that was refused.
    pub fn into_point(self) -> Point {
        match self {
            Self::Invalid { point, reason: _ }
            | Self::Full(point)
            | Self::Oversized(point)
            | Self::Closed(point) => *point,
        }
    }
}

impl WritePointBlockingError {
    /// The point that was refused.
    pub fn into_point(self) -> Point {
        match self {
            Self::Invalid { point, reason: _ }
            | Self::Oversized(point)
            | Self::Closed(point)
            | Self::InsideRuntime(point) => *point,
        }
    }
}

impl WriteSyncError {
    /// The point, unless it was accepted.
    pub fn into_point(self) -> Option<Point> {
        match self {
            Self::Invalid { point, reason: _ } | Self::Oversized(point) | Self::Closed(point) => Some(*point),
            Self::NotStored(_) => None,
        }
    }
}

/// `Debug` that names the refusal and its reason, and not the point: it may be large, and what it holds stays out of logs.
macro_rules! debug_without_point {
    ($($error:ident: $($variant:ident),+;)+) => {$(
        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Invalid { point: _, reason } => fmt_invalid(reason, f),
                    $(Self::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)+
                }
            }
        }
    )+};
}

debug_without_point! {
    WritePointError: Oversized, Closed;
    TryWritePointError: Full, Oversized, Closed;
    WritePointBlockingError: Oversized, Closed, InsideRuntime;
}

impl fmt::Debug for WriteSyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { point: _, reason } => fmt_invalid(reason, f),
            Self::Oversized(_) => f.write_str("Oversized(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::NotStored(why) => f.debug_tuple("NotStored").field(why).finish(),
        }
    }
}

fn fmt_invalid(reason: &PointError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct("Invalid")
        .field("reason", reason)
        .finish_non_exhaustive()
}
