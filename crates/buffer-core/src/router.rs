//! Picks the partition for the next item.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How a buffer chooses the partition of an item.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, async_trait};
/// use buffer_core::Routing;
///
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BuildError> {
/// let evenly = Buffer::builder().routing(Routing::PerCall).build(Nowhere)?;
/// let in_order_by_key = Buffer::builder().routing(Routing::by_key(|item: &u32| item)).build(Nowhere)?;
/// # drop((evenly, in_order_by_key));
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[non_exhaustive]
pub enum Routing<T> {
    /// The thread's home partition, which is another one after it was taken or full. The fastest, with the fullest batches.
    #[default]
    ThreadHome,
    /// Strictly one partition after the other, from insert to insert; waits where its turn is full. The partitions are filled
    /// evenly, and all threads share the cursor.
    PerCall,
    /// The partition that the item's key hashes to; waits where that is full. Items of one key leave in order.
    ///
    /// Made by [`Routing::by_key`] or [`Routing::by_hash`].
    ByKey(KeyHash<T>),
}

/// Hashes the key of an item; see [`Routing::by_key`] and [`Routing::by_hash`].
///
/// # Examples
///
/// ```
/// use buffer_core::Routing;
///
/// let routing = Routing::by_key(|user: &String| user);
/// assert!(matches!(routing, Routing::ByKey(_)));
/// ```
pub struct KeyHash<T>(Arc<dyn Fn(&T) -> u64 + Send + Sync>);

impl<T> Routing<T> {
    /// Routes by the key that `key` finds in an item. A key that is made of several fields, or computed, goes by
    /// [`by_hash`](Routing::by_hash).
    ///
    /// `key` runs on the inserting thread, and must name the same key for an item every time.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, Routing, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<Event> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<Event>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// struct Event {
    ///     user: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BuildError> {
    /// let buffer = Buffer::builder().routing(Routing::by_key(|event: &Event| &event.user)).build(Nowhere)?;
    /// # drop(buffer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn by_key<K: Hash + ?Sized>(key: impl Fn(&T) -> &K + Send + Sync + 'static) -> Self {
        // A fixed seed: the same key goes to the same partition in every process.
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Self::by_hash(move |item| hasher.hash_one(key(item)))
    }

    /// Routes by a hash of the item's key: items of equal hash leave in order.
    ///
    /// `hash` runs on the inserting thread, and must come to the same for equal keys every time. The partition is its remainder by
    /// their number.
    ///
    /// # Examples
    ///
    /// By two fields, of which one is compared without case:
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, Routing, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<Event> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<Event>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    ///
    /// struct Event {
    ///     tenant: u32,
    ///     user: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BuildError> {
    /// // A fixed seed: the same key goes to the same partition in every process.
    /// let hasher = BuildHasherDefault::<DefaultHasher>::default();
    /// let by_user = Routing::by_hash(move |event: &Event| hasher.hash_one((event.tenant, event.user.to_lowercase())));
    /// let buffer = Buffer::builder().routing(by_user).build(Nowhere)?;
    /// # drop(buffer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn by_hash(hash: impl Fn(&T) -> u64 + Send + Sync + 'static) -> Self {
        Self::ByKey(KeyHash(Arc::new(hash)))
    }
}

impl<T> fmt::Debug for Routing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThreadHome => "ThreadHome",
            Self::PerCall => "PerCall",
            Self::ByKey(_) => "ByKey(..)",
        })
    }
}

impl<T> fmt::Debug for KeyHash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// Where an item may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Home, or the next that has room.
    Anywhere,
    To(usize),
}

/// Hands threads their home partitions round-robin, and names the others in the order in which to try them.
///
/// A thread stays at home, so that its partition's lock is uncontended and its batches fill up. Where home is taken or full it
/// moves to the next partition that is neither, so that threads that got the same home part, and one that is ahead of its worker
/// goes on with the next one. No cursor is shared between threads on the way of an item.
///
/// # Examples
///
/// ```
/// use std::num::NonZeroUsize;
/// use buffer_core::Router;
///
/// let router = Router::new(NonZeroUsize::new(4).ok_or("zero")?);
/// let home = router.home();
/// assert_eq!(router.home(), home);
/// let order: Vec<usize> = router.order().collect();
/// assert_eq!(order[0], home);
/// assert_eq!(order.len(), 4);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug)]
pub struct Router {
    /// Tells it from the others of the process.
    number: usize,
    partitions: NonZeroUsize,
    /// The turns taken by [`Routing::PerCall`], which alone touches it.
    turns: AtomicUsize,
}

