//! Picks the partition for the next item.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Hands threads their home partitions round-robin, and names the others in the order in which to try them.
///
/// A thread stays at home, so that its partition's lock is uncontended and its batches fill up; only when home is taken
/// or full does an item go to the next partition. No cursor is shared between threads on the way of an item.
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
#[derive(Debug, Clone)]
pub struct Router {
    partitions: NonZeroUsize,
}

/// The number that the next thread gets.
static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Relaxed: only uniqueness matters, nothing is published with the number.
    static THREAD: usize = THREADS.fetch_add(1, Relaxed);
}

impl Router {
    /// A router over `partitions` partitions, counted from 0.
    pub fn new(partitions: NonZeroUsize) -> Self {
        Self { partitions }
    }

    /// The number of partitions.
    pub fn partitions(&self) -> usize {
        self.partitions.get()
    }

    /// The calling thread's home partition.
    ///
    /// Threads are numbered at their first use of any router, so that consecutive threads have different homes. A thread
    /// that is being destroyed, and has no number any more, is at home in partition 0.
    pub fn home(&self) -> usize {
        THREAD.try_with(|thread| *thread % self.partitions).unwrap_or(0)
    }

    /// Every partition once, the calling thread's home first.
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (home, partitions) = (self.home(), self.partitions.get());
        (home..partitions).chain(0..home)
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
