//! Turns the windows: sleeps from the first increment to the end of the interval, then hands the sums over.

use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{Instant, timeout_at};

use crate::stat_buffer::{Counters, Windows};

/// The one task of a [`StatBuffer`](crate::StatBuffer). It holds no handle, so that the last drop is seen, and no sums, so that
/// none are lost with it.
pub(crate) struct Driver<K> {
    windows: Arc<Windows<K>>,
    counters: Weak<Counters<K>>,
    interval: Duration,
    jitter: Duration,
}

/// The counters are closed.
struct Closed;

impl<K: Hash + Eq + Clone + Send + 'static> Driver<K> {
    pub(crate) fn new(counters: &Arc<Counters<K>>, interval: Duration, jitter: Duration) -> Self {
        Self {
            windows: Arc::clone(&counters.windows),
            counters: Arc::downgrade(counters),
            interval,
            jitter,
        }
    }

    /// Runs until the counters are closed.
    pub(crate) async fn run(self) {
        while let Ok(()) = self.window().await {
            let Some(counters) = self.counters.upgrade() else {
                return;
            };
            // Keys are user code, and their panic must not be the last window's.
            let _ = catch_unwind(AssertUnwindSafe(|| counters.hand_over()));
        }
    }

    /// Waits for the end of the next window.
    async fn window(&self) -> Result<(), Closed> {
        loop {
            self.first_increment().await?;
            // Where sums were left over, no increment tells.
            let window = self.windows.begin();
            let later = self.jitter.mul_f64(rand::rng().random_range(0.0..=1.0));
            let end = Instant::now() + self.interval + later;
            // When a flush has ended this window, its timer ends with it, and the next increment begins another.
            while self.windows.number() == window {
                let Ok(woken) = timeout_at(end, self.woken()).await else {
                    return Ok(());
                };
                woken?;
            }
        }
    }

    /// Waits until there are sums.
    async fn first_increment(&self) -> Result<(), Closed> {
        let sums = &self.windows.sums;
        let idle = Instant::now() + self.interval;
        // An increment after the look leaves its wake-up behind, so the wait returns at once.
        while sums.is_empty() {
            if let Ok(woken) = timeout_at(idle, self.woken()).await {
                woken?;
            } else {
                sums.give_room_back();
                self.woken().await?;
            }
        }
        Ok(())
    }

    async fn woken(&self) -> Result<(), Closed> {
        let sums = &self.windows.sums;
        if sums.is_closed() {
            return Err(Closed);
        }
        sums.wake.notified().await;
        if sums.is_closed() { Err(Closed) } else { Ok(()) }
    }
}
