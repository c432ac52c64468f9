//! The end of a buffer: its deadline, the workers that still drain, and who gets what they leave.
//!
//! Invariants
//! 1. What a worker leaves is handed over before the worker counts as gone.
//! 2. Leftovers are claimed once: by a waiter, or, when nobody waits, by whoever notices that first: the finish, the last waiter
//!    that gives up, or last items that come after both.
//! 3. Leftovers are counted in the step that claims them: the ledger of a drain that is through has nothing pending.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::caught::with_caught_waker;
use crate::outcome::flush_error::FlushError;
use crate::outcome::size::Size;
use crate::sync::{Mutex, Notify};

/// The state of the end.
pub(crate) struct Drain<T> {
    end: Mutex<End<T>>,
    /// Wakes whoever waits for the start, the deadline, the end or a claim.
    changed: Notify,
}

struct End<T> {
    /// Set when the drain begins.
    deadline: Option<Instant>,
    /// Whether the deadline is by the clock of the rescues.
    is_restarted: bool,
    working: usize,
    waiting: usize,
    left: Vec<Left<T>>,
    sink_error: Option<FlushError>,
    finished: bool,
}

/// What setting a deadline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// It is the drain's first.
    Begun,
    /// It is before the one that the drain had.
    BroughtForward,
    /// The drain keeps the one that it had.
    Unchanged,
}

/// What the rescue of a worker finds.
#[derive(Debug)]
pub(crate) struct TimeForRescue {
    pub(crate) limit: Duration,
    /// Whether the buffer has not begun to drain.
    pub(crate) is_open: bool,
    /// The deadline to set anew, by whichever worker runs first. One that is rescued later would move it past the time for which the
    /// first is waited for.
    pub(crate) restarts: Option<Instant>,
}

/// What one partition's worker could not deliver in time.
#[derive(Debug)]
pub(crate) struct Left<T> {
    pub(crate) partition: usize,
    pub(crate) items: Vec<T>,
    pub(crate) bytes: u64,
}

impl<T> Left<T> {
    pub(crate) fn none(partition: usize) -> Self {
        Self {
            partition,
            items: Vec::new(),
            bytes: 0,
        }
    }

    pub(crate) fn add(&mut self, mut items: Vec<T>, bytes: u64) {
        self.items.append(&mut items);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    pub(crate) fn size(&self) -> Size {
        Size {
            items: self.items.len() as u64,
            bytes: self.bytes,
        }
    }
}

impl<T> Drain<T> {
    pub(crate) fn new(workers: usize) -> Self {
        let end = End {
            deadline: None,
            is_restarted: false,
            working: workers,
            waiting: 0,
            left: Vec::new(),
            sink_error: None,
            finished: false,
        };
        Self {
            end: Mutex::new(end),
            changed: Notify::new(),
        }
    }

    /// Sets the deadline, or brings it forward, and says which.
    pub(crate) fn begin(&self, deadline: Instant) -> Begin {
        let mut end = self.end.lock();
        let begin = match end.deadline {
            None => Begin::Begun,
            Some(before) if deadline < before => Begin::BroughtForward,
            Some(_) => return Begin::Unchanged,
        };
        end.deadline = Some(deadline);
        drop(end);
        self.changed.notify_waiters();
        begin
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.end.lock().deadline.is_some()
    }

    /// Resolves when the drain has begun.
    pub(crate) async fn begun(&self) {
        self.until(|end| end.deadline.is_some()).await;
    }

    /// Resolves when the deadline has passed; without a drain it never does.
    pub(crate) async fn deadline_passed(&self) {
        loop {
            let deadline = self.end.lock().deadline;
            let is_another = |end: &End<T>| end.deadline != deadline;
            match deadline {
                None => self.until(is_another).await,
                // The timer would round up.
                Some(at) if at <= Instant::now() => return,
                Some(at) => tokio::select! {
                    () = sleep_until(at) => return,
                    () = self.until(is_another) => {}
                },
            }
        }
    }

    /// The time that the rescue of a worker has: the whole of `drain_timeout`, or what is left of it to somebody who waits. The end of a
    /// process does not sit out a longer close.
    pub(crate) fn time_for_rescue(&self, drain_timeout: Duration) -> TimeForRescue {
        let mut end = self.end.lock();
        // That of an open buffer will be by the rescue's clock.
        end.is_restarted |= end.deadline.is_none();
        let limit = match end.deadline {
            Some(deadline) if end.waiting > 0 => {
                let left = deadline.saturating_duration_since(Instant::now());
                left.min(drain_timeout)
            }
            Some(_) | None => drain_timeout,
        };
        TimeForRescue {
            limit,
            is_open: end.deadline.is_none(),
            restarts: end.deadline.filter(|_| !end.is_restarted),
        }
    }

