//! The handle: the flush, the close, and what a buffer can be asked.

mod admission;
mod insert;
mod insert_batch;
pub(crate) mod insert_batch_error;
pub(crate) mod insert_error;
mod insert_when_idle;
mod inserting;
pub(crate) mod receipt;
mod wait;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::flusher::hold::Health;
use crate::ledger::{FlushReport, Ledger, Summary};
use crate::outcome::size::Size;
use crate::partition::info::{Dump, PartitionInfo, Stats};
use crate::partition::{Partition, Waiting};
use crate::shared::{Shared, deadline_in};
use crate::tally::Tally;

/// A buffer: takes items one by one from any thread or task, and hands them to its sink in batches.
///
/// Clones are handles to the same buffer. When the last one is dropped the buffer closes and drains by itself, even at the
/// end of `main`.
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
///
/// struct Stdout;
///
/// #[async_trait]
/// impl Flush<String> for Stdout {
///     async fn flush(&self, batch: &mut Batch<String>) -> Result<(), FlushError> {
///         println!("{} lines, the first is {:?}", batch.len(), batch.first());
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().name("lines").build(Stdout)?;
/// buffer.insert("hello".to_owned()).await?;
/// let summary = buffer.close().await;
/// assert_eq!(summary.ledger.delivered, 1);
/// # Ok(())
/// # }
/// ```
pub struct Buffer<T> {
    /// Next to the handle and not behind it: each pointer on the way to its partition slows an insert.
    shared: Arc<Shared<T>>,
    handle: Arc<Handle<T>>,
}

/// What all clones of a [`Buffer`] hold. No worker does, so its drop is the last handle's drop.
struct Handle<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> Buffer<T> {
    /// Flushes what is pending and waits until all of it is settled; says what became of it.
    ///
    /// It is a barrier: what was accepted before the call is settled when it returns. In an outage it waits.
    ///
    /// # Cancel safety
    ///
    /// Safe: the flush goes on, and only its report is lost.
    pub async fn flush(&self) -> FlushReport {
        let mut report = FlushReport::default();
        for (partition, waiting) in self.barriers() {
            report.add(self.passed(partition, &waiting).await);
        }
        report
    }

    /// Like [`flush`](Buffer::flush), for at most `limit`; what is not settled by then is in
    /// [`FlushReport::pending`], and its flush goes on. The time is kept as for [`insert_timeout`](Buffer::insert_timeout), and
    /// something must [drive](crate::BufferBuilder::runtime) the runtime that keeps it.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](Buffer::flush).
    pub async fn flush_within(&self, limit: Duration) -> FlushReport {
        let barriers = self.barriers();
        let (mut report, mut passed) = (FlushReport::default(), 0);
        let pass = async {
            for (partition, waiting) in &barriers {
                report.add(self.passed(partition, waiting).await);
                passed += 1;
            }
        };
        // If the time is up, the barriers that are left are not passed.
        let _ = self.shared().clock.within(limit, pass).await;
        for (partition, waiting) in &barriers[passed..] {
            let settled = partition.settled_since(waiting);
            report.pending += waiting.pending.saturating_sub(settled.settled());
            report.add(settled);
        }
        report
    }

    fn barriers(&self) -> Vec<(&Partition<T>, Waiting)> {
        let partitions = self.shared().partitions.iter();
        partitions
            .map(|partition| (partition, partition.place_barrier()))
            .collect()
    }

    /// What was settled until the barrier was passed.
    async fn passed(&self, partition: &Partition<T>, waiting: &Waiting) -> Tally {
        if let Some(wait) = &waiting.wait
            && let Ok(tally) = wait.clone().reached().await
        {
            return tally.since(&waiting.before);
        }
        // What the worker left, if anything, is settled at the end of the drain.
        if partition.settled_since(waiting).settled() < waiting.pending {
            self.shared().drain.settled().await;
        }
        partition.settled_since(waiting)
    }

    /// Asks for a flush of what is pending, without waiting for it.
    pub fn request_flush(&self) {
        for partition in &self.shared().partitions {
            partition.seal_on_request();
        }
    }

