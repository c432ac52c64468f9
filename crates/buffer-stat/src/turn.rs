//! Says how a window is to end.

/// How a window is to end: each way takes all that the ways before it take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// It does not; only what is left of the last one is handed on.
    Not,
    /// By its timer: keys that were flushed by hand wait for the next.
    InTime,
    /// On request.
    Now,
    /// Early, because there are too many keys.
    Early,
}
