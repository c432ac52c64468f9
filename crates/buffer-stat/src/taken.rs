//! A key's sum, taken out of a table.

/// A key's sum, taken out. It is wider than an increment, so it can't overflow: that would take 2^64 increments.
#[derive(Debug)]
pub(crate) struct Taken<K> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) sum: i128,
}