    /// Closes the buffer, waits until everything is settled or `drain_timeout` has passed, and returns what is left.
    ///
    /// From then on inserts are refused, those that wait for room included; what is inserted while
    /// [`last_items`](crate::BufferBuilder::last_items) runs is drained, too. Closing twice is fine: every caller gets the final ledger,
    /// and the earliest of their deadlines counts. The sink's own [close](crate::Flush::close) has what is left of the time, or a
    /// second if less is left.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on. What its deadline leaves is then not returned but dropped, with the reason `drain_timeout`.
    pub async fn close(&self) -> Summary<T> {
        self.close_within(self.shared().drain_timeout).await
    }

    /// Like [`close`](Buffer::close), with a time limit of its own. The buffer's runtime keeps it, so something must
    /// [drive](crate::BufferBuilder::runtime) that.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](Buffer::close).
    pub async fn close_within(&self, limit: Duration) -> Summary<T> {
        let claim = Claim::new(self.shared());
        claim.shared.close_by(deadline_in(limit));
        claim.shared.drain.finished().await;
        claim.take()
    }

    /// The count of every item that the buffer accepted, by what became of it.
    ///
    /// The partitions are read one after the other, each exactly.
    pub fn ledger(&self) -> Ledger {
        self.shared().ledger()
    }

    /// What is pending: the number of items, and their weight.
    pub fn size(&self) -> Size {
        let mut size = Size::default();
        for partition in &self.shared().partitions {
            let Size { items, bytes } = partition.pending();
            size.items += items;
            size.bytes = size.bytes.saturating_add(bytes);
        }
        size
    }

    /// The most that may be pending: `capacity` in items, and `capacity_bytes`, which without a limit is `u64::MAX`; both are rounded
    /// down to a multiple of the number of partitions.
    ///
    /// # Examples
    ///
    /// How full the buffer is, for a health probe:
    ///
    /// ```
    /// use buffer_core::Buffer;
    ///
    /// fn fill<T: Send + 'static>(buffer: &Buffer<T>) -> f64 {
    ///     let (size, capacity) = (buffer.size(), buffer.capacity());
    ///     let items = size.items as f64 / capacity.items as f64;
    ///     let bytes = size.bytes as f64 / capacity.bytes as f64;
    ///     items.max(bytes)
    /// }
    /// ```
    pub fn capacity(&self) -> Size {
        let partitions = &self.shared().partitions;
        // All have the same.
        let (Size { items, bytes }, number) = (partitions[0].capacity, partitions.len() as u64);
        Size {
            items: items.saturating_mul(number),
            bytes: bytes.saturating_mul(number),
        }
    }

    /// What each partition holds, by index.
    ///
    /// # Examples
    ///
    /// See [`PartitionInfo`].
    pub fn info(&self) -> Vec<PartitionInfo> {
        let (partitions, now) = (self.shared().partitions.iter(), Instant::now());
        partitions.map(|partition| partition.info(now)).collect()
    }

    /// The age of the oldest pending item's batch: how far the sink is behind.
    pub fn oldest(&self) -> Option<Duration> {
        self.info().into_iter().filter_map(|info| info.oldest).max()
    }

