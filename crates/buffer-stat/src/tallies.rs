//! What the ledger of the counts does not show.

/// What counters did besides handing counts to their buffer, since they were built.
///
/// # Examples
///
/// ```
/// use buffer_stat::StatBuffer;
///
/// /// How many counts a close has handed back.
/// fn left(views: &StatBuffer<String>) -> u64 {
///     views.ledger().returned.saturating_sub(views.tallies().merged_back)
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tallies {
    /// Counts that went back into the sums, because the sink certainly did not write them and their retries were spent. In the
    /// [ledger](crate::StatBuffer::ledger) they are returned, and are accepted again as part of later counts.
    pub merged_back: u64,
    /// Windows that ended early: [`MaxKeys::FlushEarly`](crate::MaxKeys::FlushEarly).
    pub ended_early: u64,
    /// Increments that were counted under the overflow key: [`MaxKeys::FoldInto`](crate::MaxKeys::FoldInto).
    pub folded: u64,
    /// Increments that were refused: [`MaxKeys::Refuse`](crate::MaxKeys::Refuse).
    pub refused: u64,
}
