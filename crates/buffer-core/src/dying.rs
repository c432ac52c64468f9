//! Keeps account of runtimes that die: whose guards are left, what is rescued from them, and which buffer closes next.
//!
//! A buffer whose last handle is gone drains. Another one is still open: its handles lie in a static, in a thread of the program's
//! own, or in the sink of a buffer that feeds it. It stays open until those that drain are through, as what they drop may be its
//! last handle. Then what is open still is closed, the buffer that was built last first: a sink is built after the buffer
//! that it feeds.
//!
//! Invariants
//! 1. A guard is counted from before its task is spawned until it is dropped, and its rescue from before that.
//! 2. The guard that leaves its runtime last waits for all rescues of that runtime; no other guard waits, so none of them
//!    uses up another's time.

use std::pin::pin;

use parking_lot::Mutex;
use tokio::runtime::Id;
use tokio::sync::Notify;

/// What of a runtime's workers is left.
struct Runtime<R> {
    id: Id,
    guards: usize,
    /// Rescued workers whose buffer drains.
    draining: usize,
    /// The buffers of rescued workers that are open, by their number, once for each worker.
    open: Vec<u64>,
    /// To be waited for by the last guard.
    rescues: Vec<R>,
}

/// All runtimes that buffers run on, and those that are dead until nothing is left of them.
pub(crate) struct Runtimes<R> {
    all: Mutex<Vec<Runtime<R>>>,
    changed: Notify,
}

impl<R> Runtimes<R> {
    pub(crate) const fn new() -> Self {
        Self {
            all: Mutex::new(Vec::new()),
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
                draining: 0,
                open: Vec::new(),
                rescues: Vec::new(),
            });
            all.len() - 1
        });
        let runtime = &mut all[index];
        let answer = change(runtime);
        if runtime.guards == 0 && runtime.draining == 0 && runtime.open.is_empty() {
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
    pub(crate) fn stay_open(&self, id: Id, buffer: u64) {
        self.change(id, |runtime| runtime.open.push(buffer));
    }

    /// A worker of a buffer that drains is rescued.
    pub(crate) fn drain(&self, id: Id) {
        self.change(id, |runtime| runtime.draining += 1);
    }

    /// The buffer of a rescued worker was open and drains now.
    pub(crate) fn begin_drain(&self, id: Id, buffer: u64) {
        self.change(id, |runtime| {
            let index = runtime.open.iter().position(|open| *open == buffer);
            runtime.open.swap_remove(index.expect("it was open"));
            runtime.draining += 1;
        });
    }

    /// A rescued worker is through.
    pub(crate) fn through(&self, id: Id) {
        self.change(id, |runtime| runtime.draining -= 1);
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

    /// Waits until it is for `buffer` to close: nothing drains, and no open buffer was built after it, whichever runtimes they
    /// are rescued from.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn turn(&self, buffer: u64) {
        self.until(|all| {
            let nothing_drains = all.iter().all(|runtime| runtime.draining == 0);
            let last = all.iter().flat_map(|runtime| &runtime.open).max();
            nothing_drains && last.is_none_or(|last| *last == buffer)
        })
        .await;
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
        runtimes.drain(id);
        runtimes.stay_open(id, 1);
        runtimes.stay_open(id, 2);
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
        runtimes.through(id);
        assert_pending!(first.poll());
        assert_ready!(second.poll());
        runtimes.begin_drain(id, 2);
        assert_pending!(first.poll());
        runtimes.through(id);
        assert_ready!(first.poll());
        runtimes.begin_drain(id, 1);
        runtimes.through(id);
        assert!(runtimes.all.lock().is_empty(), "nothing is left");
    }
}