    /// What the buffer did since it was built.
    ///
    /// # Examples
    ///
    /// See [`Stats`].
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for partition in &self.shared().partitions {
            sum += partition.stats();
        }
        sum
    }

    /// Copies the pending items, and leaves them where they are; those that the workers have in hand are only counted.
    ///
    /// Use it to look into a buffer while debugging: a partition is locked while its items are copied. `T::clone` must not call
    /// back into the buffer.
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
    /// assert_eq!(buffer.dump().items, [7]);
    /// assert_eq!(buffer.ledger().pending, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dump(&self) -> Dump<T>
    where
        T: Clone,
    {
        let (mut items, mut in_hand) = (Vec::new(), 0);
        for partition in &self.shared().partitions {
            in_hand += partition.copy(&mut items);
        }
        Dump { items, in_hand }
    }

    /// Whether the sink takes batches; if not, since when and why.
    pub fn health(&self) -> Health {
        self.shared().hold.health()
    }

    /// Whether the buffer is closed: by a close, the last handle's drop or the end of its runtime. Inserts are refused as soon as it
    /// has its [`last_items`](crate::BufferBuilder::last_items).
    pub fn is_closed(&self) -> bool {
        self.shared().drain.has_begun()
    }

    /// A handle that does not keep the buffer open, for a sink that inserts into its own buffer.
    pub fn downgrade(&self) -> WeakBuffer<T> {
        WeakBuffer {
            handle: Arc::downgrade(&self.handle),
        }
    }

    /// The buffer's name.
    pub fn name(&self) -> &str {
        &self.shared().name
    }
}

impl<T> Buffer<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Self {
        let handle = Arc::new(Handle {
            shared: Arc::clone(&shared),
        });
        Self { shared, handle }
    }

    pub(crate) fn shared(&self) -> &Shared<T> {
        &self.shared
    }
}

impl<T> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            handle: Arc::clone(&self.handle),
        }
    }
}

impl<T> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("Buffer")
            .field("name", &shared.name)
            .field("ledger", &shared.ledger())
            .finish()
    }
}

/// A handle that does not keep its buffer open; made by [`Buffer::downgrade`].
///
/// # Examples
///
/// A sink that inserts into its own buffer must not hold a [`Buffer`], or the last handle would never be dropped. It must not
/// wait for room either, as it is what makes room:
///
/// ```
/// use std::sync::OnceLock;
/// use buffer_core::{Batch, Buffer, Flush, FlushError, WeakBuffer, async_trait};
///
/// struct Crawler(&'static OnceLock<WeakBuffer<u32>>);
///
/// #[async_trait]
/// impl Flush<u32> for Crawler {
///     async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
///         for page in batch.iter().filter(|page| **page < 10) {
///             if let Some(buffer) = self.0.get().and_then(WeakBuffer::upgrade) {
///                 buffer.try_insert(page + 1).map_err(|_| FlushError::transient("no room for a link"))?;
///             }
///         }
///         Ok(())
///     }
/// }
///
/// static PAGES: OnceLock<WeakBuffer<u32>> = OnceLock::new();
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pages = Buffer::builder().batch_size(1).build(Crawler(&PAGES))?;
/// PAGES.set(pages.downgrade()).expect("it is set once");
/// pages.insert(0).await?;
/// while pages.ledger().accepted < 11 {
///     pages.flush().await;
/// }
/// # Ok(())
/// # }
/// ```
pub struct WeakBuffer<T> {
    handle: Weak<Handle<T>>,
}

impl<T> WeakBuffer<T> {
    /// The buffer, unless its last handle is gone.
    pub fn upgrade(&self) -> Option<Buffer<T>> {
        let handle = self.handle.upgrade()?;
        Some(Buffer {
            shared: Arc::clone(&handle.shared),
            handle,
        })
    }
}

impl<T> Clone for WeakBuffer<T> {
    fn clone(&self) -> Self {
        Self {
            handle: Weak::clone(&self.handle),
        }
    }
}

impl<T> fmt::Debug for WeakBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakBuffer(..)")
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.shared.close_by(deadline_in(self.shared.drain_timeout));
    }
}

/// A caller that waits for the close, and owns what is left until it has taken it.
struct Claim<'a, T> {
    shared: &'a Shared<T>,
}

impl<'a, T> Claim<'a, T> {
    fn new(shared: &'a Shared<T>) -> Self {
        shared.drain.register();
        Self { shared }
    }

    /// Takes what is left; nothing is pending then.
    fn take(self) -> Summary<T> {
        let (left, sink_error) = self.shared.claim();
        let undelivered = left.into_iter().flat_map(|left| left.items).collect();
        Summary {
            ledger: self.shared.ledger(),
            undelivered,
            sink_error,
        }
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.shared.give_up_claim();
    }
}
