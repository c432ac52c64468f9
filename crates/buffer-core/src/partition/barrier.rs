//! A place in a partition's queue: once the worker gets there, everything admitted before it is settled.

use tokio::sync::watch;

use crate::caught::with_caught_waker;
use crate::tally::Tally;

/// The end of a barrier that lies in the queue.
pub(crate) struct Barrier(watch::Sender<Passage>);

/// What is known of a barrier.
#[derive(Debug, Clone, Copy, Default)]
struct Passage {
    /// The tally when the worker got there.
    reached: Option<Tally>,
    /// The tally when an item from behind the barrier was first dropped because there was no room. What is dropped for that reason
    /// from then on does not belong to those who wait.
    passed_over: Option<Tally>,
}

impl Passage {
    /// The part of a tally that those who wait here are to see.
    fn cut(&self, tally: Tally) -> Tally {
        match &self.passed_over {
            Some(then) => tally.with_overflow_of(then),
            None => tally,
        }
    }
}

impl Barrier {
    pub(crate) fn new() -> (Self, BarrierWait) {
        let (sender, receiver) = watch::channel(Passage::default());
        (Self(sender), BarrierWait(receiver))
    }

    /// The worker is here. Wakes those who wait, so it must not be called under a lock.
    pub(crate) fn reach(self, tally: Tally) {
        self.0
            .send_modify(|passage| passage.reached = Some(passage.cut(tally)));
    }

    /// From now on, items that came after it are dropped. Wakes nobody.
    pub(crate) fn pass_over(&self, tally: Tally) {
        self.0.send_if_modified(|passage| {
            passage.passed_over.get_or_insert(tally);
            false
        });
    }

    /// One more wait at this barrier.
    pub(crate) fn wait(&self) -> BarrierWait {
        BarrierWait(self.0.subscribe())
    }

    /// Whether nobody waits here any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.is_closed()
    }
}

/// The end of a barrier that somebody waits at.
#[derive(Clone)]
pub(crate) struct BarrierWait(watch::Receiver<Passage>);

/// The worker ended before it got there.
pub(crate) struct WorkerEnded;

impl BarrierWait {
    /// The part of a tally that belongs to those who wait: all of it until the worker got there, and nothing that overflowed behind.
    pub(crate) fn cut(&self, tally: Tally) -> Tally {
        let passage = self.0.borrow();
        passage.reached.unwrap_or_else(|| passage.cut(tally))
    }

    /// The tally when the worker got there.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn reached(&mut self) -> Result<Tally, WorkerEnded> {
        let passage = with_caught_waker(self.0.wait_for(|passage| passage.reached.is_some())).await;
        passage
            .ok()
            .and_then(|passage| passage.reached)
            .ok_or(WorkerEnded)
    }
}
