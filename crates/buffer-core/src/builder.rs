//! Makes buffers: a method for each setting, and the start of the workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::buffer::Buffer;
use crate::build_error::BuildError;
use crate::clock::Clock;
use crate::drain::Drain;
use crate::drop_log::DropLog;
use crate::flush::Flush;
use crate::flusher::Flusher;
use crate::flusher::backoff::Backoff;
use crate::flusher::hold::Hold;
use crate::line::Line;
use crate::outcome::Settled;
use crate::partition::Partition;
use crate::partition::overflow::Overflow;
use crate::partition::slot::Slot;
use crate::router::Router;
use crate::routing::Routing;
use crate::runtime;
use crate::shared::meter::Meter;
use crate::shared::settings::{Checked, Settings};
use crate::shared::{LastItems, OnOutcome, Shared, Weigh};
use crate::sync::Mutex;
use crate::worker::Worker;
use crate::worker::rescue;

/// The settings of a [`Buffer`], made by [`Buffer::builder`].
///
/// Every setting has a default that suits a service which writes a few thousand items a second to a database.
///
/// No duration may be above a year, and `flush_interval`, `flush_timeout` and the first delay of `backoff` must not be zero:
/// [`build`](BufferBuilder::build) refuses them.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, async_trait};
/// # struct Database;
/// # #[async_trait]
/// # impl Flush<String> for Database {
/// #     async fn flush(&self, _: &mut Batch<String>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BuildError> {
/// let buffer = Buffer::builder()
///     .name("events")
///     .batch_size(1_000)
///     .flush_interval(Duration::from_millis(200))
///     .build(Database)?;
/// # drop(buffer);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct BufferBuilder<T> {
    name: Arc<str>,
    pub(crate) settings: Settings,
    weigh: Option<Weigh<T>>,
    routing: Routing<T>,
    runtime: Option<Handle>,
    last_items: Option<LastItems<T>>,
    on_outcome: Option<OnOutcome<T>>,
    dead_letters: Option<Arc<dyn Flush<T>>>,
}

impl<T: Send + 'static> Buffer<T> {
    /// The settings of a new buffer.
    pub fn builder() -> BufferBuilder<T> {
        BufferBuilder {
            name: "buffer".into(),
            settings: Settings::default(),
            weigh: None,
            routing: Routing::ThreadHome,
            runtime: None,
            last_items: None,
            on_outcome: None,
            dead_letters: None,
        }
    }
}

