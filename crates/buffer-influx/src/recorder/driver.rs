//! Ends the intervals of a recorder, and rests while there is nothing to write.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;

use crate::caught::caught;
use crate::recorder::recording::Recording;
use crate::recorder::registry::Registry;
use crate::recorder::updates::Closed;

/// The one task of a recorder. It holds no handle, so that the last drop is seen.
pub(crate) struct Driver {
    registry: Arc<Registry>,
    recording: Weak<Recording>,
    interval: Duration,
    jitter: Duration,
}

impl Driver {
    pub(crate) fn new(recording: &Arc<Recording>, interval: Duration, jitter: Duration) -> Self {
        Self {
            registry: Arc::clone(&recording.registry),
            recording: Arc::downgrade(recording),
            interval,
            jitter,
        }
    }

    /// Runs until the recorder is closed.
    pub(crate) async fn run(self) {
        // Processes that begin together must not write together from the first interval on.
        let mut interval = match self.jitter.is_zero() {
            true => self.interval,
            false => self.interval.mul_f64(rand::rng().random_range(0.0..=1.0)),
        };
        while let Ok(()) = self.wait(interval).await {
            let Some(recording) = self.recording.upgrade() else {
                return;
            };
            // The buffer's settings and the log may run user code, whose panic must not end the intervals for good.
            caught(|| {
                if self.registry.has_news() {
                    recording.hand_over();
                } else {
                    self.registry.end_without_news();
                }
            });
            interval = self.interval + self.jitter.mul_f64(rand::rng().random_range(0.0..=1.0));
        }
    }

    /// Waits for something to do, and then for the end of the interval.
    async fn wait(&self, interval: Duration) -> Result<(), Closed> {
        let Registry { updates, .. } = &*self.registry;
        updates.rest(|| self.registry.is_awake()).await?;
        updates.sleep_until(Instant::now() + interval).await
    }
}
