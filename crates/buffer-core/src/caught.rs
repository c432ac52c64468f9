//! Keeps panics of user code where they happen: calls, futures, destructors and wakers.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use thiserror::Error;

/// User code panicked, with this message.
#[derive(Debug, Error)]
#[error("it panicked: {0}")]
pub(crate) struct Panicked(String);

/// Calls user code.
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Result<R, Panicked> {
    // Unwind safe: callers look at nothing that the call may have left half done but what they own, and each says why it is
    // whole.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        drop_payload(panic);
        Panicked(text.unwrap_or_else(|| "no message".into()))
    })
}

/// Drops what a panic brings, which is user code, too.
fn drop_payload(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Its own drop might panic again, and so on without end.
        std::mem::forget(another);
    }
}

/// Drops a value whose destructor is user code.
pub(crate) fn drop_caught<T>(value: T) {
    let _ = caught(|| drop(value));
}

/// Drops values whose destructors are user code: all of them, even if some panic.
pub(crate) fn drop_each_caught<T>(values: Vec<T>) {
    let mut values = values.into_iter();
    // A value that panics is through, and the next call goes on behind it.
    while caught(|| values.by_ref().for_each(drop)).is_err() {}
}

/// Drives a future that holds user code, and drops it: its panics are caught, even one in its drop when this very future is
/// dropped.
///
/// # Cancel safety
///
/// As safe as the future is.
// Written by hand, as an idle worker's task holds it: an async function takes four times the room.
pub(crate) struct Caught<'a, F>(Pin<&'a mut Option<F>>);

impl<'a, F: Future> Caught<'a, F> {
    pub(crate) fn new(future: Pin<&'a mut Option<F>>) -> Self {
        Self(future)
    }
}

impl<F: Future> Future for Caught<'_, F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.0.as_mut().as_pin_mut();
        let future = future.expect("it is taken out by the drop alone");
        match caught(|| future.poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Err(panicked).into(),
        }
    }
}

impl<F> Drop for Caught<'_, F> {
    fn drop(&mut self) {
        // What it was for is settled; its panic has nobody to go to.
        let _ = caught(|| self.0.set(None));
    }
}

/// Drives a future that a user's task waits in, and that stands in one list with others. If its waker panics, that is caught where it
/// is woken: tokio's lists forget whoever stands behind one that panics.
///
/// # Cancel safety
///
/// As safe as the future is.
pub(crate) async fn with_caught_waker<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    // The user's and what stands in for it.
    let mut wakers: Option<(Waker, Waker)> = None;
    poll_fn(|context| {
        let theirs = context.waker();
        let (_, caught) = match wakers.take() {
            Some(known) if known.0.will_wake(theirs) => wakers.insert(known),
            _ => wakers.insert((theirs.clone(), CaughtWaker::of(theirs.clone()))),
        };
        future.as_mut().poll(&mut Context::from_waker(caught))
    })
    .await
}

/// A user's waker, until it is dropped.
struct CaughtWaker(Option<Waker>);

impl CaughtWaker {
    fn of(waker: Waker) -> Waker {
        Waker::from(Arc::new(Self(Some(waker))))
    }
}

impl Wake for CaughtWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(waker) = &self.0 {
            let _ = caught(|| waker.wake_by_ref());
        }
    }
}

impl Drop for CaughtWaker {
    fn drop(&mut self) {
        drop_caught(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Panics when it is dropped, if it is odd.
    struct Item<'a>(u32, &'a Cell<u32>);

    impl Drop for Item<'_> {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            assert!(self.0.is_multiple_of(2), "an odd one");
        }
    }

    #[test]
    fn each_value_is_dropped_once_whichever_panic() {
        let drops = Cell::new(0);
        drop_each_caught((0..5).map(|number| Item(number, &drops)).collect());
        assert_eq!(drops.get(), 5);
    }
}
