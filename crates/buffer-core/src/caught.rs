//! Keeps panics of user code where they happen: calls, futures and destructors.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

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
        Panicked(text.unwrap_or_else(|| "no message".into()))
    })
}

/// Drops values whose destructors are user code, each of them, whichever panic.
pub(crate) fn drop_caught<T>(values: Vec<T>) {
    let mut values = values.into_iter();
    // A value that panics is through, and the next call goes on behind it.
    while caught(|| values.by_ref().for_each(drop)).is_err() {}
}

/// Drives a future that holds user code. A panic when it is dropped is caught too, also when that is because this very future
/// is dropped.
///
/// # Cancel safety
///
/// As safe as `future` is.
pub(crate) async fn caught_future<F: Future + ?Sized>(future: Pin<Box<F>>) -> Result<F::Output, Panicked> {
    let mut held = Held(Some(future));
    poll_fn(|cx| {
        let future = held.0.as_mut().expect("it is taken out by the drop alone");
        match caught(|| future.as_mut().poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Err(panicked).into(),
        }
    })
    .await
}

/// A future whose destructor may panic.
struct Held<F: ?Sized>(Option<Pin<Box<F>>>);

impl<F: ?Sized> Drop for Held<F> {
    fn drop(&mut self) {
        let future = self.0.take();
        // What it was for is settled; its panic has nobody to go to.
        let _ = caught(|| drop(future));
    }
}
