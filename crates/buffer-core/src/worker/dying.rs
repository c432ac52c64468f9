//! Keeps account of runtimes that die: which guards are left, what is rescued from them, and which buffer closes next.
//!
//! A buffer whose last handle is gone drains. Another may still be open: its handles are in a static, in a thread of the program,
//! or in the sink of a buffer that feeds it. It stays open until the draining ones are through, as they may drop its last handle.
//! Then the buffers that are still open are closed, the one that was built last first: a sink is built after the buffer that it
//! feeds. A worker whose time is up is not waited for any longer: its sink may block the thread for ever. A turn that does not come
//! while the end of its runtime is waited for is forced: a rescue from another runtime may take longer than that.
//!
//! Invariants
//! 1. A guard is counted from before its task is spawned until it is dropped, and its rescue from before that.
//! 2. The guard that leaves its runtime last waits for all rescues of that runtime; no other guard waits, so none of them
//!    uses up another's time.
//! 3. A rescued worker has a number of its own and leaves once, when it is through or given up, whichever comes first. What it
//!    does after that changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::runtime::Id;
use tokio::sync::Notify;

/// All runtimes that buffers run on, and what is rescued from those that died.
pub(crate) struct Runtimes<R> {
    state: Mutex<State<R>>,
    /// Wakes whoever waits for the last guard of a runtime.
    died: Notify,
}

struct State<R> {
    runtimes: Vec<Runtime<R>>,
    /// The rescued workers whose buffers are open, each with what wakes the task that waits for its turn.
    open: BTreeMap<WorkerId, Arc<Notify>>,
    /// Those whose buffers drain.
    draining: BTreeSet<WorkerId>,
    /// The number that the next one gets.
    next: u64,
}

/// A runtime that has guards.
struct Runtime<R> {
    id: Id,
    guards: usize,
    /// To be waited for by the last guard.
    rescues: Vec<R>,
}

/// Names a rescued worker; ordered as the buffers were built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerId {
    buffer: u64,
    number: u64,
}

impl<R> Runtimes<R> {
    pub(crate) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                runtimes: Vec::new(),
                open: BTreeMap::new(),
                draining: BTreeSet::new(),
                next: 0,
            }),
            died: Notify::const_new(),
        }
    }

    /// A guard comes.
    pub(crate) fn enter(&self, id: Id) {
        let mut state = self.state.lock();
        if let Some(runtime) = state.runtimes.iter_mut().find(|runtime| runtime.id == id) {
            runtime.guards += 1;
            return;
        }
        state.runtimes.push(Runtime {
            id,
            guards: 1,
            rescues: Vec::new(),
        });
    }

    /// A guard goes. Returns the rescues to wait for, if it was the last.
    pub(crate) fn leave(&self, id: Id, rescue: Option<R>) -> Vec<R> {
        let mut state = self.state.lock();
        let Some(index) = state.runtimes.iter().position(|runtime| runtime.id == id) else {
            // By invariant 1 it is there.
            return rescue.into_iter().collect();
        };
        let runtime = &mut state.runtimes[index];
        runtime.rescues.extend(rescue);
        runtime.guards -= 1;
        if runtime.guards > 0 {
            return Vec::new();
        }
        let runtime = state.runtimes.swap_remove(index);
        drop(state);
        self.died.notify_waiters();
        runtime.rescues
    }

    /// A worker of an open buffer is rescued.
    pub(crate) fn stay_open(&self, buffer: u64) -> WorkerId {
        let mut state = self.state.lock();
        let worker = state.name(buffer);
        state.open.insert(worker, Arc::new(Notify::new()));
        worker
    }

    /// A worker of a buffer that drains is rescued.
    pub(crate) fn drain(&self, buffer: u64) -> WorkerId {
        let mut state = self.state.lock();
        let worker = state.name(buffer);
        state.draining.insert(worker);
        worker
    }

    /// Ends the wait of a worker for its buffer's turn, if that is still to come; says whether the worker has time left to drain.
    pub(crate) fn force_turn(&self, worker: WorkerId) -> bool {
        let mut state = self.state.lock();
        if let Some(woken) = state.open.remove(&worker) {
            state.draining.insert(worker);
            woken.notify_one();
        }
        state.draining.contains(&worker)
    }

    /// The buffer of a rescued worker was open and drains now.
    pub(crate) fn begin_drain(&self, worker: WorkerId) {
        let mut state = self.state.lock();
        // By invariant 3 it may have left.
        if state.open.remove(&worker).is_some() {
            state.draining.insert(worker);
        }
        state.wake_next();
    }

    /// A rescued worker is through, or its time is up.
    pub(crate) fn through(&self, worker: WorkerId) {
        let mut state = self.state.lock();
        state.open.remove(&worker);
        state.draining.remove(&worker);
        state.wake_next();
    }

    /// Waits until the last guard of a runtime is gone: from then on, all that is rescued from it is known.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn dead(&self, id: Id) {
        loop {
            let mut died = pin!(self.died.notified());
            died.as_mut().enable();
            if !self.state.lock().runtimes.iter().any(|runtime| runtime.id == id) {
                return;
            }
            died.await;
        }
    }

    /// Waits until it is the turn of the worker's buffer to close: no other drains, and no open one was built after it, whichever
    /// runtimes they are rescued from. A worker that has left does not wait.
    ///
    /// # Cancel safety
    ///
    /// Safe: a wake-up that is lost belongs to this worker alone.
    pub(crate) async fn turn(&self, worker: WorkerId) {
        loop {
            let woken = {
                let state = self.state.lock();
                match state.open.get(&worker) {
                    Some(woken) if !state.has_turn(worker.buffer) => Arc::clone(woken),
                    _ => return,
                }
            };
            woken.notified().await;
        }
    }
}

