//! The live line: what became of the points so far, on stderr while it is a terminal.

use std::time::Duration;

use buffer_core::Ledger;
use indicatif::ProgressBar;
use tokio::time::{MissedTickBehavior, interval};

/// Often enough to look alive, and negligible next to the sampling.
const REDRAW: Duration = Duration::from_millis(100);

/// The line; its drop removes it.
pub struct Live {
    spinner: ProgressBar,
}

impl Live {
    /// A line with nothing on it yet.
    pub fn new() -> Self {
        Self {
            spinner: ProgressBar::new_spinner(),
        }
    }

    /// Keeps showing `ledger` until `work` is done.
    pub async fn show_while<R>(&self, work: impl Future<Output = R>, ledger: impl Fn() -> Ledger) -> R {
        let mut work = std::pin::pin!(work);
        let mut redraw = interval(REDRAW);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = redraw.tick() => self.show(ledger()),
            }
        }
    }

    fn show(&self, ledger: Ledger) {
        let Ledger {
            accepted,
            pending,
            delivered,
            retried,
            dropped,
            ..
        } = ledger;
        let dropped = dropped.total();
        self.spinner.set_message(format!(
            "accepted {accepted}, pending {pending}, delivered {delivered}, retried {retried}, dropped {dropped}"
        ));
        self.spinner.tick();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.spinner.finish_and_clear();
    }
}
