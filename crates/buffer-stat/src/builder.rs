//! The settings of counters.

use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use buffer_core::{Buffer, BuildError, Builder, Flush};
use tokio::runtime::Handle;

use crate::driver::Driver;
use crate::stat_buffer::{Count, Counters, StatBuffer, Windows};
use crate::sums::Sums;

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
///     .buffer(|buffer| buffer.name("logins").batch_size(500))
///     .build(Database)?;
/// # drop(logins);
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct StatBuilder<K> {
    buffer: Builder<Count<K>>,
    flush_interval: Duration,
    flush_jitter: Option<Duration>,
    runtime: Option<Handle>,
}

/// More partitions than this make the merge dearer and the increments no cheaper.
const PARTITIONS_AT_MOST: usize = 16;
/// Above it a duration is a mistake, as in the settings of a buffer.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl<K: Hash + Eq + Clone + Send + 'static> StatBuffer<K> {
    /// The settings of new counters.
    pub fn builder() -> StatBuilder<K> {
        StatBuilder {
            buffer: Buffer::builder().name("counters"),
            flush_interval: Duration::from_secs(1),
            flush_jitter: None,
            runtime: None,
        }
    }
}

impl<K: Hash + Eq + Clone + Send + 'static> StatBuilder<K> {
    /// The length of a window, counted from its first increment. Default: 1 s.
    ///
    /// A long window sends each key less often; a crash loses as much.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Adds up to this much to the window, drawn anew each time, so that processes don't flush in step. Default: 20 % of the
    /// interval.
    pub fn flush_jitter(mut self, jitter: Duration) -> Self {
        self.flush_jitter = Some(jitter);
        self
    }

    /// Changes the settings of the buffer that the counts go through: its name, the batch size, retries, time-outs.
    ///
    /// Its `last_items` and `runtime` are set here and can't be changed there.
    pub fn buffer(mut self, change: impl FnOnce(Builder<Count<K>>) -> Builder<Count<K>>) -> Self {
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
    /// # Errors
    ///
    /// A [`BuildError`] that names the setting to change, or says what is wrong with the runtime.
    pub fn build(self, sink: impl Flush<Count<K>>) -> Result<StatBuffer<K>, BuildError> {
        if self.flush_interval.is_zero() {
            return Err(BuildError::Zero {
                setting: "flush_interval",
                least: "a millisecond",
            });
        }
        let jitter = self.flush_jitter.unwrap_or(self.flush_interval / 5);
        for (setting, duration) in [("flush_interval", self.flush_interval), ("flush_jitter", jitter)] {
            if duration > LONGEST {
                return Err(BuildError::TooLarge {
                    setting,
                    most: "a year",
                });
            }
        }
        let runtime = match self.runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
        };
        let partitions = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let partitions = partitions.min(const { NonZeroUsize::new(PARTITIONS_AT_MOST).expect("not zero") });
        let windows = Arc::new(Windows::new(Sums::new(partitions)));
        let last_counts = Arc::clone(&windows);
        let buffer = self
            .buffer
            .runtime(runtime.clone())
            .last_items(move || last_counts.last_counts());
        let counters = Arc::new(Counters {
            windows,
            buffer: buffer.build(sink)?,
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
