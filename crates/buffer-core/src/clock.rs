//! Limits how long a caller waits, in whichever runtime or in none.

use std::pin::pin;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::time::{Sleep, sleep};

use crate::caught::{Caught, caught, with_caught_waker};

/// Keeps time by the runtime that it is called in, or else by the buffer's.
pub(crate) struct Clock {
    /// Has a timer.
    buffer: Handle,
    /// Has none: the runtime where that was seen last.
    timeless: Mutex<Option<Id>>,
}

impl Clock {
    /// `buffer` is its runtime.
    pub(crate) fn new(buffer: Handle) -> Self {
        Self {
            buffer,
            timeless: Mutex::new(None),
        }
    }

    /// Drives `future` for at most `limit`; none if it has not ended by then. One that ends at once needs no timer.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = self.elapsed(limit) => None,
        }
    }

    async fn elapsed(&self, limit: Duration) {
        let mut timer = pin!(Some(self.timer(limit)));
        // The timer of a runtime that has ended panics. Then the time is up, as nobody would tell when it is. The timer of another runtime
        // wakes on that runtime's thread, which a panic of the waker would end.
        let _ = with_caught_waker(Caught::new(timer.as_mut())).await;
    }

    fn timer(&self, limit: Duration) -> Sleep {
        self.timer_here(limit).unwrap_or_else(|| {
            let _inside = self.buffer.enter();
            sleep(limit)
        })
    }

    fn timer_here(&self, limit: Duration) -> Option<Sleep> {
        let here = Handle::try_current().ok()?.id();
        if *self.timeless.lock() == Some(here) {
            return None;
        }
        // A runtime without a timer panics here: the caller must lose nothing by that, and the message must come only once.
        let timer = caught(|| sleep(limit)).ok();
        if timer.is_none() {
            *self.timeless.lock() = Some(here);
        }
        timer
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    use tokio::runtime::Builder;
    use tokio_test::{assert_pending, assert_ready_eq, task};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_time_is_up_when_the_runtime_that_keeps_it_has_ended() {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let clock = Clock::new(runtime.handle().clone());
        drop(runtime);
        assert_ready_eq!(task::spawn(clock.within(HOUR, pending::<()>())).poll(), None);
        assert_ready_eq!(task::spawn(clock.within(HOUR, ready(1))).poll(), Some(1));
    }

    /// Fails when the timer is made before the future is polled, which panics here.
    #[test]
    fn what_ends_at_once_needs_no_timer() {
        let timeless = Builder::new_current_thread().build().unwrap();
        let clock = Clock::new(timeless.handle().clone());
        assert_ready_eq!(task::spawn(clock.within(HOUR, ready(1))).poll(), Some(1));
    }

    /// Fails when a timer is asked for again where there is none, and has panicked already.
    #[test]
    fn a_runtime_without_a_timer_is_asked_once() {
        let builder = || Builder::new_current_thread();
        let (timely, timeless) = (
            builder().enable_time().build().unwrap(),
            builder().build().unwrap(),
        );
        let clock = Clock::new(timely.handle().clone());
        let mut waiting = task::spawn(clock.within(HOUR, pending::<()>()));
        let inside = timeless.enter();
        assert_pending!(waiting.poll());
        drop((waiting, inside));
        assert_eq!(*clock.timeless.lock(), Some(timeless.handle().id()));
        // As if it were the same, and the buffer's has ended.
        *clock.timeless.lock() = Some(timely.handle().id());
        let ended = builder().enable_time().build().unwrap();
        let clock = Clock {
            buffer: ended.handle().clone(),
            ..clock
        };
        drop(ended);
        let _inside = timely.enter();
        assert_ready_eq!(task::spawn(clock.within(HOUR, pending::<()>())).poll(), None);
    }

    /// Fails when the runtime's timer has the user's own waker.
    #[test]
    fn a_waker_that_panics_does_not_hurt_the_runtime_that_keeps_the_time() {
        struct Panicking;
        impl Wake for Panicking {
            fn wake(self: Arc<Self>) {
                panic!("scripted");
            }
        }
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let clock = Clock::new(runtime.handle().clone());
        let mut waiting = pin!(clock.within(HOUR, pending::<()>()));
        let waker = Waker::from(Arc::new(Panicking));
        assert!(
            waiting
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        runtime.block_on(async { sleep(2 * HOUR).await });
        let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(None));
    }
}
