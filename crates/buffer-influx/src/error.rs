//! What the client and the writer answer when they fail; a refused point is handed back.

use std::error::Error;

use thiserror::Error;

use crate::connections::Lost;
use crate::point::Point;
use crate::point_error::PointError;
use crate::refusal::Refusal;

/// A boxed error, so that the HTTP library stays out of the public types.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why a [`Client`](crate::Client) could not be built, or why its request failed.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Client, ClientError};
///
/// let refused = Client::builder("localhost:8086").build().expect_err("the scheme is missing");
/// assert!(matches!(refused, ClientError::InvalidUrl { .. }));
///
/// /// Whether the server is there, whatever it says.
/// async fn is_there(client: &Client) -> bool {
///     !matches!(client.ping().await, Err(ClientError::Unreachable(_)))
/// }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's URL can't be read, or has parts that don't belong there.
    #[error("the server's URL {problem}")]
    InvalidUrl {
        /// What to change. The URL itself is not repeated, as it may hold a password.
        problem: &'static str,
    },
    /// A setting is zero that can't be.
    #[error("`{setting}` is zero; set it to at least a millisecond")]
    Zero {
        /// The setting's name.
        setting: &'static str,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up; for https, see that the system has CA certificates")]
    Setup(#[source] Cause),
    /// There is no connection to the server; nothing was sent.
    #[error("no connection to the server; check that it runs and that its URL is right")]
    Unreachable(#[source] Cause),
    /// The time-out passed or the connection was lost before the answer was complete.
    #[error(
        "no complete answer from the server; the request may have been carried out, so check before repeating it"
    )]
    Unconfirmed(#[source] Cause),
    /// The answer is larger than the client reads.
    #[error("the server's answer is above {most} bytes; ask for less, or add a LIMIT to the query")]
    AnswerTooLarge {
        /// The most that is read.
        most: usize,
    },
    /// The server answered with an error.
    #[error("the server refused with status {status}: {message:.400}")]
    Refused {
        /// The HTTP status; a query that fails is answered with 200.
        status: u16,
        /// The server's words.
        message: String,
    },
}

/// Why [`Client::write`](crate::Client::write) failed.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Client, Line, WriteError};
///
/// /// Writes twice where the first answer was lost, which stores nothing twice.
/// async fn write(client: &Client, lines: &[Line]) -> Result<(), WriteError> {
///     match client.write("metrics", lines).await {
///         Err(WriteError::Unconfirmed(_)) => client.write("metrics", lines).await,
///         answer => answer,
///     }
/// }
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is no connection to the server; nothing was sent.
    #[error("no connection to the server, so no line was sent; check that it runs and that its URL is right")]
    Unreachable(#[source] Cause),
    /// The time-out passed or the connection was lost before the answer was complete.
    #[error(
        "no complete answer from the server, so the lines may be stored; writing them again stores nothing twice"
    )]
    Unconfirmed(#[source] Cause),
    /// The server answered, and refused some or all of the lines.
    #[error(transparent)]
    Refused(Refusal),
}

impl From<Lost> for ClientError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Unsent(cause) => Self::Unreachable(cause.into()),
            Lost::Midway(cause) => Self::Unconfirmed(cause.into()),
        }
    }
}

impl From<Lost> for WriteError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Unsent(cause) => Self::Unreachable(cause.into()),
            Lost::Midway(cause) => Self::Unconfirmed(cause.into()),
        }
    }
}

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
#[derive(Debug, Error)]
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
#[derive(Debug, Error)]
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
    /// The buffer holds as many points as its capacity.
    #[error(
        "the writer's buffer is full; wait with write, or raise its capacity; the point is handed back in this error"
    )]
    Full(Box<Point>),
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
#[derive(Debug, Error)]
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
    /// The writer is closed.
    #[error("{CLOSED}")]
    Closed(Box<Point>),
    /// The calling thread belongs to a tokio runtime, which waiting would stall.
    #[error(
        "this thread belongs to a tokio runtime and must not block; use write; the point is handed back in this error"
    )]
    InsideRuntime(Box<Point>),
}

const INVALID: &str = "the point can't be written; see the cause; the point is handed back in this error";
const CLOSED: &str = "the writer is closed; the point is handed back in this error";

impl WritePointError {
    /// The point that was refused.
    pub fn into_point(self) -> Point {
        match self {
            Self::Invalid { point, reason: _ } | Self::Closed(point) => *point,
        }
    }
}

impl TryWritePointError {
    /// The point that was refused.
    pub fn into_point(self) -> Point {
        match self {
            Self::Invalid { point, reason: _ } | Self::Full(point) | Self::Closed(point) => *point,
        }
    }
}

impl WritePointBlockingError {
    /// The point that was refused.
    pub fn into_point(self) -> Point {
        match self {
            Self::Invalid { point, reason: _ } | Self::Closed(point) | Self::InsideRuntime(point) => *point,
        }
    }
}
