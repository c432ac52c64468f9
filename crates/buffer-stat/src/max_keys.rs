//! The bound on the number of keys, and what becomes of a key beyond it.

use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering::Relaxed};

/// What becomes of an increment of a new key when there are already [`max_keys`](crate::StatBuilder::max_keys).
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, BuildError, Flush, FlushError, async_trait};
/// # use buffer_stat::{Count, StatBuffer};
/// use buffer_stat::MaxKeys;
///
/// # struct Database;
/// # #[async_trait]
/// # impl Flush<Count<String>> for Database {
/// #     async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let views = StatBuffer::builder()
///     .max_keys(1, MaxKeys::FoldInto("other".to_owned()))
///     .build(Database)?;
/// views.increment("/index.html", 1)?;
/// views.increment("/about.html", 1)?;
/// assert_eq!(views.count("other"), 1);
/// assert_eq!(views.tallies().folded, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MaxKeys<K> {
    /// It is counted, and the window ends early, so that keys lose their places. This is the default.
    ///
    /// No increment is lost, so the bound is not a hard one: while the sink is down, keys stay, and more may come;
    /// and so they may where new keys come faster than their sums can be handed over.
    #[default]
    FlushEarly,
    /// It is counted under this key instead. The key is let in beyond the bound, and counts towards it while it is in use.
    FoldInto(K),
    /// It is refused, with [`IncrementError::TooManyKeys`](crate::IncrementError::TooManyKeys).
    Refuse,
}

/// The bound, and the places taken.
///
/// A key that was incremented in several partitions takes a place in each.
pub(crate) struct Places<K> {
    most: usize,
    /// Locked, so that a key need not be `Sync`; only increments beyond the bound take the lock.
    pub(crate) beyond: Mutex<MaxKeys<K>>,
    /// Relaxed throughout: the number alone matters, and a place is taken in one step.
    taken: AtomicUsize,
    /// Increments that went to the overflow key.
    pub(crate) folded: AtomicU64,
    /// Increments that were refused.
    pub(crate) refused: AtomicU64,
}

/// There is no place for another key.
pub(crate) struct NoPlace;

impl<K> Places<K> {
    pub(crate) fn new(most: usize, beyond: MaxKeys<K>) -> Self {
        Self {
            most,
            beyond: Mutex::new(beyond),
            taken: AtomicUsize::new(0),
            folded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Takes a place, if there is one.
    pub(crate) fn take(&self) -> Result<(), NoPlace> {
        if self.most == usize::MAX {
            return Ok(());
        }
        let taken = self
            .taken
            .fetch_update(Relaxed, Relaxed, |taken| (taken < self.most).then_some(taken + 1));
        taken.map(drop).map_err(|_| NoPlace)
    }

    /// Whether another key would find a place now.
    pub(crate) fn has_more(&self) -> bool {
        self.taken.load(Relaxed) < self.most
    }

    /// Takes a place beyond the bound.
    pub(crate) fn take_anyway(&self) {
        if self.most < usize::MAX {
            self.taken.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn give_back(&self, places: usize) {
        if self.most < usize::MAX && places > 0 {
            self.taken.fetch_sub(places, Relaxed);
        }
    }
}
