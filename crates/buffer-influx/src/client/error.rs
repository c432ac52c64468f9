//! What the client answers when it fails.

use std::error::Error;

use thiserror::Error;

use crate::connections::Lost;
use crate::response::refusal::Refusal;

/// A boxed error, so that the HTTP library stays out of the public types.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why a [`Client`](crate::Client) could not be built, or why its request failed.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Client, ClientError, V1};
///
/// let refused = Client::builder("localhost:8086", V1::new("metrics")).build().expect_err("the scheme is missing");
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
    /// A setting is zero, which it can't be.
    #[error("`{setting}` is zero; set it to at least a millisecond")]
    Zero {
        /// The setting's name.
        setting: &'static str,
    },
    /// The target lacks a name.
    #[error("the target {problem}")]
    InvalidTarget {
        /// What to change.
        problem: &'static str,
    },
    /// No server could take the login.
    #[error("the login's {problem}")]
    InvalidLogin {
        /// What to change. The login itself is not repeated.
        problem: &'static str,
    },
    /// The proxy's URL can't be read, or has a scheme other than `http` and `https`.
    #[error(
        "the proxy's URL can't be read or begins with neither http:// nor https://; write it as in http://localhost:3128"
    )]
    InvalidProxy,
    /// A certificate can't be read.
    #[error("the CA certificate can't be read; it must be one or more in PEM")]
    InvalidCertificate,
    /// The target's server does not support the request.
    #[error("{what}")]
    Unsupported {
        /// What it does not support.
        what: &'static str,
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
        /// The most bytes that the client reads.
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
///     match client.write(lines).await {
///         Err(WriteError::TimedOut(_) | WriteError::Unconfirmed(_)) => client.write(lines).await,
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
    /// The server did not answer within the time-out.
    #[error(
        "no answer from the server in time, so the lines may be stored; writing them again stores nothing twice"
    )]
    TimedOut(#[source] Cause),
    /// The connection was lost before the answer was complete.
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
            Lost::Midway(cause) if cause.is_timeout() => Self::TimedOut(cause.into()),
            Lost::Midway(cause) => Self::Unconfirmed(cause.into()),
        }
    }
}