impl<R> State<R> {
    fn name(&mut self, buffer: u64) -> WorkerId {
        self.next += 1;
        let number = self.next;
        WorkerId { buffer, number }
    }

    /// Whether it is the turn of `buffer` to close.
    fn has_turn(&self, buffer: u64) -> bool {
        let is_last = self
            .open
            .keys()
            .next_back()
            .is_none_or(|last| last.buffer <= buffer);
        let ends = [self.draining.first(), self.draining.last()];
        is_last && ends.into_iter().flatten().all(|drains| drains.buffer == buffer)
    }

    /// Wakes the workers of the buffer whose turn it is.
    fn wake_next(&self) {
        let Some(last) = self.open.keys().next_back() else {
            return;
        };
        if self.has_turn(last.buffer) {
            let workers = self.open.iter().rev();
            let of_it = workers.take_while(|(worker, _)| worker.buffer == last.buffer);
            of_it.for_each(|(_, woken)| woken.notify_one());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_test::{assert_pending, assert_ready, task};

    impl<R> State<R> {
        fn is_empty(&self) -> bool {
            self.runtimes.is_empty() && self.open.is_empty() && self.draining.is_empty()
        }
    }

    #[tokio::test]
    async fn what_is_open_closes_when_nothing_drains_any_more_and_the_last_built_first() {
        let id = tokio::runtime::Handle::current().id();
        let runtimes = Runtimes::<()>::new();
        for _ in 0..3 {
            runtimes.enter(id);
        }
        let draining = runtimes.drain(3);
        let open = [1, 2].map(|buffer| runtimes.stay_open(buffer));
        let mut dead = task::spawn(runtimes.dead(id));
        let [mut first, mut second] = open.map(|worker| task::spawn(runtimes.turn(worker)));
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
        assert!(!first.is_woken() && second.is_woken());
        assert_ready!(second.poll());
        runtimes.begin_drain(open[1]);
        assert_pending!(first.poll());
        runtimes.through(open[1]);
        assert!(first.is_woken());
        assert_ready!(first.poll());
        runtimes.begin_drain(open[0]);
        runtimes.through(open[0]);
        assert!(runtimes.state.lock().is_empty(), "nothing is left");
    }

    #[test]
    fn what_is_given_up_keeps_nobody_from_its_turn_and_counts_once() {
        let runtimes = Runtimes::<()>::new();
        let draining = [3, 3].map(|buffer| runtimes.drain(buffer));
        let open = [1, 2].map(|buffer| runtimes.stay_open(buffer));
        let [mut first, mut second] = open.map(|worker| task::spawn(runtimes.turn(worker)));
        runtimes.through(draining[0]);
        // It ends after all.
        runtimes.through(draining[0]);
        assert_pending!(second.poll());
        runtimes.through(draining[1]);
        assert_ready!(second.poll());
        assert_pending!(first.poll());
        runtimes.through(open[1]);
        assert_ready!(first.poll());
        runtimes.begin_drain(open[1]);
        runtimes.through(open[1]);
        runtimes.through(open[0]);
        assert!(runtimes.state.lock().is_empty(), "nothing is left");
    }

    #[test]
    fn a_turn_that_is_forced_comes_once_whatever_drains() {
        let runtimes = Runtimes::<()>::new();
        let draining = runtimes.drain(2);
        let open = runtimes.stay_open(1);
        let mut turn = task::spawn(runtimes.turn(open));
        assert_pending!(turn.poll());
        assert!(runtimes.force_turn(open));
        assert!(turn.is_woken());
        assert_ready!(turn.poll());
        runtimes.begin_drain(open);
        // It still has time.
        assert!(runtimes.force_turn(open));
        runtimes.through(open);
        assert!(!runtimes.force_turn(open));
        runtimes.through(draining);
        assert!(runtimes.state.lock().is_empty(), "nothing is left");
    }
}
