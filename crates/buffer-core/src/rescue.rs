//! Keeps the workers' promise when their runtime dies under them: what they leave is drained on a thread of its own.
//!
//! At the end of `main` the runtime drops every worker where it stands. A guard that lives in the worker's task notices,
//! hands the worker to the process's one rescue thread, where it goes on at once beside the others, and the last guard of
//! the dying runtime blocks until all of them are through or out of time.
//!
//! Invariants
//! 1. Every guard is counted in `LIVE` from before its task is spawned until it is dropped.
//! 2. The guard that leaves its runtime last waits for all rescues of that runtime; no other guard waits, so none of them
//!    uses up another's time.

use std::io;
use std::sync::mpsc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Id, Runtime};

use crate::shared::deadline_in;
use crate::worker::Worker;

/// Runs a worker on `runtime`, and on the rescue thread when that runtime dies.
pub(crate) fn spawn<T: Send + 'static>(worker: Worker<T>, runtime: &Handle) {
    let mut guard = Guard::new(worker, runtime.id());
    runtime.spawn(async move { guard.run().await });
}

/// Owns a worker inside its task; dropped with the task.
struct Guard<T: Send + 'static> {
    worker: Option<Worker<T>>,
    runtime: Id,
}

impl<T: Send + 'static> Guard<T> {
    fn new(worker: Worker<T>, runtime: Id) -> Self {
        enter(runtime);
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
        let rescue = self.worker.take().and_then(Rescue::start);
        for rescue in leave(self.runtime, rescue) {
            rescue.wait();
        }
    }
}

/// The guards of each runtime.
static LIVE: Mutex<Vec<Live>> = Mutex::new(Vec::new());

struct Live {
    runtime: Id,
    guards: usize,
    rescues: Vec<Rescue>,
}

fn enter(runtime: Id) {
    let mut all = LIVE.lock();
    match all.iter_mut().find(|live| live.runtime == runtime) {
        Some(live) => live.guards += 1,
        None => all.push(Live {
            runtime,
            guards: 1,
            rescues: Vec::new(),
        }),
    }
}

/// Returns the rescues to wait for, if this was the runtime's last guard.
fn leave(runtime: Id, rescue: Option<Rescue>) -> Vec<Rescue> {
    let mut all = LIVE.lock();
    let found = all.iter().position(|live| live.runtime == runtime);
    let index = found.expect("by invariant 1 this guard is counted");
    let live = &mut all[index];
    live.rescues.extend(rescue);
    live.guards -= 1;
    if live.guards > 0 {
        Vec::new()
    } else {
        all.swap_remove(index).rescues
    }
}

/// One worker on the rescue thread.
struct Rescue {
    /// Disconnects when the worker is through.
    through: mpsc::Receiver<()>,
    /// Nobody waits any longer than until then.
    deadline: Instant,
}

impl Rescue {
    /// Closes the worker's buffer and lets the worker go on.
    fn start<T: Send + 'static>(mut worker: Worker<T>) -> Option<Self> {
        let shared = Arc::clone(&worker.shared);
        shared.close_by(deadline_in(shared.drain_timeout));
        let limit = shared.drain.time_for_rescue(shared.drain_timeout);
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(buffer = &*shared.name, %error, "no runtime for a rescue, so what is pending is dropped");
                worker.abandon();
                return None;
            }
        };
        worker.prepare_rescue();
        let (running, through) = mpsc::channel();
        runtime.spawn(async move {
            // By this runtime's clock: that of the dead one may have been a paused one.
            worker.shared.drain.restart(deadline_in(limit));
            worker.run().await;
            // The sink goes with the last worker, and its destructor belongs to the rescue.
            drop(worker);
            drop(running);
        });
        let deadline = Instant::now() + limit + GRACE;
        Some(Self { through, deadline })
    }

    fn wait(self) {
        // Through or out of time, which comes to the same here.
        let _ = self
            .through
            .recv_timeout(self.deadline.saturating_duration_since(Instant::now()));
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
