//! Keeps the workers' promise when their runtime dies under them: what they leave is drained on a runtime of its own.
//!
//! At the end of `main` the runtime drops every worker where it stands. A guard that lives in the worker's task notices, and
//! hands the worker to the process's one rescue runtime, where it goes on at once beside the others. The last guard of the
//! dying runtime blocks until all of them are through or out of time.

use std::cmp::Reverse;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Id, Runtime};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};

use crate::caught::{caught, drop_caught};
use crate::drain::TimeForRescue;
use crate::partition::Partition;
use crate::shared::{Shared, deadline_in};
use crate::worker::Worker;
use crate::worker::dying::{Runtimes, WorkerId};

/// Runs a worker on `runtime`, and on the rescue runtime when that one dies.
pub(crate) fn spawn<T: Send + 'static>(worker: Worker<T>, runtime: &Handle) {
    let mut guard = Guard::new(worker, runtime.id());
    runtime.spawn(async move {
        if let Some(worker) = &mut guard.worker {
            worker.run().await;
        }
        drop(guard.worker.take());
    });
}

static RUNTIMES: Runtimes<Rescue> = Runtimes::new();

/// Owns a worker inside its task; dropped with the task.
struct Guard<T: Send + 'static> {
    worker: Option<Worker<T>>,
    runtime: Id,
}

impl<T: Send + 'static> Guard<T> {
    fn new(worker: Worker<T>, runtime: Id) -> Self {
        RUNTIMES.enter(runtime);
        Self {
            worker: Some(worker),
            runtime,
        }
    }
}

impl<T: Send + 'static> Drop for Guard<T> {
    fn drop(&mut self) {
        let worker = self.worker.take();
        let rescue = worker.and_then(|worker| Rescue::start(worker, self.runtime));
        Rescue::wait_for(RUNTIMES.leave(self.runtime, rescue));
    }
}

/// One worker on the rescue runtime.
struct Rescue {
    id: WorkerId,
    /// Tells when the worker is through or given up.
    ended: mpsc::Receiver<()>,
    /// The number of its buffer.
    buffer: u64,
    /// Whether the buffer was open and closes when its turn comes.
    is_open: bool,
    begun: std::time::Instant,
    limit: Duration,
}

impl Rescue {
    /// Lets the worker go on.
    fn start<T: Send + 'static>(mut worker: Worker<T>, dead: Id) -> Option<Self> {
        let shared = Arc::clone(worker.shared());
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                // The subscriber is user code.
                let _ = caught(
                    || tracing::error!(buffer = &*shared.name, %error, "no runtime for a rescue, so what is pending is dropped"),
                );
                shared.close_by(deadline_in(shared.drain_timeout));
                worker.abandon();
                // The sink goes with it, and its destructor is user code.
                drop_caught(worker);
                return None;
            }
        };
        worker.prepare_rescue();
        let TimeForRescue {
            limit,
            is_open,
            restarts,
        } = shared.drain.time_for_rescue(shared.drain_timeout);
        let id = if is_open {
            // The items that are there need not wait for the interval, nor for the buffer's turn.
            shared.partitions.iter().for_each(Partition::seal_on_request);
            RUNTIMES.stay_open(shared.number)
        } else {
            RUNTIMES.drain(shared.number)
        };
        let (running, ended) = mpsc::channel();
        let given_up = running.clone();
        let buffer = shared.number;
        if is_open {
            // It asks for last items.
            runtime.spawn(where_it_may_block(close_in_turn(
                Arc::clone(&shared),
                id,
                dead,
                limit,
                given_up,
            )));
        } else {
            runtime.spawn(give_up_after(limit, id, given_up));
        }
        runtime.spawn(where_it_may_block(async move {
            // A sink that was down has no time to lose.
            let deadline = deadline_in(limit);
            shared.hold.hurry(Instant::now(), deadline);
            if let Some(seen) = restarts {
                // By this runtime's clock: that of the dead one may have been paused.
                shared.drain.restart(seen, deadline);
            }
            worker.run().await;
            // The sink goes with the last worker, and its destructor, which is user code, belongs to the rescue. It may hold the
            // last handle of another buffer, which drains from then on.
            drop_caught(worker);
            RUNTIMES.through(id);
            let _ = running.send(());
        }));
        Some(Self {
            id,
            ended,
            buffer,
            is_open,
            begun: std::time::Instant::now(),
            limit,
        })
    }

    /// Waits for all of them, in the order in which they end.
    fn wait_for(mut rescues: Vec<Self>) {
        rescues.sort_by_key(|rescue| (rescue.is_open, Reverse(rescue.buffer)));
        for buffer in rescues.chunk_by(|one, next| one.buffer == next.buffer) {
            let mut turn = std::time::Instant::now();
            for rescue in buffer {
                let left = (rescue.limit + GRACE).saturating_sub(rescue.begun.elapsed());
                let least = match rescue.is_open {
                    true => (rescue.limit / SHARE_OF_THE_NEXT + GRACE).saturating_sub(turn.elapsed()),
                    false => Duration::ZERO,
                };
                let ended = rescue.ended.recv_timeout(left.max(least));
                // A rescue from another runtime may have taken the time until then, so that the turn of this one came late, or is
                // still to come.
                let is_late = ended == Err(RecvTimeoutError::Timeout) && rescue.is_open;
                if is_late && RUNTIMES.force_turn(rescue.id) {
                    turn = std::time::Instant::now();
                    // Through or out of time: it makes no difference here.
                    let _ = rescue
                        .ended
                        .recv_timeout(rescue.limit / SHARE_OF_THE_NEXT + GRACE);
                }
            }
        }
    }
}

