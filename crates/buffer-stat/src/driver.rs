//! Turns the windows: sleeps from the first increment to the end of the interval, then hands the sums over.

use std::hash::Hash;
use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{Instant, timeout_at};

use crate::caught::caught;
use crate::counters::Counters;
use crate::metrics::Reporter;
use crate::turn::Turn;
use crate::windows::{HandedOver, Windows};

/// The one task of a [`StatBuffer`](crate::StatBuffer). It holds no handle, so that the last drop is seen, and no sums, so that
/// none are lost with it.
pub(crate) struct Driver<K> {
    windows: Arc<Windows<K>>,
    counters: Weak<Counters<K>>,
    interval: Duration,
    jitter: Duration,
    reporter: Reporter,
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
            reporter: Reporter::new(counters.buffer.name()),
        }
    }

    /// Runs until the counters are closed.
    pub(crate) async fn run(self) {
        self.turn_windows().await;
        // Reports what came back since the last window ended.
        self.report();
    }

    async fn turn_windows(&self) {
        let mut may_end_early = true;
        while let Ok((turn, window)) = self.window(may_end_early).await {
            let Ok(handed) = self.hand_over(turn, Some(window)) else {
                return;
            };
            self.report();
            // While the last window is still on its way, ending this one early would free nothing.
            may_end_early = handed.is_some_and(|handed| handed.turned);
        }
    }

    fn report(&self) {
        let merged_back = self.windows.tallies().merged_back;
        self.reporter.report(self.windows.sums.keys(), merged_back);
    }

    /// Waits for the end of the next window, and says why it ends, and which it is.
    async fn window(&self, mut may_end_early: bool) -> Result<(Turn, u64), Closed> {
        loop {
            self.first_increment().await?;
            // No increment tells of sums that stayed where they were.
            let (window, from) = self.windows.begin();
            let later = self.jitter.mul_f64(rand::rng().random_range(0.0..=1.0));
            let end = from.unwrap_or_else(Instant::now) + self.interval + later;
            // If a flush ends this window, its timer ends too, and the next increment begins another.
            while self.windows.number() == window {
                if may_end_early && self.windows.should_end_early() {
                    return Ok((Turn::Early, window));
                }
                let Ok(woken) = timeout_at(end, self.woken()).await else {
                    return Ok((Turn::InTime, window));
                };
                woken?;
            }
            // Whatever this one had to wait for is over, as it has ended.
            may_end_early = true;
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
                sums.forget_idle();
                self.report();
                self.woken().await?;
            }
        }
        Ok(())
    }

    /// Waits for a wake-up, and hands on what found no room before.
    async fn woken(&self) -> Result<(), Closed> {
        let sums = &self.windows.sums;
        if sums.is_closed() {
            return Err(Closed);
        }
        self.windows.wake.notified().await;
        if sums.is_closed() {
            return Err(Closed);
        }
        if self.windows.has_rest() {
            self.hand_over(Turn::Not, None)?;
        }
        Ok(())
    }

    /// None if a key's code panicked, which must not end the windows for good.
    fn hand_over(&self, turn: Turn, window: Option<u64>) -> Result<Option<HandedOver>, Closed> {
        let counters = self.counters.upgrade().ok_or(Closed)?;
        Ok(caught(|| counters.hand_over_of(window, turn)))
    }
}