    /// Sets the deadline `seen` anew, by the clock of the rescue's runtime. If another one was set meanwhile, that one holds.
    pub(crate) fn restart(&self, seen: Instant, deadline: Instant) {
        let mut end = self.end.lock();
        if end.deadline != Some(seen) {
            return;
        }
        end.deadline = Some(deadline);
        end.is_restarted = true;
        drop(end);
        self.changed.notify_waiters();
    }

    /// The time until the deadline, if the drain has begun.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let deadline = self.end.lock().deadline;
        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// A worker goes and leaves `left`, by invariant 1 in one step. Says whether it is the last, which then closes the sink and calls
    /// `finish`.
    pub(crate) fn leave(&self, left: Left<T>) -> bool {
        let mut end = self.end.lock();
        if !left.items.is_empty() {
            end.left.push(left);
        }
        end.working -= 1;
        end.working == 0
    }

    /// What comes after its worker has gone is left over, too. Returns the leftovers that nobody waits for, counted by `count`.
    pub(crate) fn add(&self, left: Left<T>, count: impl FnOnce(&[Left<T>])) -> Vec<Left<T>> {
        let mut end = self.end.lock();
        end.left.push(left);
        end.take_unclaimed(count)
    }

    /// The sink is closed. Returns the leftovers that nobody waits for, counted by `count`.
    pub(crate) fn finish(
        &self,
        sink_error: Option<FlushError>,
        count: impl FnOnce(&[Left<T>]),
    ) -> Vec<Left<T>> {
        let unclaimed = {
            let mut end = self.end.lock();
            end.sink_error = sink_error;
            end.finished = true;
            end.take_unclaimed(count)
        };
        self.changed.notify_waiters();
        unclaimed
    }

    /// Registers a waiter, which owes one `unregister`.
    pub(crate) fn register(&self) {
        self.end.lock().waiting += 1;
    }

    /// A waiter goes. Returns the leftovers that nobody waits for now, counted by `count`.
    pub(crate) fn unregister(&self, count: impl FnOnce(&[Left<T>])) -> Vec<Left<T>> {
        let unclaimed = {
            let mut end = self.end.lock();
            end.waiting -= 1;
            end.take_unclaimed(count)
        };
        self.changed.notify_waiters();
        unclaimed
    }

    /// A registered waiter takes what is left, counted by `count`.
    pub(crate) fn claim(&self, count: impl FnOnce(&[Left<T>])) -> (Vec<Left<T>>, Option<FlushError>) {
        let claimed = {
            let mut end = self.end.lock();
            let mut left = std::mem::take(&mut end.left);
            left.sort_by_key(|left| left.partition);
            count(&left);
            (left, end.sink_error.take())
        };
        self.changed.notify_waiters();
        claimed
    }

    /// How the sink closed, if nobody has claimed that.
    pub(crate) fn take_sink_error(&self) -> Option<FlushError> {
        self.end.lock().sink_error.take()
    }

    /// Waits for `finish`.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn finished(&self) {
        with_caught_waker(self.until(|end| end.finished)).await;
    }

    /// Waits for `finish` and for the claim of what was left: everything is settled then.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only looks.
    pub(crate) async fn settled(&self) {
        with_caught_waker(self.until(|end| end.finished && end.left.is_empty())).await;
    }

    async fn until(&self, reached: impl Fn(&End<T>) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if reached(&self.end.lock()) {
                return;
            }
            changed.await;
        }
    }
}

impl<T> End<T> {
    /// Takes what nobody waits for, by invariants 2 and 3: once, and counted in the same step.
    fn take_unclaimed(&mut self, count: impl FnOnce(&[Left<T>])) -> Vec<Left<T>> {
        if !self.finished || self.waiting > 0 {
            return Vec::new();
        }
        count(&self.left);
        std::mem::take(&mut self.left)
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Fails when each rescued worker restarts the deadline.
    #[test]
    fn the_first_rescue_alone_restarts_the_deadline() {
        let (drain, deadline) = (Drain::<u32>::new(2), Instant::now() + LIMIT);
        drain.begin(deadline);
        // Any of those that are rescued together may run first, and none before the restart.
        for _ in 0..2 {
            assert_eq!(drain.time_for_rescue(LIMIT).restarts, Some(deadline));
        }
        drain.restart(deadline, deadline + LIMIT);
        assert_eq!(drain.time_for_rescue(LIMIT).restarts, None);
        assert!(drain.time_left().is_some_and(|left| left > LIMIT));
    }

    /// Fails when a rescue sets the deadline whatever it has become.
    #[test]
    fn a_rescue_does_not_restart_a_deadline_that_was_brought_forward() {
        let (drain, deadline) = (Drain::<u32>::new(1), Instant::now() + LIMIT);
        drain.begin(deadline);
        let rescue = drain.time_for_rescue(LIMIT);
        drain.begin(deadline - LIMIT / 2);
        drain.restart(rescue.restarts.unwrap(), deadline + LIMIT);
        assert!(drain.time_left().is_some_and(|left| left <= LIMIT / 2));
    }
}
