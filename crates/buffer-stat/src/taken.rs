//! A key's sum, taken out of a table, and what was left there.

/// What a take left where it was.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Sums of keys that were flushed by hand, which are spared.
    pub(crate) fresh: bool,
    /// Sums whose key could not be cloned.
    pub(crate) uncloned: bool,
    /// Sums that were taken and handed back.
    pub(crate) refused: bool,
}

/// A key's sum, taken out. It is wider than an increment, so it can't overflow: that would take 2^64 increments.
#[derive(Debug)]
pub(crate) struct Taken<K> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) sum: i128,
}
