//! The window that ends next: its number, and the counts of the one before, which are on their way.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::caught::{caught, drop_caught};
use crate::count::{Count, fitting};
use crate::in_flight::InFlight;
use crate::taken::Taken;
use crate::turn::Turn;

pub(crate) struct Window<K> {
    /// How many windows have ended.
    pub(crate) number: u64,
    /// The last of them that left sums, as counts of their keys were on their way; zero if none has.
    pub(crate) last_sparing: u64,
    /// The start of the last window that ended.
    last: SystemTime,
    /// When the running window began, if that is earlier than its driver knows.
    pub(crate) from: Option<Instant>,
    /// Counts for which no partition of the buffer was free yet, in the order in which they were made.
    pub(crate) rest: VecDeque<Count<K>>,
    /// How many counts were made so far.
    pub(crate) made: u64,
    /// How the window ends once nothing is left of the one before.
    pub(crate) owed: Turn,
    pub(crate) in_flight: InFlight<K>,
    /// Whether the last window ended early and left sums, as counts of their keys were on their way. Until some are settled, another
    /// early end would free little.
    pub(crate) ended_in_vain: bool,
    /// How many counts the last window had: the next is likely to have as many.
    pub(crate) expected: usize,
    pub(crate) tallies: WindowTallies,
    pub(crate) closed: bool,
    send_zero_sums: bool,
}

/// Numbers that no ledger of counts shows.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct WindowTallies {
    pub(crate) merged_back: u64,
    pub(crate) ended_early: u64,
}

impl<K> Window<K> {
    pub(crate) fn new(send_zero_sums: bool) -> Self {
        Self {
            number: 0,
            last_sparing: 0,
            last: SystemTime::UNIX_EPOCH,
            from: None,
            rest: VecDeque::new(),
            made: 0,
            owed: Turn::Not,
            in_flight: InFlight::new(),
            ended_in_vain: false,
            expected: 0,
            tallies: WindowTallies::default(),
            closed: false,
            send_zero_sums,
        }
    }

    /// The start of a window that ends now: later than the one before, whatever the system's clock does. By invariant 3 of
    /// `windows.rs`.
    pub(crate) fn next_start(&mut self, begun: Option<SystemTime>) -> SystemTime {
        /// Systems and databases have clocks that don't tell nanoseconds apart.
        const LATER: Duration = Duration::from_micros(1);
        let begun = begun.unwrap_or_else(SystemTime::now);
        self.last = begun.max(self.last + LATER);
        self.last
    }

    /// Offers the rest to `insert`, `batch_size` counts at a time and the first ones first, until it leaves some. Says whether there
    /// still is a rest.
    pub(crate) fn offer(&mut self, batch_size: usize, mut insert: impl FnMut(&mut Vec<Count<K>>)) -> bool {
        while !self.rest.is_empty() {
            let most = batch_size.min(self.rest.len());
            let mut offered: Vec<_> = self.rest.drain(..most).collect();
            let inserted = catch_unwind(AssertUnwindSafe(|| insert(&mut offered)));
            let left = !offered.is_empty();
            // Put back before a panic goes on, which would cost them.
            let unsent = offered.into_iter().rev();
            unsent.for_each(|count| self.rest.push_front(count));
            inserted.unwrap_or_else(|panic| resume_unwind(panic));
            if left {
                return true;
            }
        }
        self.rest = VecDeque::new();
        false
    }
}

impl<K: Eq + Clone> Window<K> {
    /// Makes counts of all gathered sums, for the window that began at `start`. Hands back what it could not make counts of.
    pub(crate) fn send_gathered(&mut self, start: SystemTime) -> Vec<Taken<K>> {
        let (gathered, apart) = self.in_flight.gathered();
        self.rest.reserve(gathered.len());
        let send = |(place, taken)| {
            let is_apart = apart.binary_search(&place).is_ok();
            let start = if is_apart { self.next_start(None) } else { start };
            self.send(taken, start)
        };
        gathered.into_iter().enumerate().filter_map(send).collect()
    }

    /// Makes counts of a sum: one, and more for what does not fit into it, in windows of their own. Hands back what it could not make
    /// counts of, as the key can't be cloned for them.
    fn send(&mut self, taken: Taken<K>, mut window_start: SystemTime) -> Option<Taken<K>> {
        let Taken { hash, key, mut sum } = taken;
        if sum == 0 && !self.send_zero_sums {
            self.in_flight.revise(hash, &key, 0, 0);
            drop_caught(key);
            return None;
        }
        let mut counts = 0;
        loop {
            let delta = fitting(sum);
            let left = sum - i128::from(delta);
            if left == 0 {
                if counts > 0 {
                    self.in_flight.revise(hash, &key, counts + 1, 0);
                }
                self.push(key, delta, window_start);
                return None;
            }
            let Some(copy) = caught(|| key.clone()) else {
                self.in_flight.revise(hash, &key, counts, sum);
                return Some(Taken { hash, key, sum });
            };
            self.push(copy, delta, window_start);
            counts += 1;
            sum = left;
            window_start = self.next_start(None);
        }
    }

    fn push(&mut self, key: K, delta: i64, window_start: SystemTime) {
        self.in_flight.send();
        self.made += 1;
        self.rest.push_back(Count {
            key,
            delta,
            window_start,
        });
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use super::*;

    /// Fails when what was offered is lost in the unwinding.
    #[test]
    fn a_panic_while_counts_are_offered_costs_none_of_them() {
        let mut window = Window::new(false);
        (0..10).for_each(|key| window.push(key, 1, SystemTime::UNIX_EPOCH));
        let scripted = |counts: &mut Vec<Count<u32>>| {
            counts.pop();
            panic!("scripted");
        };
        assert!(caught(|| window.offer(4, scripted)).is_none());
        let mut inserted = Vec::new();
        assert!(!window.offer(4, |counts| inserted.append(counts)));
        assert_eq!(inserted.len(), 9, "all but the one that was taken");
    }

    /// Fails when it is later by less than some systems' clocks tell apart.
    #[test]
    fn every_window_begins_later_than_the_one_before_by_what_any_clock_shows() {
        let mut window = Window::<u32>::new(false);
        let first = window.next_start(None);
        let second = window.next_start(Some(first));
        let third = window.next_start(Some(SystemTime::UNIX_EPOCH));
        for later in [second.duration_since(first), third.duration_since(second)] {
            assert!(later.is_ok_and(|later| later >= Duration::from_micros(1)));
        }
    }
}
