//! Locks data that one thread uses almost alone.

use std::fmt;
use std::hint::spin_loop;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use spin::mutex::{SpinMutex, SpinMutexGuard};

/// A lock for data at a thread's [home](crate::Router), which that thread uses almost alone and holds only briefly.
///
/// It is given back by a plain store. A lock that keeps a list of waiters has to look at the list instead: one more atomic step,
/// which is about half of an insert. The price is paid by a thread that finds the lock taken. One that can go elsewhere does so;
/// one that can't looks again a few times, lets other threads run, and then sleeps briefly, so that a preempted holder can go
/// on, whatever its priority.
///
/// If its holder panics, it is given back.
///
/// # Examples
///
/// ```
/// use buffer_core::HomeLock;
///
/// let sum = HomeLock::new(1);
/// *sum.lock() += 1;
/// let held = sum.lock();
/// assert!(sum.try_lock().is_none());
/// assert_eq!(*held, 2);
/// ```
#[derive(Default)]
#[repr(C)]
pub struct HomeLock<T> {
    /// Whether a thread asks others to make way. Relaxed throughout: it is a courtesy, and the lock itself orders what it guards. It
    /// comes first, by `repr(C)`, so that a thread at home finds it in the lock's cache line.
    wanted: AtomicBool,
    value: SpinMutex<T>,
}

/// Gives a [`HomeLock`] back when it is dropped.
///
/// # Examples
///
/// ```
/// use buffer_core::{HomeGuard, HomeLock};
///
/// fn push(mut list: HomeGuard<'_, Vec<u32>>) {
///     list.push(1);
/// }
/// let list = HomeLock::new(Vec::new());
/// push(list.lock());
/// assert_eq!(*list.lock(), [1]);
/// ```
#[must_use = "it gives the lock back when it is dropped"]
pub struct HomeGuard<'a, T>(SpinMutexGuard<'a, T>);

/// Whether threads that only try are to make way for the one that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    No,
    ForWay,
}

/// After this many, a holder that runs is through.
const LOOKS: u32 = 16;
/// After this many, a holder that was preempted has had its turn, if priorities let it.
const LOOKS_AND_YIELDS: u32 = LOOKS + 8;
const SLEEP: Duration = Duration::from_micros(50);

impl<T> HomeLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            wanted: AtomicBool::new(false),
            value: SpinMutex::new(value),
        }
    }

    /// Takes the lock unless it is taken; first makes way, but not for long, for a thread that [asks](HomeLock::lock_first) for it.
    #[inline]
    pub fn try_lock(&self) -> Option<HomeGuard<'_, T>> {
        if self.wanted.load(Relaxed) {
            self.make_way();
        }
        self.value.try_lock().map(HomeGuard)
    }

    /// A thread that takes the lock again and again has it so much nearer than others that they would hardly ever find it free.
    #[cold]
    fn make_way(&self) {
        for _ in 0..LOOKS {
            if !self.wanted.load(Relaxed) {
                return;
            }
            spin_loop();
        }
        // The thread that waits was preempted, and asks again.
        self.wanted.store(false, Relaxed);
    }

    /// Takes the lock, and blocks the thread until it can: for threads that come as often as those that try.
    ///
    /// It blocks for ever if this very thread holds the lock.
    #[inline]
    pub fn lock(&self) -> HomeGuard<'_, T> {
        let taken = self.value.try_lock();
        taken.map_or_else(|| self.wait(Asks::No), HomeGuard)
    }

    /// Takes the lock, and blocks the thread until it can, while threads that try make way: for those that come now and then.
    ///
    /// It blocks for ever if this very thread holds the lock.
    #[inline]
    pub fn lock_first(&self) -> HomeGuard<'_, T> {
        let taken = self.value.try_lock();
        taken.map_or_else(|| self.wait(Asks::ForWay), HomeGuard)
    }

    fn ask_for_way(&self) {
        if !self.wanted.load(Relaxed) {
            self.wanted.store(true, Relaxed);
        }
    }

    #[cold]
    fn wait(&self, asks: Asks) -> HomeGuard<'_, T> {
        let mut pauses = 0;
        let value = loop {
            match pauses {
                0..LOOKS => spin_loop(),
                LOOKS..LOOKS_AND_YIELDS => thread::yield_now(),
                _ => {
                    thread::sleep(SLEEP);
                    // To be there when others make way.
                    pauses = 0;
                }
            }
            pauses += 1;
            if asks == Asks::ForWay {
                self.ask_for_way();
            }
            // A look alone leaves the lock's cache line with its holder.
            if !self.value.is_locked()
                && let Some(value) = self.value.try_lock()
            {
                break value;
            }
        };
        if asks == Asks::ForWay {
            // Other threads that wait ask again.
            self.wanted.store(false, Relaxed);
        }
        HomeGuard(value)
    }
}

impl<T: fmt::Debug> fmt::Debug for HomeLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.try_lock() {
            Some(value) => f.debug_tuple("HomeLock").field(&*value).finish(),
            None => f.write_str("HomeLock(taken)"),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for HomeGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T> Deref for HomeGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for HomeGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn threads_that_wait_for_each_other_lose_nothing() {
        let sum = HomeLock::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..10_000).for_each(|_| *sum.lock() += 1));
                scope.spawn(|| (0..10_000).for_each(|_| *sum.lock_first() += 1));
                scope.spawn(|| {
                    let mut left = 10_000;
                    while left > 0 {
                        if let Some(mut sum) = sum.try_lock() {
                            *sum += 1;
                            left -= 1;
                        }
                    }
                });
            }
        });
        assert_eq!(*sum.lock(), 60_000);
    }

    #[test]
    fn whoever_made_way_in_vain_does_so_once() {
        let lock = HomeLock::new(1);
        lock.wanted.store(true, Relaxed);
        assert!(lock.try_lock().is_some());
        assert!(!lock.wanted.load(Relaxed));
    }

    #[test]
    fn whoever_waits_for_a_holder_that_sleeps_gets_it_in_the_end() {
        let lock = HomeLock::new(1);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let held = lock.lock();
            scope.spawn(|| {
                tell.send(lock.try_lock().is_none()).expect("the test waits");
                *lock.lock() += 1;
            });
            assert_eq!(told.recv(), Ok(true));
            // For longer than it looks and yields.
            (0..10_000).for_each(|_| thread::yield_now());
            assert_eq!(*held, 1);
            drop(held);
        });
        assert_eq!(*lock.lock(), 2);
    }

    #[test]
    fn a_panic_gives_it_back() {
        let lock = HomeLock::new(1);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock.lock();
            panic!("the holder's");
        }));
        assert!(panicked.is_err());
        assert_eq!(format!("{lock:?}"), "HomeLock(1)");
        assert_eq!(format!("{:?}", (lock.lock(), &lock)), "(1, HomeLock(taken))");
    }
}
