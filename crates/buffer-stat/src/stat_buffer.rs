//! The handle: increments, reads, the flush and the close.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use buffer_core::{Buffer, FlushReport, Ledger, Summary};
use parking_lot::Mutex;
use thiserror::Error;

use crate::sums::{Added, Sums, TablesClosed};

/// What a key changed by in one window: the item that the sink gets.
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, FlushError};
/// use buffer_stat::Count;
///
/// # async fn execute(_: String) -> Result<(), std::io::Error> { Ok(()) }
/// async fn add(batch: &mut Batch<Count<u64>>) -> Result<(), FlushError> {
///     for index in 0..batch.len() {
///         let Count { key, delta, .. } = batch[index];
///         let add = format!("UPDATE users SET visits = visits + {delta} WHERE id = {key}");
///         execute(add).await.map_err(FlushError::transient)?;
///         batch.deliver(index..index + 1);
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Count<K> {
    /// The key.
    pub key: K,
    /// The sum of its increments, never zero.
    ///
    /// What does not fit into it comes in the window after.
    pub delta: i64,
    /// The begin of the window, later than that of every window before: together with the key it names one delta.
    pub window_start: SystemTime,
}

/// The counters are closed; the increment was not counted.
///
/// # Examples
///
/// ```
/// use buffer_stat::{Closed, StatBuffer};
///
/// /// A visit that comes after the end is not worth an error.
/// fn count(visits: &StatBuffer<String>, page: &str) {
///     if let Err(Closed) = visits.increment(page, 1) {
///         eprintln!("{page} was visited too late to be counted");
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the counters are closed; this increment was not counted")]
pub struct Closed;

/// Counters by key: increments are summed in memory and flushed once a window.
///
/// Clones are handles to the same counters. When the last one is dropped, the sums drain like the items of a
/// [`Buffer`].
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, Flush, FlushError, async_trait};
/// use buffer_stat::{Count, StatBuffer};
///
/// struct Database;
///
/// #[async_trait]
/// impl Flush<Count<String>> for Database {
///     async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
///         for Count { key, delta, .. } in batch.iter() {
///             println!("{key} += {delta}");
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let views = StatBuffer::builder().build(Database)?;
/// views.increment("/index.html", 2)?;
/// views.increment("/index.html", -1)?;
/// assert_eq!(views.count("/index.html"), 1);
/// assert_eq!(views.close().await.ledger.delivered, 1);
/// # Ok(())
/// # }
/// ```
pub struct StatBuffer<K> {
    pub(crate) counters: Arc<Counters<K>>,
}

/// What all clones of a [`StatBuffer`] hold.
pub(crate) struct Counters<K> {
    pub(crate) windows: Arc<Windows<K>>,
    pub(crate) buffer: Buffer<Count<K>>,
}

/// The sums of the running window, and what is known of it. The buffer's `last_items` holds it too.
pub(crate) struct Windows<K> {
    pub(crate) sums: Sums<K>,
    /// Held during a hand-over, so that a close sees the sums in the tables or in the buffer and never between.
    current: Mutex<Window>,
}

struct Window {
    /// How many windows were handed over before.
    number: u64,
    begun: Option<SystemTime>,
    /// The begin of the last window that was handed over.
    last: SystemTime,
    /// Where the next window's hand-over begins among the counts, so that it is not always the same keys that find no room:
    /// they come in about the same order each time.
    begin_at: usize,
}

impl<K: Hash + Eq + Clone + Send + 'static> StatBuffer<K> {
    /// Adds `n` to the sum of `key`, which may be negative. The key is cloned only when it is new in this window.
    ///
    /// # Errors
    ///
    /// [`Closed`] after the close: the increment was not counted.
    ///
    /// # Panics
    ///
    /// When the key's `Hash`, `Eq` or `ToOwned` does; the sums stay as they were.
    ///
    /// # Examples
    ///
    /// See the [crate's page](crate).
    pub fn increment<Q>(&self, key: &Q, n: i64) -> Result<(), Closed>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let windows = &self.counters.windows;
        match windows.sums.add(key, n) {
            Ok(Added::ToTable) => {}
            Ok(Added::FirstOfTable) => {
                windows.begin();
                windows.sums.wake.notify_one();
            }
            Err(TablesClosed) => return Err(Closed),
        }
        Ok(())
    }

    /// The sum of `key` in the running window, without what was already handed to the buffer.
    ///
    /// A sum beyond the range of `i64` is shown as the nearest end of it, and is flushed exactly.
    pub fn count<Q>(&self, key: &Q) -> i64
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        fitting(self.counters.windows.sums.sum(key))
    }

    /// Ends the window and waits until its counts are settled; says what became of them.
    ///
    /// In an outage it waits.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was handed over is flushed, the rest goes on summing.
    pub async fn flush(&self) -> FlushReport {
        let mut report = FlushReport::default();
        loop {
            let all = self.counters.hand_over();
            report += self.counters.buffer.flush().await;
            if all == HandedOver::All {
                return report;
            }
        }
    }

    /// Ends the window without waiting for its counts. What finds no room in the buffer stays in the next window.
    pub fn request_flush(&self) {
        self.counters.hand_over();
    }

    /// Closes the counters, waits until everything is settled or `drain_timeout` has passed, and returns what is left.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on; what its deadline leaves is then dropped, with the reason `drain_timeout`.
    pub async fn close(&self) -> Summary<Count<K>> {
        self.counters.buffer.close().await
    }

    /// Like [`close`](StatBuffer::close), with a time limit of its own.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](StatBuffer::close).
    pub async fn close_within(&self, limit: Duration) -> Summary<Count<K>> {
        self.counters.buffer.close_within(limit).await
    }

    /// The ledger of the counts that were handed to the buffer.
    pub fn ledger(&self) -> Ledger {
        self.counters.buffer.ledger()
    }
}

