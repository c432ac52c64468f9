//! Keeps the workers' promise when their runtime dies under them: what they leave is drained on a thread of its own.
//!
//! At the end of `main` the runtime drops every worker where it stands. A guard that lives in the worker's task notices,
//! hands the worker to the process's one rescue runtime, where it goes on at once beside the others, and the last guard of
//! the dying runtime blocks until all of them are through or out of time.

use std::io;
use std::pin::pin;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Id, Runtime};
use tokio::time::{Instant, timeout};

use crate::dying::Runtimes;
use crate::shared::{Shared, deadline_in};
use crate::worker::Worker;

/// Runs a worker on `runtime`, and on the rescue runtime when that one dies.
pub(crate) fn spawn<T: Send + 'static>(worker: Worker<T>, runtime: &Handle) {
    let mut guard = Guard::new(worker, runtime.id());
    runtime.spawn(async move { guard.run().await });
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

    async fn run(&mut self) {
        if let Some(worker) = &mut self.worker {
            worker.run().await;
        }
        self.worker = None;
    }
}

impl<T: Send + 'static> Drop for Guard<T> {
    fn drop(&mut self) {
        let worker = self.worker.take();
        let rescue = worker.and_then(|worker| Rescue::start(worker, self.runtime));
        for rescue in RUNTIMES.leave(self.runtime, rescue) {
            rescue.wait();
        }
    }
}

/// One worker on the rescue runtime.
struct Rescue {
    /// Disconnects when the worker is through.
    through: mpsc::Receiver<()>,
    /// Nobody waits any longer than until then.
    deadline: std::time::Instant,
}

impl Rescue {
    /// Lets the worker go on.
    fn start<T: Send + 'static>(mut worker: Worker<T>, dead: Id) -> Option<Self> {
        let shared = Arc::clone(&worker.shared);
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(buffer = &*shared.name, %error, "no runtime for a rescue, so what is pending is dropped");
                shared.close_by(deadline_in(shared.drain_timeout));
                worker.abandon();
                return None;
            }
        };
        worker.prepare_rescue();
        let limit = shared.drain.time_for_rescue(shared.drain_timeout);
        let is_open = !shared.drain.has_begun();
        match is_open {
            true => RUNTIMES.stay_open(dead, shared.number),
            false => RUNTIMES.drain(dead),
        }
        let (running, through) = mpsc::channel();
        runtime.spawn(async move {
            // By this runtime's clock: that of the dead one may have been a paused one.
            let deadline = deadline_in(limit);
            if is_open {
                run_open(&mut worker, dead, deadline).await;
            } else {
                shared.drain.restart(deadline);
                worker.run().await;
            }
            // The sink goes with the last worker, and its destructor belongs to the rescue. It may hold the last handle of
            // another buffer, which drains from then on.
            drop(worker);
            RUNTIMES.through(dead);
            drop(running);
        });
        let deadline = std::time::Instant::now() + limit + GRACE;
        Some(Self { through, deadline })
    }

    fn wait(self) {
        // Through or out of time, which comes to the same here.
        let left = self.deadline.saturating_duration_since(std::time::Instant::now());
        let _ = self.through.recv_timeout(left);
    }
}

/// Runs the worker of a buffer that is open, and closes the buffer when it is for it to close.
async fn run_open<T: Send + 'static>(worker: &mut Worker<T>, dead: Id, deadline: Instant) {
    let shared = Arc::clone(&worker.shared);
    let mut run = pin!(worker.run());
    let through = tokio::select! {
        () = close_in_turn(&shared, dead) => false,
        () = &mut run => true,
    };
    RUNTIMES.begin_drain(dead, shared.number);
    shared.drain.restart(deadline);
    if !through {
        run.await;
    }
}

/// Waits until the buffer closes, or closes it when it is for it to close.
async fn close_in_turn<T>(shared: &Shared<T>, dead: Id) {
    /// A task that never ends keeps a guard, and so the others from their turn.
    const AT_MOST: Duration = Duration::from_secs(1);
    tokio::select! {
        () = shared.drain.begun() => {}
        _ = timeout(AT_MOST, RUNTIMES.turn(dead, shared.number)) => {
            shared.close_by(deadline_in(shared.drain_timeout));
        }
    }
}

/// A drain keeps its deadline by itself; this is for the last steps after it.
const GRACE: Duration = Duration::from_secs(2);

/// The runtime of all rescues, started when it is first needed. It has a thread of its own and is of the kind that lets a sink
/// use `block_in_place`.
fn runtime() -> Result<&'static Runtime, &'static io::Error> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("buffer-rescue")
            .enable_all()
            .build()
    };
    RUNTIME.get_or_init(start).as_ref()
}
