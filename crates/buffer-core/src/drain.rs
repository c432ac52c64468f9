//! The end of a buffer: its deadline, the workers that still drain, and who gets what they leave.
//!
//! Invariants
//! 1. What a worker leaves is handed over before the worker counts as gone.
//! 2. Leftovers are claimed once: by a waiter, or, when nobody waits, by whoever notices that first: the finish or the
//!    last waiter that gives up.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::flush::FlushError;
use crate::sync::{Mutex, Notify};

/// The state of the end.
pub(crate) struct Drain<T> {
    deadline: watch::Sender<Option<Instant>>,
    end: Mutex<End<T>>,
    finished: Notify,
}

struct End<T> {
    working: usize,
    waiting: usize,
    left: Vec<Left<T>>,
    sink_error: Option<FlushError>,
    finished: bool,
}

/// What one partition's worker could not deliver in time.
#[derive(Debug)]
pub(crate) struct Left<T> {
    pub(crate) partition: usize,
    pub(crate) items: Vec<T>,
}

impl<T> Drain<T> {
    pub(crate) fn new(workers: usize) -> Self {
        let end = End {
            working: workers,
            waiting: 0,
            left: Vec::new(),
            sink_error: None,
            finished: false,
        };
        Self {
            deadline: watch::Sender::new(None),
            end: Mutex::new(end),
            finished: Notify::new(),
        }
    }

    /// Sets the deadline, or brings it forward. Says whether this is the begin of the drain.
    pub(crate) fn begin(&self, deadline: Instant) -> bool {
        let mut first = false;
        self.deadline.send_if_modified(|current| {
            first = current.is_none();
            let sooner = current.is_none_or(|current| deadline < current);
            if sooner {
                *current = Some(deadline);
            }
            sooner
        });
        first
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        *self.deadline.borrow()
    }

    /// Resolves when the drain has begun.
    pub(crate) async fn begun(&self) {
        // An error would mean that the sender is gone, and this very struct owns it.
        let _ = self.deadline.subscribe().wait_for(Option::is_some).await;
    }

    /// Resolves when the deadline has passed; without a drain it never does.
    pub(crate) async fn deadline_passed(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let current = *deadline.borrow_and_update();
            let changed = deadline.changed();
            match current {
                None => drop(changed.await),
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    _ = changed => {}
                },
            }
        }
    }

    /// A worker goes and leaves `left`. Says whether it is the last, which then closes the sink and calls `finish`.
    pub(crate) fn leave(&self, left: Left<T>) -> bool {
        let mut end = self.end.lock();
        if !left.items.is_empty() {
            end.left.push(left);
        }
        end.working -= 1;
        end.working == 0
    }

    /// The sink is closed. Returns the leftovers that nobody waits for.
    pub(crate) fn finish(&self, sink_error: Option<FlushError>) -> Vec<Left<T>> {
        let unclaimed = {
            let mut end = self.end.lock();
            end.sink_error = sink_error;
            end.finished = true;
            end.take_unclaimed()
        };
        self.finished.notify_waiters();
        unclaimed
    }

    /// Registers a waiter, which owes one `unregister`.
    pub(crate) fn register(&self) {
        self.end.lock().waiting += 1;
    }

    /// A waiter goes. Returns the leftovers that now nobody waits for.
    pub(crate) fn unregister(&self) -> Vec<Left<T>> {
        let mut end = self.end.lock();
        end.waiting -= 1;
        end.take_unclaimed()
    }

    /// A registered waiter takes what is left.
    pub(crate) fn claim(&self) -> (Vec<Left<T>>, Option<FlushError>) {
        let mut end = self.end.lock();
        let mut left = std::mem::take(&mut end.left);
        left.sort_by_key(|left| left.partition);
        (left, end.sink_error.take())
    }

    /// Waits for `finish`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    #[cfg(not(buffer_loom))]
    pub(crate) async fn finished(&self) {
        loop {
            let mut finished = std::pin::pin!(self.finished.notified());
            finished.as_mut().enable();
            if self.end.lock().finished {
                return;
            }
            finished.await;
        }
    }

    #[cfg(buffer_loom)]
    pub(crate) async fn finished(&self) {
        while !self.end.lock().finished {
            self.finished.notified().await;
        }
    }
}

impl<T> End<T> {
    fn take_unclaimed(&mut self) -> Vec<Left<T>> {
        if self.finished && self.waiting == 0 {
            std::mem::take(&mut self.left)
        } else {
            Vec::new()
        }
    }
}