impl<K> Clone for StatBuffer<K> {
    fn clone(&self) -> Self {
        Self {
            counters: Arc::clone(&self.counters),
        }
    }
}

impl<K> fmt::Debug for StatBuffer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatBuffer")
            .field("buffer", &self.counters.buffer)
            .finish_non_exhaustive()
    }
}

/// How much of a window found room in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandedOver {
    All,
    Part,
}

impl<K: Hash + Eq + Clone + Send + 'static> Counters<K> {
    /// Ends the window: moves its sums to the buffer, and back what there is no room for.
    ///
    /// There is no await between the two, so no sum can be lost on the way.
    pub(crate) fn hand_over(&self) -> HandedOver {
        let Windows { sums, current } = &*self.windows;
        let mut window = current.lock();
        let (mut counts, mut rest) = counts(sums.take(), window.turn());
        let all = counts.len();
        if all > 0 {
            counts.rotate_left(window.begin_at % all);
        }
        self.insert_what_fits(&mut counts);
        window.begin_at = window.begin_at.wrapping_add(all - counts.len());
        self.buffer.request_flush();
        rest.extend(counts.into_iter().map(|count| (count.key, count.delta.into())));
        if rest.is_empty() {
            return HandedOver::All;
        }
        sums.add_back(rest);
        HandedOver::Part
    }

    /// Inserts into one partition after the other, until none has room; the rest stays in `counts`.
    fn insert_what_fits(&self, counts: &mut Vec<Count<K>>) {
        loop {
            let before = counts.len();
            if self.buffer.try_insert_batch(counts).is_ok() || counts.len() == before {
                return;
            }
        }
    }
}

impl<K: Hash + Eq + Clone> Windows<K> {
    pub(crate) fn new(sums: Sums<K>) -> Self {
        let window = Window {
            number: 0,
            begun: None,
            last: SystemTime::UNIX_EPOCH,
            begin_at: 0,
        };
        Self {
            sums,
            current: Mutex::new(window),
        }
    }

    /// Notes the begin of a window, if it is one; returns the window's number.
    pub(crate) fn begin(&self) -> u64 {
        let mut window = self.current.lock();
        window.begun.get_or_insert_with(SystemTime::now);
        window.number
    }

    /// The number of the running window.
    pub(crate) fn number(&self) -> u64 {
        self.current.lock().number
    }

    /// The last window's counts; no increment is accepted any more.
    pub(crate) fn last_counts(&self) -> Vec<Count<K>> {
        let mut window = self.current.lock();
        let (mut last, mut rest) = counts(self.sums.take_last(), window.turn());
        while !rest.is_empty() {
            let (mut more, still) = counts(rest, window.turn());
            last.append(&mut more);
            rest = still;
        }
        last
    }
}

impl Window {
    /// Ends the window and says when it began, always later than the one before, whatever the system's clock does.
    fn turn(&mut self) -> SystemTime {
        self.number += 1;
        let begun = self.begun.take().unwrap_or_else(SystemTime::now);
        self.last = begun.max(self.last + Duration::from_nanos(1));
        self.last
    }
}

/// The counts of a window, without the sums that came to zero, and what did not fit into them.
fn counts<K: Clone>(
    sums: impl IntoIterator<Item = (K, i128)>,
    window_start: SystemTime,
) -> (Vec<Count<K>>, Vec<(K, i128)>) {
    let (mut counts, mut rest) = (Vec::new(), Vec::new());
    for (key, sum) in sums {
        let delta = fitting(sum);
        if sum != i128::from(delta) {
            rest.push((key.clone(), sum - i128::from(delta)));
        }
        if delta != 0 {
            counts.push(Count {
                key,
                delta,
                window_start,
            });
        }
    }
    (counts, rest)
}

/// The part of a sum that fits.
fn fitting(sum: i128) -> i64 {
    let nearest = if sum < 0 { i64::MIN } else { i64::MAX };
    i64::try_from(sum).unwrap_or(nearest)
}
