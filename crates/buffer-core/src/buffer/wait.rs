//! How an insert waits: for room, for others to have their turn, and on a plain thread.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::caught::waiting_in_line;

/// Tries until there is room: listens, looks, then waits. Says how long it waited, if it did.
///
/// # Cancel safety
///
/// Safe: a wake-up that was meant for the dropped future goes to the next one that waits.
pub(crate) async fn with_room<R>(
    room: &Notify,
    mut attempt: impl FnMut() -> Option<R>,
) -> (R, Option<Duration>) {
    let mut since: Option<Instant> = None;
    loop {
        let mut notified = pin!(room.notified());
        notified.as_mut().enable();
        if let Some(result) = attempt() {
            if since.is_some() {
                // There may be more room: the next waiter looks, and if there is none it is the last to be woken.
                room.notify_one();
            }
            return (result, since.map(|since| since.elapsed()));
        }
        since.get_or_insert_with(Instant::now);
        waiting_in_line(notified).await;
    }
}

/// Lets others run once, above all the worker that was woken just now.
///
/// Not tokio's own way, which wakes only when the thread goes back to its scheduler: a task that blocks on this future would sleep
/// for ever.
pub(crate) async fn give_way() {
    let mut gave_way = false;
    poll_fn(|context| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Drives a future that needs no runtime on this thread.
pub(crate) fn block_on<R>(future: impl Future<Output = R>) -> R {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}
