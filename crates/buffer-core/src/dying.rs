//! Keeps account of runtimes that die: whose guards are left, what is rescued from them, and which buffer closes next.
//!
//! A buffer whose last handle is gone drains. Another one is still open: its handles lie in a static, in a thread of the program's
//! own, or in the sink of a buffer that feeds it. It stays open until those that drain are through, as what they drop may be its
//! last handle. Then what is open still is closed, the buffer that was built last first: a sink is built after the buffer
//! that it feeds. A worker whose time is up is not waited for any longer: its sink may block the thread for ever.
//!
//! Invariants
//! 1. A guard is counted from before its task is spawned until it is dropped, and its rescue from before that.
//! 2. The guard that leaves its runtime last waits for all rescues of that runtime; no other guard waits, so none of them
//!    uses up another's time.
//! 3. A rescued worker has a number of its own and leaves once, when it is through or given up, whichever comes first. What it
//!    does after that changes nothing.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::runtime::Id;
use tokio::sync::Notify;

/// What of a runtime's workers is left.
struct Runtime<R> {
    id: Id,
    guards: usize,
    /// Until they are through or given up.
    workers: Vec<Rescued>,
    /// To be waited for by the last guard.
    rescues: Vec<R>,
}

/// A rescued worker.
struct Rescued {
    number: u64,
    buffer: u64,
    /// Whether its buffer is open; otherwise it drains.
    is_open: bool,
}

/// Names a rescued worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerId {
    runtime: Id,
    number: u64,
}

/// All runtimes that buffers run on, and those that are dead until nothing is left of them.
pub(crate) struct Runtimes<R> {
    all: Mutex<Vec<Runtime<R>>>,
    /// The number that the next rescued worker gets.
    next: AtomicU64,
    changed: Notify,
}

impl<R> Runtimes<R> {
    pub(crate) const fn new() -> Self {
        Self {
            all: Mutex::new(Vec::new()),
            next: AtomicU64::new(0),
            changed: Notify::const_new(),
        }
    }

    /// Changes what is known of a runtime; forgets it when nothing is left.
    fn change<A>(&self, id: Id, change: impl FnOnce(&mut Runtime<R>) -> A) -> A {
        let mut all = self.all.lock();
        let index = all.iter().position(|runtime| runtime.id == id);
        let index = index.unwrap_or_else(|| {
            all.push(Runtime {
                id,
                guards: 0,
                workers: Vec::new(),
                rescues: Vec::new(),
            });
            all.len() - 1
        });
        let runtime = &mut all[index];
        let answer = change(runtime);
        if runtime.guards == 0 && runtime.workers.is_empty() {
            all.swap_remove(index);
        }
        drop(all);
        self.changed.notify_waiters();
        answer
    }

    /// A guard comes.
    pub(crate) fn enter(&self, id: Id) {
        self.change(id, |runtime| runtime.guards += 1);
    }

    /// A guard goes. Returns the rescues to wait for, if it was the last.
    pub(crate) fn leave(&self, id: Id, rescue: Option<R>) -> Vec<R> {
        self.change(id, |runtime| {
            runtime.guards -= 1;
            runtime.rescues.extend(rescue);
            match runtime.guards {
                0 => std::mem::take(&mut runtime.rescues),
                _ => Vec::new(),
            }
        })
    }

    /// A worker of an open buffer is rescued.
    pub(crate) fn stay_open(&self, id: Id, buffer: u64) -> WorkerId {
        self.rescue(id, buffer, true)
    }

    /// A worker of a buffer that drains is rescued.
    pub(crate) fn drain(&self, id: Id, buffer: u64) -> WorkerId {
        self.rescue(id, buffer, false)
    }

