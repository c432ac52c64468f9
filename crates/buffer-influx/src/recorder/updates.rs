//! What the updates of all series have in common: they end the driver's rest, and those that are left out are counted.
//!
//! Invariants
//! 1. An update that the driver does not see when it looks finds the rest begun, and ends it. The driver begins the rest, then looks;
//!    an update changes its series, or the number of those left out, then asks for the rest. All four are sequentially consistent, or
//!    under the series's lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Shared by all series of a recorder and its driver.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    resting: AtomicBool,
    closed: AtomicBool,
    /// Wakes the driver: the rest is over, or the end has come.
    wake: Notify,
    // Sequentially consistent by invariant 1.
    non_finite: AtomicU64,
    refused: AtomicU64,
    /// What the log's last line said was left out.
    logged: Mutex<LeftOut>,
}

/// What one series tells of its updates.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    pub(crate) updates: Arc<Updates>,
    /// Whether the series reports the recorder's own buffer, which changes with every flush: it must not cause the next one.
    pub(crate) is_own: bool,
}

impl Reporter {
    /// The series has changed. By invariant 1 it must have changed before.
    pub(crate) fn changed(&self) {
        if !self.is_own {
            self.updates.end_rest();
        }
    }
}

/// Updates that were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) non_finite: u64,
    pub(crate) refused: u64,
}

/// The recorder's buffer is closed.
pub(crate) struct Closed;

impl Updates {
    fn end_rest(&self) {
        if self.resting.load(SeqCst) && self.resting.swap(false, SeqCst) {
            self.wake.notify_one();
        }
    }

    /// A value was not a number, or infinite.
    pub(crate) fn leave_out_non_finite(&self, values: u64) {
        self.non_finite.fetch_add(values, SeqCst);
        self.end_rest();
    }

    /// An update came to a series that can't be kept or written.
    pub(crate) fn leave_out_refused(&self, updates: u64) {
        self.refused.fetch_add(updates, SeqCst);
        self.end_rest();
    }

    pub(crate) fn left_out(&self) -> LeftOut {
        LeftOut {
            non_finite: self.non_finite.load(SeqCst),
            refused: self.refused.load(SeqCst),
        }
    }

    /// Whether something was left out that the log does not name yet.
    pub(crate) fn are_unlogged(&self) -> bool {
        *self.logged.lock() != self.left_out()
    }

    /// Logs what was left out since the last time.
    pub(crate) fn log(&self) {
        let (before, left_out) = {
            let mut logged = self.logged.lock();
            let left_out = self.left_out();
            (std::mem::replace(&mut *logged, left_out), left_out)
        };
        // After the lock, as the log's subscriber may count it as a metric.
        if left_out != before {
            tracing::warn!(
                non_finite = left_out.non_finite.wrapping_sub(before.non_finite),
                refused = left_out.refused.wrapping_sub(before.refused),
                "updates of metrics were left out"
            );
        }
    }

    /// Ends the driver.
    pub(crate) fn close(&self) {
        // Pairs with the load in `check`; the wake-up orders that after this anyway.
        self.closed.store(true, SeqCst);
        self.wake.notify_one();
    }

    /// Waits until there is work: while `is_awake` finds none, waits for an update.
    pub(crate) async fn rest(&self, is_awake: impl Fn() -> bool) -> Result<(), Closed> {
        loop {
            self.check()?;
            self.resting.store(true, SeqCst);
            if is_awake() {
                self.resting.store(false, SeqCst);
                return Ok(());
            }
            self.wake.notified().await;
        }
    }

    /// Waits until `end`.
    pub(crate) async fn sleep_until(&self, end: Instant) -> Result<(), Closed> {
        loop {
            self.check()?;
            // A wake-up left over from a rest is spent here.
            if timeout_at(end, self.wake.notified()).await.is_err() {
                return Ok(());
            }
        }
    }

    fn check(&self) -> Result<(), Closed> {
        if self.closed.load(SeqCst) {
            Err(Closed)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Invariant 1. It has failed on a rest that began after the look: nothing would have ended it.
    #[test]
    fn an_update_that_comes_after_the_look_ends_the_rest() {
        let (updates, looks) = (Updates::default(), Cell::new(0));
        let look = || {
            looks.set(looks.get() + 1);
            let is_awake = looks.get() > 1;
            if !is_awake {
                updates.end_rest();
            }
            is_awake
        };
        let rest = pin!(updates.rest(look));
        let poll = rest.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(poll, Poll::Ready(Ok(()))));
        assert_eq!(looks.get(), 2);
    }
}
