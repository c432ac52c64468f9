//! What a server says when it does not carry out a write, and what that means.

use std::time::Duration;

use thiserror::Error;

/// A server's answer to a write that it did not carry out, or not in full.
///
/// # Examples
///
/// ```
/// use buffer_influx::Refusal;
///
/// fn explain(refusal: &Refusal) -> String {
///     let wait = refusal.retry_after().map(|wait| format!(", come back in {wait:?}"));
///     format!("{}: {}{}", refusal.status(), refusal.message(), wait.unwrap_or_default())
/// }
/// ```
#[derive(Debug, Clone, Error)]
#[error("the server answered {status}: {message:.400}; {}", kind.advice())]
pub struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) named: Vec<NamedByNumber>,
    pub(crate) dropped: Option<u64>,
}

/// A line that the server names by its number, or means to: one without number and text is none that was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedByNumber {
    /// From 1; none if the server does not say.
    pub(crate) number: Option<usize>,
    /// The line as the server shows it: cut, and without some of its quotes.
    pub(crate) shown: String,
    pub(crate) reason: String,
}

impl Refusal {
    /// What the answer means.
    pub fn kind(&self) -> RefusalKind {
        self.kind
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The server's words.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How long the server asks to be left alone, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// What a refusal means.
///
/// # Examples
///
/// ```
/// use buffer_influx::{RefusalKind, WriteError};
///
/// /// Whether it is somebody's set-up that must be put right.
/// fn calls_for_an_operator(error: &WriteError) -> bool {
///     let WriteError::Refused(refusal) = error else { return false };
///     matches!(
///         refusal.kind(),
///         RefusalKind::DatabaseNotFound | RefusalKind::Misconfigured | RefusalKind::Unauthorized
///     )
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// Some lines were dropped, the others are stored.
    PartialWrite,
    /// The server could not read a line; nothing is stored.
    Unreadable,
    /// There is no such database.
    DatabaseNotFound,
    /// The URL, the name of the database or the organization, the retention policy or something in front of the server is wrong, or
    /// another server answers: no line is to blame.
    Misconfigured,
    /// The login is missing, wrong, or not allowed to write here.
    Unauthorized,
    /// The body is larger than the server takes.
    TooLarge,
    /// The server, or something in front of it, has no room or no time at present.
    Busy,
    /// The server failed; some lines may be stored.
    Failed,
    /// The server refuses the lines as a whole, and names none.
    Rejected,
}

impl RefusalKind {
    fn advice(self) -> &'static str {
        match self {
            Self::PartialWrite => "the lines that it does not complain of are stored",
            Self::Unreadable => "leave these lines out and write the others again",
            Self::DatabaseNotFound => {
                "create the database, for instance with `create_database`, or correct its name"
            }
            Self::Misconfigured => {
                "check the URL, the target's names and the server's set-up; the lines are not to blame"
            }
            Self::Unauthorized => "check the user, the password and the user's grants",
            Self::TooLarge => {
                "write fewer lines at once, or raise the server's `max-body-size` or `max-http-request-size`"
            }
            Self::Busy => "write the lines again later",
            Self::Failed => "see the server's log, and write the lines again later",
            Self::Rejected => {
                "look for the field with two types, or halve the lines until the guilty ones are found"
            }
        }
    }
}
