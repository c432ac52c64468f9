//! The settings of counters.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use buffer_core::{Buffer, BufferBuilder, BuildError, Flush, Overflow, Routing, Settled};
use tokio::runtime::Handle;

use crate::count::Count;
use crate::count_sink::CountSink;
use crate::counters::Counters;
use crate::driver::Driver;
use crate::max_keys::{MaxKeys, Places};
use crate::stat_buffer::StatBuffer;
use crate::sums::Sums;
use crate::windows::Windows;

/// The settings of a [`StatBuffer`], made by [`StatBuffer::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// # use buffer_core::{Batch, BuildError, Flush, FlushError, async_trait};
/// # use buffer_stat::{Count, StatBuffer};
/// # struct Database;
/// # #[async_trait]
/// # impl Flush<Count<u64>> for Database {
/// #     async fn flush(&self, _: &mut Batch<Count<u64>>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BuildError> {
/// let logins = StatBuffer::builder()
///     .flush_interval(Duration::from_secs(10))
///     .batch_size(500)
///     .buffer(|buffer| buffer.name("logins"))
///     .build(Database)?;
/// # drop(logins);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct StatBuilder<K> {
    buffer: BufferBuilder<Count<K>>,
    flush_interval: Duration,
    flush_jitter: Option<Duration>,
    partitions: usize,
    batch_size: usize,
    retries: u32,
    most_keys: usize,
    beyond: MaxKeys<K>,
    send_zero_sums: bool,
    on_outcome: Option<OnOutcome<K>>,
    runtime: Option<Handle>,
}