    fn rescue(&self, runtime: Id, buffer: u64, is_open: bool) -> WorkerId {
        // Relaxed: only uniqueness matters.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let rescued = Rescued {
            number,
            buffer,
            is_open,
        };
        self.change(runtime, |runtime| runtime.workers.push(rescued));
        WorkerId { runtime, number }
    }

    /// The buffer of a rescued worker was open and drains now.
    pub(crate) fn begin_drain(&self, worker: WorkerId) {
        self.change(worker.runtime, |runtime| {
            let mut workers = runtime.workers.iter_mut();
            // By invariant 3 there is none where it was given up.
            if let Some(rescued) = workers.find(|rescued| rescued.number == worker.number) {
                rescued.is_open = false;
            }
        });
    }

    /// A rescued worker is through.
    pub(crate) fn through(&self, worker: WorkerId) {
        self.change(worker.runtime, |runtime| {
            runtime.workers.retain(|rescued| rescued.number != worker.number);
        });
    }

    /// The time of a rescued worker is up. It counts as through, unless others keep its buffer from its turn.
    pub(crate) fn give_up(&self, worker: WorkerId) {
        let waits = {
            let all = self.all.lock();
            let mut workers = all.iter().flat_map(|runtime| &runtime.workers);
            let rescued = workers.find(|rescued| rescued.number == worker.number);
            rescued.is_some_and(|rescued| rescued.is_open && !has_turn(&all, rescued.buffer))
        };
        if !waits {
            self.through(worker);
        }
    }

    /// Waits until the last guard of a runtime is gone: then all that is rescued from it is known.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn dead(&self, id: Id) {
        self.until(|all| {
            let runtime = all.iter().find(|runtime| runtime.id == id);
            runtime.is_none_or(|runtime| runtime.guards == 0)
        })
        .await;
    }

    /// Waits until it is for `buffer` to close: no other drains, and no open one was built after it, whichever runtimes they are
    /// rescued from.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn turn(&self, buffer: u64) {
        self.until(|all| has_turn(all, buffer)).await;
    }

    async fn until(&self, reached: impl Fn(&[Runtime<R>]) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached(&self.all.lock()) {
                return;
            }
            changed.await;
        }
    }
}

/// Whether it is for `buffer` to close.
fn has_turn<R>(all: &[Runtime<R>], buffer: u64) -> bool {
    let mut workers = all.iter().flat_map(|runtime| &runtime.workers);
    workers.all(|other| other.buffer == buffer || other.is_open && other.buffer < buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_test::{assert_pending, assert_ready, task};

    #[tokio::test]
    async fn what_is_open_closes_when_nothing_drains_any_more_and_the_last_built_first() {
        let id = tokio::runtime::Handle::current().id();
        let runtimes = Runtimes::<()>::new();
        for _ in 0..3 {
            runtimes.enter(id);
        }
        let draining = runtimes.drain(id, 3);
        let open = [1, 2].map(|buffer| runtimes.stay_open(id, buffer));
        let mut dead = task::spawn(runtimes.dead(id));
        let mut first = task::spawn(runtimes.turn(1));
        let mut second = task::spawn(runtimes.turn(2));
        for guards_left in [2, 1, 0] {
            assert_pending!(dead.poll());
            assert_pending!(first.poll());
            assert_pending!(second.poll());
            assert_eq!(
                runtimes.leave(id, Some(())).len(),
                if guards_left == 0 { 3 } else { 0 }
            );
        }
        assert_ready!(dead.poll());
        assert_pending!(second.poll());
        runtimes.through(draining);
        assert_pending!(first.poll());
        assert_ready!(second.poll());
        runtimes.begin_drain(open[1]);
        assert_pending!(first.poll());
        runtimes.through(open[1]);
        assert_ready!(first.poll());
        runtimes.begin_drain(open[0]);
        runtimes.through(open[0]);
        assert!(runtimes.all.lock().is_empty(), "nothing is left");
    }

    #[tokio::test]
    async fn what_is_given_up_keeps_nobody_from_its_turn_and_counts_once() {
        let id = tokio::runtime::Handle::current().id();
        let runtimes = Runtimes::<()>::new();
        let draining = [3, 3].map(|buffer| runtimes.drain(id, buffer));
        let open = [1, 2].map(|buffer| runtimes.stay_open(id, buffer));
        let mut first = task::spawn(runtimes.turn(1));
        let mut second = task::spawn(runtimes.turn(2));
        runtimes.give_up(draining[0]);
        // It ends after all.
        runtimes.through(draining[0]);
        assert_pending!(second.poll());
        // Others keep it from its turn.
        runtimes.give_up(open[1]);
        runtimes.give_up(draining[1]);
        assert_ready!(second.poll());
        assert_pending!(first.poll());
        runtimes.give_up(open[1]);
        assert_ready!(first.poll());
        runtimes.begin_drain(open[1]);
        assert_ready!(task::spawn(runtimes.turn(1)).poll());
        runtimes.through(open[1]);
        runtimes.through(open[0]);
        assert!(runtimes.all.lock().is_empty(), "nothing is left");
    }
}
