//! Limits how long somebody waits, whichever runtime it is in, or none.

use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use crate::caught::{Caught, caught};

/// Keeps time by the runtime that it is asked in, or else by the buffer's.
pub(crate) struct Clock {
    /// Has a timer.
    buffer: Handle,
}

impl Clock {
    /// `buffer` is its runtime.
    pub(crate) fn new(buffer: Handle) -> Self {
        Self { buffer }
    }

    /// Drives `future` for at most `limit`; none where it has not ended by then.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        let mut timer = pin!(Some(self.timer(limit)));
        tokio::select! {
            biased;
            output = future => Some(output),
            // The timer of a runtime that has ended panics. The time is up then, as nobody would tell when it is.
            _ = Caught::new(timer.as_mut()) => None,
        }
    }

    fn timer(&self, limit: Duration) -> Sleep {
        // One without a timer panics, which must not cost what the caller holds.
        let here = Handle::try_current().map(|_| caught(|| sleep(limit)));
        let Ok(Ok(timer)) = here else {
            let _inside = self.buffer.enter();
            return sleep(limit);
        };
        timer
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::runtime::Builder;
    use tokio_test::{assert_ready_eq, task};

    use super::*;

    #[test]
    fn the_time_is_up_when_the_runtime_that_keeps_it_has_ended() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let clock = Clock::new(runtime.handle().clone());
        drop(runtime);
        let hour = Duration::from_secs(3_600);
        assert_ready_eq!(task::spawn(clock.within(hour, pending::<()>())).poll(), None);
        assert_ready_eq!(task::spawn(clock.within(hour, ready(1))).poll(), Some(1));
    }
}