impl<T: Send + 'static> BufferBuilder<T> {
    /// The buffer's name in logs, in metrics and in [`Batch::buffer`](crate::Batch::buffer). Default: `buffer`.
    ///
    /// It is the label `buffer` of the [metrics](crate::metrics), which sum up all buffers of one name, as they do those without a
    /// name of their own. A name's metrics stay until the process ends, so don't give each tenant or connection its own name.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// The number of partitions, which is also the number of flushes that run at the same time. Default: the number of
    /// cores, at most 16.
    ///
    /// With 1, all items leave in the order in which they came. With many more than there are inserting threads, batches are
    /// smaller. At most 65,536.
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.settings.partitions = partitions;
        self
    }

    /// The number of items that seals a batch; no batch is larger. Default: 5,000.
    ///
    /// With 1, every item is a batch of its own.
    pub fn batch_size(mut self, items: usize) -> Self {
        self.settings.batch_size = items;
        self
    }

    /// Seals batches by up to this many items earlier, drawn anew for each batch, so that the partitions' flushes spread
    /// out. Less than `batch_size`. Default: 0.
    pub fn batch_size_jitter(mut self, items: usize) -> Self {
        self.settings.batch_size_jitter = items;
        self
    }

    /// The age, counted from its first item, that seals a batch. Default: 1 s.
    ///
    /// A long interval makes few large batches, and keeps the items in memory for as long.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.settings.flush_interval = interval;
        self
    }

    /// Adds up to this much to the interval, drawn anew for each batch, so that processes don't flush in step. Default: 20 %
    /// of the interval.
    ///
    /// With any jitter, a partition's very first batch is due at a random moment of its interval, for the same reason. With
    /// zero, every batch is due exactly after the interval.
    pub fn flush_jitter(mut self, jitter: Duration) -> Self {
        self.settings.flush_jitter = Some(jitter);
        self
    }

    /// The most items that the buffer holds, those in flight included; an insert beyond that waits. Default: 10 batches for
    /// each partition.
    ///
    /// It is divided evenly among the partitions and must be at least one batch for each (two with [`Overflow::DropOldest`]). The
    /// default number of partitions depends on the cores, so set `partitions`, too, or `build` may refuse it on a larger machine.
    pub fn capacity(mut self, items: usize) -> Self {
        self.settings.capacity = Some(items);
        self
    }

    /// Says what an item weighs, in bytes or in any other unit, for `batch_bytes`, `capacity_bytes` and
    /// [`Batch::bytes`](crate::Batch::bytes). Default: nothing is weighed.
    ///
    /// It runs on the inserting thread, for some items twice, so keep it cheap. The weight that it returns there counts until the
    /// item is settled.
    ///
    /// # Panics
    ///
    /// A panic of `weigh` reaches the caller of the insert, and the item is dropped and not counted; `insert_batch` leaves all
    /// items in its vector.
    ///
    /// # Examples
    ///
    /// Requests of at most 4 MiB, and at most 64 MiB in memory:
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<String> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<String>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder()
    ///     .partitions(2)
    ///     .weigh(String::len)
    ///     .batch_bytes(4 << 20)
    ///     .capacity_bytes(64 << 20)
    ///     .build(Nowhere)?;
    /// # buffer.insert("item".to_owned()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn weigh(mut self, weigh: impl Fn(&T) -> usize + Send + Sync + 'static) -> Self {
        self.weigh = Some(Box::new(weigh));
        self
    }

    /// The weight that seals a batch; no batch is heavier, so a heavier item is refused as oversized. Needs `weigh`. Default: a
    /// partition's share of `capacity_bytes` (half of it with [`Overflow::DropOldest`]), or no limit.
    ///
    /// Only [`last_items`](BufferBuilder::last_items) are accepted whatever they weigh; each that is too heavy has a batch of its own.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes = Some(bytes);
        self
    }

    /// The most that the items in the buffer may weigh, those in flight included; an insert beyond that waits. Needs `weigh`.
    /// Default: no limit.
    ///
    /// It is divided evenly among the partitions, and must be at least `batch_bytes` for each (twice that with
    /// [`Overflow::DropOldest`]). A heavy item may wait long while lighter ones keep coming, as they find room before it does.
    pub fn capacity_bytes(mut self, bytes: usize) -> Self {
        self.settings.capacity_bytes = Some(bytes);
        self
    }

    /// Undoes [`weigh`](BufferBuilder::weigh), `batch_bytes` and `capacity_bytes`: for code that builds on the settings of others and
    /// can't have an item refused for its weight.
    pub fn unweighed(mut self) -> Self {
        self.weigh = None;
        self.settings.batch_bytes = None;
        self.settings.capacity_bytes = None;
        self
    }

    /// What becomes of an item for which there is no room. Default: [`Overflow::Wait`], which drops nothing.
    ///
    /// Dropped items go to the [dead-letter sink](BufferBuilder::dead_letters), in parallel with the flushes and during an outage, too.
    /// At most `batch_size` of them wait for it in each partition; what is dropped beyond that is gone, with the reason
    /// [`dead_letter_full`](crate::DropReason::DeadLetterFull).
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.settings.overflow = overflow;
        self
    }

    /// The time limit of one attempt. Default: 10 s.
    ///
    /// An attempt that takes longer is cut off and counts as [uncertain](crate::FlushError::uncertain).
    pub fn flush_timeout(mut self, limit: Duration) -> Self {
        self.settings.flush_timeout = limit;
        self
    }

    /// The time limit of the drain after a close or after the last handle was dropped. Default: 20 s, inside the 30 s that
    /// Kubernetes grants a process.
    ///
    /// With zero, whatever is pending is returned or dropped at once.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.settings.drain_timeout = limit;
        self
    }

    /// How often a batch is tried again before it is dropped. Default: 5.
    ///
    /// Attempts that end in [unavailable](crate::FlushError::unavailable) don't count, nor do those that time out after they have
    /// delivered or rejected some of the items.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// The delays between attempts: drawn between zero and a ceiling that starts at `first` and doubles up to `longest`.
    /// Default: 100 ms and 30 s.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.backoff = Backoff { first, longest };
        self
    }

    /// How long a batch is held while the sink is down, before it is dropped, with the reason `given_up`. Default: no limit; an
    /// outage by itself drops nothing.
    ///
    /// The time runs from the start of the outage or of the batch, whichever is later. With zero, every batch is dropped as soon
    /// as the sink is found to be down, except the one that probes it next.
    pub fn give_up_after(mut self, limit: Duration) -> Self {
        self.settings.give_up_after = Some(limit);
        self
    }

    /// How the partition of an item is chosen. Default: [`Routing::ThreadHome`].
    pub fn routing(mut self, routing: Routing<T>) -> Self {
        self.routing = routing;
        self
    }

    /// The runtime that the workers run on. Default: the one that `build` is called in.
    ///
    /// Its timer must be enabled (`enable_time`), or `build` refuses it.
    ///
    /// Something must drive it: a current-thread runtime runs only inside its `block_on`. If nobody does, a plain thread that waits
    /// for room, for a flush or for a close waits for ever, past any time limit that this runtime keeps.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Called once, before the drain starts, for items that were kept outside the buffer until then, such as counters that are
    /// still being summed. They are accepted whatever the capacity, and inserts are accepted until they are in.
    ///
    /// It may be called on any thread, even while a runtime dies, so it must not block. A closure that holds a
    /// [`Buffer`](crate::Buffer) handle to its own buffer keeps it open for ever: hold a [`WeakBuffer`](crate::WeakBuffer).
    pub fn last_items(mut self, last_items: impl FnOnce() -> Vec<T> + Send + 'static) -> Self {
        self.last_items = Some(Box::new(last_items));
        self
    }

    /// Called with every outcome, for your own logs and numbers: items that were delivered, dropped or returned.
    ///
    /// It runs right after the items are counted, so it must be quick and must not block. It runs on the workers; for items that
    /// [overflow](BufferBuilder::overflow), on the inserting thread; for what a close leaves over, on the task that awaits the close or
    /// drops its future. A closure that holds a [`Buffer`](crate::Buffer) handle to its own buffer keeps it open for ever: hold a
    /// [`WeakBuffer`](crate::WeakBuffer). One that inserts what overflowed into the same buffer may go on for ever, as each insert may
    /// overflow again.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
    /// use buffer_core::Outcome;
    ///
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<u32> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Buffer::builder().on_outcome(|settled| {
    ///     if let Outcome::Dropped(reason) = settled.outcome {
    ///         eprintln!("{} items dropped: {reason}", settled.count);
    ///     }
    /// });
    /// let buffer = builder.build(Nowhere)?;
    /// # buffer.insert(1).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_outcome(mut self, on_outcome: impl Fn(&Settled<'_, T>) + Send + Sync + 'static) -> Self {
        self.on_outcome = Some(Box::new(on_outcome));
        self
    }

    /// A second sink, which receives what was dropped, in batches with the [reason](crate::Batch::drop_reason) and the
    /// [cause](crate::Batch::drop_cause). Default: none; what is dropped is gone.
    ///
    /// It has one attempt for each batch, under `flush_timeout`, before the partition goes on. What it takes is counted in
    /// [`Ledger::dead_lettered`](crate::Ledger::dead_lettered).
    ///
    /// It does not receive:
    ///
    /// * what the drain's deadline leaves ([`drain_timeout`](crate::DropReason::DrainTimeout)), nor what still waits for it then;
    /// * what the sink [took](crate::Batch::take), whether [`unconfirmed`](crate::DropReason::Unconfirmed) or rejected
    ///   afterwards: the sink has it;
    /// * what [overflows](BufferBuilder::overflow) and finds no place among the `batch_size` items of its partition that may wait for it
    ///   ([`dead_letter_full`](crate::DropReason::DeadLetterFull)).
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
    ///
    /// struct Strict;
    ///
    /// #[async_trait]
    /// impl Flush<u32> for Strict {
    ///     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
    ///         Err(FlushError::permanent("the row is malformed"))
    ///     }
    /// }
    ///
    /// struct Cemetery;
    ///
    /// #[async_trait]
    /// impl Flush<u32> for Cemetery {
    ///     async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
    ///         println!("{:?}: {:?} {:?}", &batch[..], batch.drop_reason(), batch.drop_cause(0));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let buffer = Buffer::builder().dead_letters(Cemetery).build(Strict)?;
    /// buffer.insert(1).await?;
    /// let ledger = buffer.close().await.ledger;
    /// assert_eq!((ledger.dropped.total(), ledger.dead_lettered), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead_letters(mut self, sink: impl Flush<T>) -> Self {
        self.dead_letters = Some(Arc::new(sink));
        self
    }

    /// Checks the settings and starts the workers.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names the setting to change, or says what is wrong with the runtime.
    pub fn build(self, sink: impl Flush<T>) -> Result<Buffer<T>, BuildError> {
        let checked = self.settings.check(self.weigh.is_some())?;
        let runtime = runtime::able(self.runtime.clone())?;
        Ok(self.build_on(&runtime, checked, sink))
    }

    /// Builds the buffer with checked settings, on a runtime that can carry the workers.
    pub(crate) fn build_on(self, runtime: &Handle, checked: Checked, sink: impl Flush<T>) -> Buffer<T> {
        let Checked {
            partitions,
            capacity,
            triggers,
            policy,
        } = checked;
        let Settings {
            batch_size,
            overflow,
            drain_timeout,
            backoff,
            ..
        } = self.settings;
        let slot = || {
            let overflows = overflow != Overflow::Wait && self.dead_letters.is_some();
            overflows.then(|| Slot::new(batch_size))
        };
        let triggers = Arc::new(triggers);
        // Relaxed: only uniqueness and order matter, and nothing is published with the number.
        static BUILT: AtomicU64 = AtomicU64::new(0);
        let shared = Arc::new(Shared {
            meter: Meter::new(
                &self.name,
                partitions.get(),
                capacity.items.saturating_mul(partitions.get() as u64),
            ),
            number: BUILT.fetch_add(1, Ordering::Relaxed),
            name: self.name,
            drain_timeout,
            clock: Clock::new(runtime.clone()),
            partitions: (0..partitions.get())
                .map(|_| Partition::new(Arc::clone(&triggers), capacity, overflow, slot()))
                .collect(),
            router: Router::new(partitions),
            is_plain: self.weigh.is_none() && matches!(self.routing, Routing::ThreadHome),
            routing: self.routing,
            weigh: self.weigh,
            heaviest: triggers.batch_bytes.min(capacity.bytes),
            overflow,
            line: Line::new(),
            hold: Hold::new(partitions.get(), backoff),
            drain: Drain::new(partitions.get()),
            last_items: Mutex::new(self.last_items),
            on_outcome: self.on_outcome,
            drop_log: DropLog::new(),
        });
        let flusher = Arc::new(Flusher::new(Arc::new(sink), self.dead_letters, policy));
        for index in 0..partitions.get() {
            let worker = Worker::new(Arc::clone(&shared), Arc::clone(&flusher), index);
            rescue::spawn(worker, runtime);
        }
        Buffer::new(shared)
    }
}

impl<T> std::fmt::Debug for BufferBuilder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
