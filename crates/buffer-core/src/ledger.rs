//! Where the items of a buffer are, and what became of those that a flush or a close waited for.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use crate::outcome::flush_error::FlushError;
use crate::tally::{Dropped, Tally};

/// Every accepted item, by what became of it: `accepted = delivered + dropped + returned + pending`, at all times.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().build(Nowhere)?;
/// buffer.insert(1).await?;
/// assert_eq!(buffer.ledger().pending, 1);
/// buffer.flush().await;
/// assert_eq!(buffer.ledger().delivered, 1);
/// assert_eq!(buffer.ledger().to_string(), "1 accepted: 1 delivered, 0 dropped, 0 returned, 0 pending");
/// # Ok(())
/// # }
/// ```
///
/// Its `Display` also names the reasons for drops: `10 accepted: 7 delivered, 2 dropped (rejected 1, overflow 1), 0 returned, 1
/// pending`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ledger {
    /// Items that an insert accepted.
    pub accepted: u64,
    /// Items that the sink delivered.
    pub delivered: u64,
    /// Items that were dropped, by reason.
    pub dropped: Dropped,
    /// Items handed back: by a close, or to a sink that [withdrew](crate::Batch::withdraw) them.
    pub returned: u64,
    /// Items accepted and not settled yet.
    pub pending: u64,
    /// Items offered to the sink again, counted once for each attempt after the first.
    pub retried: u64,
    /// Dropped items that the dead-letter sink took. The others of `dropped` are gone.
    pub dead_lettered: u64,
}

impl Ledger {
    /// What was settled since `earlier`, a ledger of the same buffer; [`FlushReport::pending`] is always 0 in it.
    pub fn since(&self, earlier: &Self) -> FlushReport {
        FlushReport {
            delivered: self.delivered.saturating_sub(earlier.delivered),
            dropped: self.dropped.since(&earlier.dropped),
            returned: self.returned.saturating_sub(earlier.returned),
            pending: 0,
        }
    }

    /// The ledger of one partition.
    pub(crate) fn of(accepted: u64, pending: u64, tally: Tally) -> Self {
        let Tally {
            delivered,
            dropped,
            returned,
            retried,
            dead_lettered,
        } = tally;
        Self {
            accepted,
            delivered,
            dropped,
            returned,
            pending,
            retried,
            dead_lettered,
        }
    }

    /// Adds what happened to one part of this sum between two readings of that part.
    pub(crate) fn advance(&mut self, before: &Self, now: &Self) {
        let Self {
            accepted,
            delivered,
            dropped,
            returned,
            pending,
            retried,
            dead_lettered,
        } = *now;
        self.accepted += accepted - before.accepted;
        self.delivered += delivered - before.delivered;
        self.dropped += dropped.since(&before.dropped);
        self.returned += returned - before.returned;
        self.pending = self.pending + pending - before.pending;
        self.retried += retried - before.retried;
        self.dead_lettered += dead_lettered - before.dead_lettered;
    }
}

/// Leaves out retried and dead-lettered items.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = FlushReport {
            delivered: self.delivered,
            dropped: self.dropped,
            returned: self.returned,
            pending: self.pending,
        };
        write!(f, "{} accepted: {report}", self.accepted)
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Self) {
        let Self {
            accepted,
            delivered,
            dropped,
            returned,
            pending,
            retried,
            dead_lettered,
        } = other;
        self.accepted += accepted;
        self.delivered += delivered;
        self.dropped += dropped;
        self.returned += returned;
        self.pending += pending;
        self.retried += retried;
        self.dead_lettered += dead_lettered;
    }
}

impl Add for Ledger {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Ledger {
    fn sum<I: Iterator<Item = Self>>(ledgers: I) -> Self {
        ledgers.fold(Self::default(), Add::add)
    }
}

/// What became of the items that were pending when [`Buffer::flush`](crate::Buffer::flush) was called.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_core::Buffer;
///
/// /// Whether all that was inserted before is stored.
/// async fn checkpoint(buffer: &Buffer<String>) -> bool {
///     let report = buffer.flush_within(Duration::from_secs(5)).await;
///     report.pending == 0 && report.returned == 0 && report.dropped.total() == 0
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Items that the sink delivered.
    pub delivered: u64,
    /// Items that were dropped, by reason.
    pub dropped: Dropped,
    /// Items handed back: to a sink that [withdrew](crate::Batch::withdraw) them, or by a close that came in between.
    pub returned: u64,
    /// Items that were not settled in time: only after [`flush_within`](crate::Buffer::flush_within).
    pub pending: u64,
}

/// As in `7 delivered, 2 dropped (rejected 1, overflow 1), 0 returned, 1 pending`.
impl fmt::Display for FlushReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            delivered,
            dropped,
            returned,
            pending,
        } = self;
        write!(
            f,
            "{delivered} delivered, {dropped}, {returned} returned, {pending} pending"
        )
    }
}

impl AddAssign for FlushReport {
    fn add_assign(&mut self, other: Self) {
        let Self {
            delivered,
            dropped,
            returned,
            pending,
        } = other;
        self.pending += pending;
        self.delivered += delivered;
        self.dropped += dropped;
        self.returned += returned;
    }
}

impl FlushReport {
    pub(crate) fn add(&mut self, tally: Tally) {
        let Tally {
            delivered,
            dropped,
            returned,
            retried: _,
            dead_lettered: _,
        } = tally;
        self.delivered += delivered;
        self.dropped += dropped;
        self.returned += returned;
    }
}

/// What a close returns: the final ledger, and the items that could not be delivered in time.
///
/// # Examples
///
/// ```
/// use buffer_core::Buffer;
///
/// # async fn save(_: &[String]) -> Result<(), std::io::Error> { Ok(()) }
/// async fn stop(buffer: Buffer<String>) -> Result<(), Box<dyn std::error::Error>> {
///     let summary = buffer.close().await;
///     save(&summary.undelivered).await?;
///     println!("{} stored, {} for the next start", summary.ledger.delivered, summary.ledger.returned);
///     summary.sink_error.map_or(Ok(()), |error| Err(error.into()))
/// }
/// ```
#[derive(Debug)]
#[must_use = "it holds the items that were not delivered, which are lost with it"]
#[non_exhaustive]
pub struct Summary<T> {
    /// The final ledger; nothing is pending.
    pub ledger: Ledger,
    /// The items that the drain's deadline left over, in the order of each partition. An attempt that the deadline cut off, that
    /// timed out or that ended uncertainly may have written them. They are counted as `returned`, as are items that the sink
    /// [withdrew](crate::Batch::withdraw), which are not here.
    ///
    /// When several callers wait for one close, the first to be answered gets them.
    pub undelivered: Vec<T>,
    /// The error of [`Flush::close`](crate::Flush::close), if it failed; that of the dead-letter sink, if only its close failed.
    ///
    /// When several callers wait for one close, the first to be answered gets it.
    pub sink_error: Option<FlushError>,
}
