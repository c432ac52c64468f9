//! Picks the partition for the next item.

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::routing::{KeyHash, Routing};

/// Where an item may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Route {
    /// Home, or the next that has room.
    Anywhere,
    To(usize),
}

impl Route {
    pub(crate) fn leads_to(self, index: usize) -> bool {
        self == Self::Anywhere || self == Self::To(index)
    }
}

/// Hands threads their home partitions round-robin, and names the others in the order in which to try them.
///
/// A thread stays at home, so that its partition's lock is uncontended and its batches fill up. When its home is locked or full,
/// it moves to the next partition that is neither. So threads with the same home part ways, and a thread that is ahead of its
/// worker goes on with the next one. An insert uses no cursor that threads share.
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
    /// Tells it apart from the others in the process.
    number: usize,
    partitions: NonZeroUsize,
    /// The turns taken by [`Routing::PerCall`]; nothing else touches it.
    turns: AtomicUsize,
}

/// The number that the next router gets; none has zero.
static ROUTERS: AtomicUsize = AtomicUsize::new(1);

/// The number that the next thread gets.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The number of routers whose home a thread remembers.
const REMEMBERED: usize = 8;

thread_local! {
    // Relaxed: only uniqueness matters, nothing is published with the number.
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);

    /// A router's home is at its number, modulo the length.
    static HOMES: [Cell<Home>; REMEMBERED] = const { [const { Cell::new(Home { router: 0, index: 0 }) }; REMEMBERED] };
}

/// The thread's home in a router. It is remembered because the thread may have moved, and to spare a division.
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

    /// Makes another partition the calling thread's home, until the thread moves again. A thread that uses other routers may forget
    /// that it moved.
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

    pub(crate) fn partition_of<T>(&self, hash: &KeyHash<T>, item: &T) -> usize {
        (hash.of(item) % self.partitions.get() as u64) as usize
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
