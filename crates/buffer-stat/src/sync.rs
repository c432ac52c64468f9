//! Names the primitives that the sums stand on: what production uses, and what the loom models put in its place.

#[cfg(not(buffer_loom))]
mod production {
    pub(crate) use buffer_core::{HomeGuard, HomeLock};
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    pub(crate) use tokio::sync::Notify;

    /// How often to look at a lock that will soon be free: for about as long as a take holds it.
    pub(crate) const SPINS: usize = 64;
}

#[cfg(not(buffer_loom))]
pub(crate) use production::*;

/// The same names on loom's primitives. Nobody waits in the models, so a wake-up is nothing there.
#[cfg(buffer_loom)]
mod model {
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    pub(crate) use loom::hint::spin_loop;
    pub(crate) use loom::sync::MutexGuard;

    /// Looking twice shows no more than looking once.
    pub(crate) const SPINS: usize = 1;

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    pub(crate) type HomeLock<T> = Mutex<T>;
    pub(crate) type HomeGuard<'a, T> = MutexGuard<'a, T>;

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panics has failed already")
        }

        pub(crate) fn lock_first(&self) -> MutexGuard<'_, T> {
            self.lock()
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    pub(crate) struct Notify;

    impl Notify {
        pub(crate) fn new() -> Self {
            Self
        }

        pub(crate) fn notify_one(&self) {}
    }
}

#[cfg(buffer_loom)]
pub(crate) use model::*;
