//! What can be seen of a buffer from outside, without changing it.

use std::ops::AddAssign;
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::Ledger;
use crate::outcome::attempt::AttemptResult;
use crate::outcome::size::Size;
use crate::partition::trigger::Trigger;

/// One partition as [`Buffer::info`](crate::Buffer::info) saw it.
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
/// let buffer = Buffer::builder().partitions(2).batch_size(10).build(Nowhere)?;
/// buffer.insert_batch(&mut (0..12).collect()).await?;
/// let info = buffer.info();
/// assert_eq!(info.iter().map(|partition| partition.pending.items).sum::<u64>(), 12);
/// assert!(info.iter().any(|partition| (partition.sealed, partition.open) == (10, 2)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Items that are accepted and not settled: `open + sealed + in_hand`.
    pub pending: Size,
    /// Items in the open batch.
    pub open: u64,
    /// Items in sealed batches that wait for the worker.
    pub sealed: u64,
    /// Items that the worker has in hand: in an attempt, or between two.
    pub in_hand: u64,
    /// The age of the oldest pending item's batch.
    pub oldest: Option<Duration>,
}

/// What a buffer did since it was built: see [`Buffer::stats`](crate::Buffer::stats).
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, Flush, FlushError, Trigger, async_trait};
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().build(Nowhere)?;
/// buffer.insert(1).await?;
/// buffer.flush().await;
/// let stats = buffer.stats();
/// assert_eq!((stats.attempts, stats.failed_attempts), (1, 0));
/// assert_eq!(stats.sealed_by(Trigger::Request), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Every accepted item, by what became of it.
    pub ledger: Ledger,
    /// Calls of the sink's `flush` that ended.
    pub attempts: u64,
    /// Those of them that ended in an error, a time-out or a panic.
    pub failed_attempts: u64,
    pub(crate) ended: Ends,
    pub(crate) sealed: Seals,
}

/// Attempts by how they ended.
pub(crate) type Ends = [u64; AttemptResult::ALL.len()];

/// Batches by what sealed them.
pub(crate) type Seals = [u64; Trigger::ALL.len()];

impl Stats {
    /// How many batches were sealed by `trigger`.
    pub fn sealed_by(&self, trigger: Trigger) -> u64 {
        self.sealed[trigger as usize]
    }

    /// Adds what happened to one part of this sum between two readings of that part.
    pub(crate) fn advance(&mut self, before: &Self, now: &Self) {
        let Self {
            ledger,
            attempts,
            failed_attempts,
            ended,
            sealed,
        } = now;
        self.ledger.advance(&before.ledger, ledger);
        self.attempts += attempts - before.attempts;
        self.failed_attempts += failed_attempts - before.failed_attempts;
        for (index, sum) in self.ended.iter_mut().enumerate() {
            *sum += ended[index] - before.ended[index];
        }
        for (index, sum) in self.sealed.iter_mut().enumerate() {
            *sum += sealed[index] - before.sealed[index];
        }
    }
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        let Self {
            ledger,
            attempts,
            failed_attempts,
            ended,
            sealed,
        } = other;
        self.ledger += ledger;
        self.attempts += attempts;
        self.failed_attempts += failed_attempts;
        for (sum, attempts) in self.ended.iter_mut().zip(ended) {
            *sum += attempts;
        }
        for (sum, batches) in self.sealed.iter_mut().zip(sealed) {
            *sum += batches;
        }
    }
}

/// One partition, as it is reported.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Counts the partition's readings: a later one has a greater number.
    pub(crate) number: u64,
    pub(crate) stats: Stats,
    pub(crate) pending: Size,
    /// When the oldest pending item's batch was opened.
    pub(crate) oldest: Option<Instant>,
}

/// Copies of pending items: see [`Buffer::dump`](crate::Buffer::dump).
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
/// buffer.insert(7).await?;
/// let dump = buffer.dump();
/// assert_eq!((dump.items, dump.in_hand), (vec![7], 0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dump<T> {
    /// Copies of the items in the open batch and in the sealed ones, in the order of each partition.
    pub items: Vec<T>,
    /// How many more items the workers have in hand; those can't be copied.
    pub in_hand: u64,
}