/// Sees every outcome.
type OnOutcome<K> = Box<dyn Fn(&Settled<'_, Count<K>>) + Send + Sync>;

/// More partitions than this make the merge dearer and the increments no cheaper.
const DEFAULT_PARTITIONS_AT_MOST: usize = 16;
/// As in the settings of a buffer.
const PARTITIONS_AT_MOST: usize = 65_536;

impl<K: Hash + Eq + Clone + Send + 'static> StatBuffer<K> {
    /// The settings of new counters.
    pub fn builder() -> StatBuilder<K> {
        StatBuilder {
            buffer: Buffer::builder().name("counters"),
            flush_interval: Duration::from_secs(1),
            flush_jitter: None,
            partitions: available_parallelism()
                .map_or(1, |cores| cores.get().min(DEFAULT_PARTITIONS_AT_MOST)),
            batch_size: 5_000,
            retries: 5,
            most_keys: usize::MAX,
            beyond: MaxKeys::FlushEarly,
            send_zero_sums: false,
            on_outcome: None,
            runtime: None,
        }
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> StatBuilder<K> {
    /// The length of a window, counted from its first increment. Default: 1 s.
    ///
    /// With a longer window each key is sent less often, and a crash loses more.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Lengthens each window by a random time of up to this much, so that processes don't flush in step. Default: 20 % of the
    /// interval.
    pub fn flush_jitter(mut self, jitter: Duration) -> Self {
        self.flush_jitter = Some(jitter);
        self
    }

    /// The number of partitions. Each keeps sums of its own and flushes one batch at a time. Default: the number of cores, at most
    /// 16. At most 65,536.
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions;
        self
    }

    /// The most counts in a batch. Default: 5,000. It is at most the largest number divided by `partitions`.
    ///
    /// Each partition has at most one batch on its way; the rest of a window follows as those are settled.
    pub fn batch_size(mut self, counts: usize) -> Self {
        self.batch_size = counts;
        self
    }

    /// How often a batch that the sink certainly did not write ([transient](buffer_core::FlushError::transient)) is tried again
    /// before its counts go back into the sums. Default: 5.
    ///
    /// A batch that may have been written ([uncertain](buffer_core::FlushError::uncertain), a time-out) is tried again unchanged,
    /// under the same id, for as long as it takes. A batch is dropped if the sink panics in more attempts at it than these retries. A
    /// batch that found the sink [down](buffer_core::FlushError::unavailable) is held.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Bounds the number of keys, and says what becomes of keys beyond the bound. Default: no bound.
    ///
    /// A key incremented in several partitions counts once in each; an idle key keeps counting for up to one more window. With zero,
    /// every key is beyond the bound. Whether a key is there already is asked in the partition that the thread adds to: one that only
    /// others have is new. A key that is [flushed by hand](crate::StatBuffer::flush_key) takes a place in each partition for about two windows.
    ///
    /// The bound applies to keys that are let in. Keys whose counts the sink did not write, and that go [back into the
    /// sums](Self::retries), come back in any case, even if others have taken their places or if they still have one in another
    /// partition: up to `partitions` × `batch_size` at a time. A key whose sum has to wait, because a count of it is not settled, waits
    /// in its place.
    pub fn max_keys(mut self, keys: usize, beyond: MaxKeys<K>) -> Self {
        self.most_keys = keys;
        self.beyond = beyond;
        self
    }

    /// Also sends the sums of keys that changed and came to zero. Default: they are not sent.
    pub fn send_zero_sums(mut self) -> Self {
        self.send_zero_sums = true;
        self
    }

    /// Called with every outcome, as [`BufferBuilder::on_outcome`] says. If it, or the sink, holds a handle to these very counters, the
    /// drop of the last other handle does not close them; call [`close`](StatBuffer::close). Counts that go back into the sums are
    /// [`Returned`](buffer_core::Outcome::Returned): the hook gets only their number, as they are part of other sums by then.
    pub fn on_outcome(mut self, on_outcome: impl Fn(&Settled<'_, Count<K>>) + Send + Sync + 'static) -> Self {
        self.on_outcome = Some(Box::new(on_outcome));
        self
    }

    /// Changes the settings of the buffer that the counts go through: its name, its dead-letter sink, its time limits, its backoff.
    ///
    /// The settings here replace the buffer's `partitions`, `batch_size`, `batch_size_jitter`, `flush_interval`, `flush_jitter`,
    /// `capacity`, `retries`, `on_outcome`, `runtime`, `last_items`, `overflow` and `routing`; `weigh`, `batch_bytes` and
    /// `capacity_bytes` have no effect, as counts are bounded by their number. With `give_up_after`, a batch that is given up in an
    /// outage is dropped and does not go back into the sums.
    pub fn buffer(mut self, change: impl FnOnce(BufferBuilder<Count<K>>) -> BufferBuilder<Count<K>>) -> Self {
        self.buffer = change(self.buffer);
        self
    }

    /// The runtime to run on. Default: the one that `build` is called in.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks the settings and starts the counters.
    ///
    /// The sink only borrows counts: it must not [take](buffer_core::Batch::take) or [withdraw](buffer_core::Batch::withdraw) them,
    /// as the [crate's page](crate) says.
    ///
    /// # Errors
    ///
    /// A [`BuildError`] that names the setting to change, or says what is wrong with the runtime.
    pub fn build(self, sink: impl Flush<Count<K>>) -> Result<StatBuffer<K>, BuildError> {
        let jitter = self.flush_jitter.unwrap_or(self.flush_interval / 5);
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
        };
        let Some(partitions) = NonZeroUsize::new(self.partitions) else {
            return Err(BuildError::Zero {
                setting: "partitions",
                least: "1",
            });
        };
        // Checked before a table is made for each of them.
        if self.partitions > PARTITIONS_AT_MOST {
            return Err(BuildError::TooLarge {
                setting: "partitions",
                most: "65536",
            });
        }
        // The product becomes the buffer's capacity, which the user does not set.
        let Some(capacity) = self.batch_size.checked_mul(self.partitions) else {
            return Err(BuildError::TooLarge {
                setting: "batch_size",
                most: "the largest number divided by the partitions",
            });
        };
        let sums = Sums::new(partitions, Places::new(self.most_keys, self.beyond));
        let windows = Arc::new(Windows::new(sums, self.send_zero_sums));
        let sink = CountSink::new(sink, Arc::clone(&windows), self.retries, self.partitions);
        let (last_counts, settled) = (Arc::clone(&windows), Arc::clone(&windows));
        let on_outcome = self.on_outcome;
        let buffer = self
            .buffer
            .partitions(self.partitions)
            .batch_size(self.batch_size)
            .batch_size_jitter(0)
            // A batch of counts does not wait for its interval. So these are checked here, and time nothing.
            .flush_interval(self.flush_interval)
            .flush_jitter(jitter)
            .capacity(capacity)
            // A count that is refused for its weight would block all counts behind it.
            .unweighed()
            // `CountSink` counts the retries, because a batch that may have been written is never given up.
            .retries(u32::MAX)
            .overflow(Overflow::Wait)
            .routing(Routing::ThreadHome)
            .runtime(runtime.clone())
            .on_outcome(move |outcome| {
                settled.settle(outcome.count, outcome.items);
                if let Some(on_outcome) = &on_outcome {
                    on_outcome(outcome);
                }
            })
            .last_items(move || last_counts.last_counts());
        let counters = Arc::new(Counters {
            windows,
            buffer: buffer.build(sink)?,
            batch_size: self.batch_size,
        });
        runtime.spawn(Driver::new(&counters, self.flush_interval, jitter).run());
        Ok(StatBuffer { counters })
    }
}

impl<K> std::fmt::Debug for StatBuilder<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatBuilder")
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}
