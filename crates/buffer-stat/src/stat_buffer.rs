//! The handle: increments, reads and the close.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Health, Ledger, Stats, Summary};

use crate::changes::Changes;
use crate::count::{Count, fitting};
use crate::counters::Counters;
use crate::error::{IncrementError, IncrementManyError};
use crate::sync::Ordering::Relaxed;
use crate::tallies::Tallies;
use crate::window::WindowTallies;

/// Counters by key: increments are summed in memory and flushed once a window.
///
/// Clones are handles to the same counters. When the last one is dropped, the sums drain like the items of a
/// [`Buffer`](buffer_core::Buffer).
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

impl<K: Hash + Eq + Clone + Send + 'static> StatBuffer<K> {
    /// Adds `n`, which may be negative, to the sum of `key`. The key is cloned only when it is new in a partition; a busy key keeps
    /// its place from window to window. A sum may leave the range of `i64`.
    ///
    /// A `String` key is given as `&str`. A key of another type (a number, a tuple, `Arc<str>`, `&'static str`) is given by reference,
    /// such as `increment(&(route, 200), 1)`.
    ///
    /// # Errors
    ///
    /// An [`IncrementError`]: the increment was not counted.
    ///
    /// # Panics
    ///
    /// If the key's `Hash`, `Eq` or `ToOwned` panics; the sums stay as they were.
    ///
    /// # Examples
    ///
    /// See the [crate's page](crate).
    #[inline]
    pub fn increment<Q>(&self, key: &Q, n: i64) -> Result<(), IncrementError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let windows = &self.counters.windows;
        windows.note(windows.sums.add(key, n)?);
        Ok(())
    }

    /// Adds to several sums at once, which takes fewer locks; a key may occur more than once.
    ///
    /// # Errors
    ///
    /// An [`IncrementManyError`], which says how many of them were counted.
    ///
    /// # Panics
    ///
    /// As for [`increment`](StatBuffer::increment); the increments before the one that panics may be counted.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Flush, FlushError, async_trait};
    /// # use buffer_stat::{Count, StatBuffer};
    /// # struct Database;
    /// # #[async_trait]
    /// # impl Flush<Count<String>> for Database {
    /// #     async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let views = StatBuffer::builder().build(Database)?;
    /// views.increment_many(&[("/index.html", 1), ("/about.html", 1), ("/index.html", 3)])?;
    /// assert_eq!(views.count("/index.html"), 4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn increment_many<Q>(&self, increments: &[(&Q, i64)]) -> Result<(), IncrementManyError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let windows = &self.counters.windows;
        let mut changes = Changes::default();
        let add = AssertUnwindSafe(|| windows.sums.add_many(increments, &mut changes));
        let counted = catch_unwind(add);
        // The increments before a panic are counted, and nothing else tells of them.
        windows.note(changes);
        counted.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The sum of `key` in the running window, without counts that are already on their way to the sink.
    ///
    /// A sum beyond the range of `i64` is shown as the nearest end of the range, but flushed exactly. It is looked for in every partition,
    /// under the locks that increments take: do not ask with each increment.
    pub fn count<Q>(&self, key: &Q) -> i64
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        fitting(self.counters.windows.sums.sum(key))
    }

    /// What is counted of `key` and not settled: [`count`](StatBuffer::count) plus what is on its way to the sink.
    ///
    /// It waits for a running hand-over, so use it for an occasional look, not for every request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Flush, FlushError, async_trait};
    /// # use buffer_stat::{Count, StatBuffer};
    /// # struct Database;
    /// # #[async_trait]
    /// # impl Flush<Count<String>> for Database {
    /// #     async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let views = StatBuffer::builder().build(Database)?;
    /// views.increment("/index.html", 2)?;
    /// views.request_flush();
    /// views.increment("/index.html", 1)?;
    /// assert_eq!((views.count("/index.html"), views.outstanding("/index.html")), (1, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn outstanding<Q>(&self, key: &Q) -> i64
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        fitting(self.counters.windows.outstanding(key))
    }

    /// Closes the counters, waits until everything is settled or `drain_timeout` has passed, and returns what is left.
    ///
    /// Keep the key and the delta of each returned count: the next process [increments](StatBuffer::increment) by them. If the
    /// deadline cut off their last attempt, they may have been written already.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on; what its deadline leaves is then dropped, with the reason `drain_timeout`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use buffer_core::{Batch, Flush, FlushError, async_trait};
    /// # use buffer_stat::{Count, StatBuffer};
    /// # struct Out;
    /// # #[async_trait]
    /// # impl Flush<Count<String>> for Out {
    /// #     async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> { Err(FlushError::unavailable("refused")) }
    /// # }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (views, next) = (StatBuffer::builder().build(Out)?, StatBuffer::builder().build(Out)?);
    /// views.increment("/index.html", 3)?;
    /// let kept = views.close().await.undelivered;
    ///
    /// // In the next process:
    /// for count in &kept {
    ///     next.increment(&count.key, count.delta)?;
    /// }
    /// assert_eq!(next.count("/index.html"), 3);
    /// # next.close_within(Duration::ZERO).await;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Whether the sink takes counts; if not, since when and why. Increments go on all the same.
    pub fn health(&self) -> Health {
        self.counters.buffer.health()
    }

    /// Whether the counters are closed: by a close, by the drop of the last handle or by the end of their runtime. Increments are
    /// refused as soon as the last sums are taken.
    pub fn is_closed(&self) -> bool {
        self.counters.buffer.is_closed()
    }

    /// The ledger of the counts that were handed to the buffer.
    ///
    /// Counts that went back into the sums are returned there, as are those that a close hands back; [`Tallies::merged_back`] counts
    /// only the former.
    pub fn ledger(&self) -> Ledger {
        self.counters.buffer.ledger()
    }

    /// What the buffer of the counts did since it was built: its ledger, its attempts, and what sealed its batches.
    ///
    /// # Examples
    ///
    /// See [`Stats`].
    pub fn stats(&self) -> Stats {
        self.counters.buffer.stats()
    }

    /// The name of the buffer of the counts, which is set by [`StatBuilder::buffer`](crate::StatBuilder::buffer).
    pub fn name(&self) -> &str {
        self.counters.buffer.name()
    }

    /// What the ledger does not show.
    ///
    /// # Examples
    ///
    /// See [`Tallies`].
    pub fn tallies(&self) -> Tallies {
        let windows = &self.counters.windows;
        let WindowTallies {
            merged_back,
            ended_early,
        } = windows.tallies();
        let places = &windows.sums.places;
        Tallies {
            merged_back,
            ended_early,
            // Relaxed: numbers to look at.
            folded: places.folded.load(Relaxed),
            refused: places.refused.load(Relaxed),
        }
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
