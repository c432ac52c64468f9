//! Names the primitives that the state machines stand on: what production uses, and what the loom models put in its place.

#[cfg(not(buffer_loom))]
mod production {
    pub(crate) use crate::home_lock::{HomeGuard, HomeLock};
    pub(crate) use crossbeam_queue::SegQueue as Queue;
    pub(crate) use parking_lot::Mutex;
    pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
    pub(crate) use tokio::sync::Notify;
}

#[cfg(not(buffer_loom))]
pub(crate) use production::*;

/// The same names on loom's primitives. The queue is a locked one: crossbeam's own correctness is crossbeam's to prove.
#[cfg(buffer_loom)]
mod model {
    use std::collections::VecDeque;
    use std::ops::{Deref, DerefMut};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};

    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    /// The lock itself is its crate's to prove, and how it waits changes no order of steps.
    pub(crate) type HomeLock<T> = Mutex<T>;
    pub(crate) type HomeGuard<'a, T> = MutexGuard<'a, T>;

    pub(crate) struct MutexGuard<'a, T>(loom::sync::MutexGuard<'a, T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(self.0.lock().expect("a model that panics has failed already"))
        }

        pub(crate) fn lock_first(&self) -> MutexGuard<'_, T> {
            self.lock()
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(MutexGuard)
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

    impl<T> Queue<T> {
        pub(crate) fn new() -> Self {
            Self(Mutex::new(VecDeque::new()))
        }

        pub(crate) fn push(&self, value: T) {
            self.0.lock().push_back(value);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.lock().pop_front()
        }
    }

    /// tokio's Notify, reduced to its permit and its calls to all that wait; a `Notified` blocks the model's thread.
    pub(crate) struct Notify(loom::sync::Mutex<Calls>, loom::sync::Condvar);

    #[derive(Clone, Copy)]
    struct Calls {
        permit: bool,
        to_all: usize,
    }

    impl Notify {
        pub(crate) fn new() -> Self {
            let calls = Calls {
                permit: false,
                to_all: 0,
            };
            Self(loom::sync::Mutex::new(calls), loom::sync::Condvar::new())
        }

        fn calls(&self) -> loom::sync::MutexGuard<'_, Calls> {
            self.0.lock().expect("a model that panics has failed already")
        }

        pub(crate) fn notify_one(&self) {
            self.calls().permit = true;
            self.1.notify_one();
        }

        /// Leaves no permit: whoever listens later has missed it.
        pub(crate) fn notify_waiters(&self) {
            self.calls().to_all += 1;
            self.1.notify_all();
        }

        /// Listens from now on, as tokio's does.
        pub(crate) fn notified(&self) -> Notified<'_> {
            let before = self.calls().to_all;
            Notified { notify: self, before }
        }
    }

    pub(crate) struct Notified<'a> {
        notify: &'a Notify,
        before: usize,
    }

    impl Notified<'_> {
        /// It listens to calls to all as soon as it is made.
        pub(crate) fn enable(self: Pin<&mut Self>) {}
    }

    impl Future for Notified<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let mut calls = self.notify.calls();
            while !calls.permit && calls.to_all == self.before {
                let woken = self.notify.1.wait(calls);
                calls = woken.expect("a model that panics has failed already");
            }
            if calls.to_all == self.before {
                calls.permit = false;
            }
            Poll::Ready(())
        }
    }
}

#[cfg(buffer_loom)]
pub(crate) use model::*;