/// The number that the next router gets; none has zero.
static ROUTERS: AtomicUsize = AtomicUsize::new(1);

/// The number that the next thread gets.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Of how many routers a thread remembers where it is at home.
const REMEMBERED: usize = 8;

thread_local! {
    // Relaxed: only uniqueness matters, nothing is published with the number.
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);

    /// A router's home is at its number, modulo the length.
    static HOMES: [Cell<Home>; REMEMBERED] = const { [const { Cell::new(Home { router: 0, index: 0 }) }; REMEMBERED] };
}

/// Where the thread is at home in the partitions of a router: it may have moved, and the number's division is spared.
#[derive(Clone, Copy)]
struct Home {
    router: usize,
    index: usize,
}

impl Router {
    /// A router over `partitions` partitions, counted from 0.
    pub fn new(partitions: NonZeroUsize) -> Self {
        Self {
            // Relaxed: only uniqueness matters.
            number: ROUTERS.fetch_add(1, Relaxed),
            partitions,
            turns: AtomicUsize::new(0),
        }
    }

    /// The number of partitions.
    pub fn partitions(&self) -> usize {
        self.partitions.get()
    }

    /// The calling thread's home partition.
    ///
    /// Threads are numbered at their first use of any router, so that consecutive threads have different homes until they move.
    #[inline]
    pub fn home(&self) -> usize {
        HOMES.with(|homes| {
            let home = &homes[self.number % REMEMBERED];
            let Home { router, index } = home.get();
            if router == self.number {
                index
            } else {
                self.first_home(home)
            }
        })
    }

    #[cold]
    fn first_home(&self, home: &Cell<Home>) -> usize {
        let index = THREAD.with(|thread| *thread) % self.partitions;
        home.set(Home {
            router: self.number,
            index,
        });
        index
    }

    /// Makes another partition the calling thread's home, until it moves again. It may forget that it moved when it
    /// uses other routers.
    ///
    /// # Panics
    ///
    /// If there is no such partition.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::num::NonZeroUsize;
    /// use buffer_core::Router;
    ///
    /// let router = Router::new(NonZeroUsize::new(4).ok_or("zero")?);
    /// let next = (router.home() + 1) % router.partitions();
    /// router.move_home(next);
    /// assert_eq!(router.home(), next);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn move_home(&self, index: usize) {
        assert!(index < self.partitions(), "there is no partition {index}");
        let home = Home {
            router: self.number,
            index,
        };
        HOMES.with(|homes| homes[self.number % REMEMBERED].set(home));
    }

    /// Every partition once, the calling thread's home first.
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (home, partitions) = (self.home(), self.partitions.get());
        (home..partitions).chain(0..home)
    }

    /// Where `item` may go.
    pub(crate) fn route<T>(&self, routing: &Routing<T>, item: &T) -> Route {
        match routing {
            Routing::ThreadHome => Route::Anywhere,
            Routing::PerCall => self.turn(),
            Routing::ByKey(hash) => Route::To(self.partition_of(hash, item)),
        }
    }

    /// The next turn.
    pub(crate) fn turn(&self) -> Route {
        // Relaxed: the number alone matters.
        Route::To(self.turns.fetch_add(1, Relaxed) % self.partitions)
    }

    pub(crate) fn partition_of<T>(&self, KeyHash(hash): &KeyHash<T>, item: &T) -> usize {
        (hash(item) % self.partitions.get() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(partitions: usize) -> Router {
        Router::new(NonZeroUsize::new(partitions).expect("not zero"))
    }

    #[test]
    fn every_partition_is_tried_once_starting_at_home() {
        let router = router(5);
        let order: Vec<usize> = router.order().collect();
        assert_eq!(order[0], router.home());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_thread_that_moves_stays_there_and_is_at_home_elsewhere_as_before() {
        let (moved, other) = (router(5), router(5));
        let home = moved.home();
        moved.move_home((home + 1) % 5);
        assert_eq!((moved.home(), other.home()), ((home + 1) % 5, home));
        assert_eq!(moved.order().next(), Some((home + 1) % 5));
    }

    #[test]
    fn new_threads_are_spread_over_all_partitions() {
        let router = router(4);
        let mut homes = [0; 4];
        for _ in 0..64 {
            let home = std::thread::scope(|scope| scope.spawn(|| router.home()).join());
            homes[home.expect("home does not panic")] += 1;
        }
        // Other tests of this process may take numbers in between, so the split need not be exact.
        assert!(homes.iter().all(|threads| *threads > 0), "{homes:?}");
    }
}