/// Polls a `future` that may block its thread: another thread takes over the timers and the tasks that wait for this one, which would
/// otherwise be stuck behind it. If no other thread can be started, they wait.
async fn where_it_may_block(future: impl Future<Output = ()>) {
    let mut future = pin!(future);
    poll_fn(|context| {
        let mut polled = None;
        // Without another thread it panics before it calls.
        let _ = caught(|| block_in_place(|| polled = Some(future.as_mut().poll(context))));
        polled.unwrap_or_else(|| future.as_mut().poll(context))
    })
    .await;
}

/// Waits until the worker's buffer closes, or closes it when its turn comes. Either way it ends while it is waited for: if the turn does
/// not come in time, [`Rescue::wait_for`] forces it.
async fn close_in_turn<T>(
    shared: Arc<Shared<T>>,
    id: WorkerId,
    dead: Id,
    limit: Duration,
    given_up: mpsc::Sender<()>,
) {
    /// A task that never ends keeps its guard, and nobody knows whether there is more to rescue.
    const AT_MOST: Duration = Duration::from_secs(1);
    let end = deadline_in(limit);
    let turn = async {
        // Without an answer it is not waited for any longer.
        let _ = timeout(AT_MOST, RUNTIMES.dead(dead)).await;
        RUNTIMES.turn(id).await;
    };
    tokio::select! {
        () = shared.drain.begun() => {}
        () = turn => {}
    }
    RUNTIMES.begin_drain(id);
    let deadline = end.max(deadline_in(limit / SHARE_OF_THE_NEXT));
    tokio::spawn(give_up_after(
        deadline.saturating_duration_since(Instant::now()),
        id,
        given_up,
    ));
    // After a close that begins now, or a handle's drop, the whole time starts anew, and nobody here would wait that long. An earlier
    // deadline holds.
    shared.close_by(deadline);
}

/// Lets others have their turn when the time of a worker's drain is up: its sink may never let go of its thread, and if its runtime
/// has a guard that never leaves, nobody waits for it.
async fn give_up_after(limit: Duration, id: WorkerId, given_up: mpsc::Sender<()>) {
    sleep(limit + GRACE).await;
    RUNTIMES.through(id);
    // Nobody may wait.
    let _ = given_up.send(());
}

/// A buffer whose turn comes when its time is nearly up still has this part of it, but no more: if many buffers hang, each may be the
/// next.
const SHARE_OF_THE_NEXT: u32 = 4;

/// A drain keeps its deadline by itself; this is for the last steps after it.
const GRACE: Duration = Duration::from_secs(2);

/// The runtime of all rescues, started when it is first needed. It has one thread, starts others for what may block theirs, and is of
/// the kind that supports `block_in_place`.
fn runtime() -> Result<&'static Runtime, &'static io::Error> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = Builder::new_multi_thread();
        // Of several threads only some might start, and tokio would wait for ever for those to end.
        builder
            .worker_threads(1)
            .thread_name("buffer-rescue")
            .enable_all();
        start(&mut builder)
    };
    RUNTIME.get_or_init(start).as_ref()
}

/// Starts a runtime. If a thread can't be started, tokio does not return an error but panics.
fn start(builder: &mut Builder) -> io::Result<Runtime> {
    caught(|| builder.build()).unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;

    use super::*;

    /// Fails when the panic of tokio's builder is not caught.
    #[test]
    fn a_runtime_without_a_thread_is_an_error() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_stack_size(usize::MAX / 4);
        let error = start(&mut builder).expect_err("there is no room for such a stack");
        assert!(error.to_string().contains("thread"), "{error}");
    }

    /// Fails when the panic of `block_in_place` costs the future that it was to poll. This kind of runtime has no other thread either.
    #[tokio::test]
    async fn what_may_block_is_polled_without_another_thread() {
        let (mut polls, sum) = (0, Arc::new(AtomicU32::new(0)));
        let counts = Arc::clone(&sum);
        let future = poll_fn(move |context| {
            polls += 1;
            // Relaxed: it is one thread.
            counts.fetch_add(polls, Ordering::Relaxed);
            context.waker().wake_by_ref();
            if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
        });
        where_it_may_block(future).await;
        assert_eq!(sum.load(Ordering::Relaxed), 1 + 2 + 3);
    }
}
