//! How attempts end.

/// How a call of the sink's `flush` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptResult {
    Ok,
    Transient,
    Uncertain,
    Unavailable,
    Permanent,
    Divisible,
    TimedOut,
    Panicked,
}

impl AttemptResult {
    pub(crate) const ALL: [Self; 8] = [
        Self::Ok,
        Self::Transient,
        Self::Uncertain,
        Self::Unavailable,
        Self::Permanent,
        Self::Divisible,
        Self::TimedOut,
        Self::Panicked,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Transient => "transient",
            Self::Uncertain => "uncertain",
            Self::Unavailable => "unavailable",
            Self::Permanent => "permanent",
            Self::Divisible => "divisible",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
        }
    }
}

/// What becomes of the batch of an attempt, or of the rest of it that the sink did not mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchOutcome {
    /// Also where every item was marked.
    Delivered,
    TriedAgain,
    Divided,
    Dropped,
    Returned,
}

impl BatchOutcome {
    pub(crate) const ALL: [Self; 5] = [
        Self::Delivered,
        Self::TriedAgain,
        Self::Divided,
        Self::Dropped,
        Self::Returned,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::TriedAgain => "tried_again",
            Self::Divided => "divided",
            Self::Dropped => "dropped",
            Self::Returned => "returned",
        }
    }
}

/// Why an item was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalReason {
    Full,
    Closed,
    Oversized,
}

impl RefusalReason {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Closed, Self::Oversized];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Oversized => "oversized",
        }
    }
}
