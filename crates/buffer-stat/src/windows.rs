//! Turns sums into counts, window by window, and puts what comes back into the sums again.
//!
//! Invariants
//! 1. A sum is in the tables, in `rest`, or with the buffer. It moves under the lock of `current`, so whoever holds that sees it
//!    in one place, and a close misses none.
//! 2. Nothing enters the tables after they are closed, except what the last counts left.
//! 3. No two counts of a key have the same window: every window begins later than the one before.
//! 4. A key with an unsettled count is not handed over again until the close: its increments go on summing. So a batch that can't be
//!    settled blocks only its own partition, whatever is in it.

use std::borrow::Borrow;
use std::hash::Hash;

use tokio::time::Instant;

use crate::begin::Begin;
use crate::caught::caught;
use crate::changes::Changes;
use crate::count::Count;
use crate::in_flight::{OnItsWay, Refused};
use crate::sums::Sums;
use crate::sync::{Mutex, Notify};
use crate::take::Spare;
use crate::taken::Taken;
use crate::turn::Turn;
use crate::window::{Window, WindowTallies};

/// The sums, and what is known of their window. The handles, the driver, the sink and the buffer's `last_items` share it.
pub(crate) struct Windows<K> {
    pub(crate) sums: Sums<K>,
    begin: Begin,
    current: Mutex<Window<K>>,
    /// Wakes the driver: a window has begun, the rest may go on, or the tables were closed.
    pub(crate) wake: Notify,
}

/// The counters are closed: counts stay where they are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WindowsClosed;

/// What a hand-over came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandedOver {
    /// Whether the window has ended. While a rest of the last one is left it has not; it ends when that is gone.
    pub(crate) turned: bool,
    /// How many windows have ended.
    pub(crate) number: u64,
    /// The last window that left sums when it ended, because counts of their keys were not settled.
    pub(crate) last_sparing: u64,
    /// How many counts were made so far.
    pub(crate) made: u64,
    /// How many of these, from the first on, the buffer has been given. For the others no partition was free yet.
    pub(crate) handed_on: u64,
}

/// What became of the sum of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyTurn {
    /// Its count goes after those that were made before, if there was a sum.
    Goes,
    /// It stays, as a count of the key is not settled.
    StaysForItsCount,
    /// It stays for the end of the window, which is due and has to wait for a rest. One that went before would be one more.
    StaysForTheWindow,
}

impl<K: Hash + Eq + Clone> Windows<K> {
    pub(crate) fn new(sums: Sums<K>, send_zero_sums: bool) -> Self {
        Self {
            sums,
            begin: Begin::new(),
            current: Mutex::new(Window::new(send_zero_sums)),
            wake: Notify::new(),
        }
    }

    /// Notes what increments, or sums that came back, changed besides sums. Only a window's first increments change such things, so
    /// the others touch nothing shared.
    #[inline]
    pub(crate) fn note(&self, changes: Changes) {
        if changes.is_any() && self.begin.note(changes) {
            self.wake.notify_one();
        }
    }

    /// Notes the start of a window, if it is one; returns the window's number, and its start if that is in the past.
    pub(crate) fn begin(&self) -> (u64, Option<Instant>) {
        let mut window = self.current.lock();
        self.begin.note_now();
        (window.number, window.from.take())
    }

    /// The number of the running window.
    pub(crate) fn number(&self) -> u64 {
        self.current.lock().number
    }

    /// Whether there are too many keys, so that the window should end early. While counts of their keys are on their way, it ends
    /// once for each time that some are settled, and not over and over.
    pub(crate) fn should_end_early(&self) -> bool {
        self.begin.is_crowded() && !self.current.lock().ended_in_vain
    }

    /// Whether there is a rest. It goes on as partitions come free, even while a flush waits for one that does not.
    pub(crate) fn has_rest(&self) -> bool {
        self.rest() > 0
    }

    /// How many counts there are in the rest.
    pub(crate) fn rest(&self) -> u64 {
        self.current.lock().rest.len() as u64
    }

    /// How many counts are not settled: those of the rest, those that the buffer has, and the last ones on their way to it.
    pub(crate) fn unsettled(&self) -> u64 {
        self.current.lock().in_flight.counts()
    }

    /// The last window that left sums when it ended; zero once the close has taken all.
    pub(crate) fn last_sparing(&self) -> u64 {
        self.current.lock().last_sparing
    }

    pub(crate) fn tallies(&self) -> WindowTallies {
        self.current.lock().tallies
    }

    /// Offers the rest to `insert`, `batch_size` counts at a time, until it leaves some. If nothing is left, ends the window as
    /// `turn` or a call during that rest says, and goes on with its counts. If a rest is left, the call that finds it gone ends the
    /// window. If `of` is the number of a window that has ended meanwhile, `turn` is over with it.
    ///
    /// There is no await in between, so no sum can be lost on the way.
    pub(crate) fn hand_over(
        &self,
        turn: Turn,
        of: Option<u64>,
        batch_size: usize,
        mut insert: impl FnMut(&mut Vec<Count<K>>),
    ) -> HandedOver {
        let mut window = self.current.lock();
        let is_over = of.is_some_and(|number| number != window.number);
        window.owed = window.owed.max(if is_over { Turn::Not } else { turn });
        let rest = window.offer(batch_size, &mut insert);
        let turned = !rest && !window.closed && window.owed != Turn::Not;
        if turned {
            let turn = std::mem::replace(&mut window.owed, Turn::Not);
            let spared = self.turn(&mut window, turn);
            if spared {
                window.last_sparing = window.number;
            }
            window.ended_in_vain = spared && turn == Turn::Early;
            window.offer(batch_size, insert);
        }
        HandedOver {
            turned: turned || is_over,
            number: window.number,
            last_sparing: window.last_sparing,
            made: window.made,
            handed_on: window.made - window.rest.len() as u64,
        }
    }

    /// Ends the window of one key, and begins a fresh one for it. Its counts go behind the rest.
    pub(crate) fn turn_key<Q>(&self, key: &Q) -> KeyTurn
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (key, hash) = (key.to_owned(), self.sums.hash(key));
        let mut window = self.current.lock();
        // By invariant 2: otherwise a key without a place would be given one.
        if window.closed {
            return KeyTurn::Goes;
        }
        // By invariant 4.
        if window.in_flight.has(hash, &key) {
            return KeyTurn::StaysForItsCount;
        }
        if !window.rest.is_empty() && window.owed != Turn::Not {
            return KeyTurn::StaysForTheWindow;
        }
        if let Some(taken) = self.sums.take_key(hash, &key) {
            let start = window.next_start(None);
            window.in_flight.begin_window(1);
            let refused = window.in_flight.gather(taken, OnItsWay::Waits).err();
            let left = window.send_gathered(start);
            window.in_flight.give_back();
            let left = refused.map(Refused::into_sum).into_iter().chain(left);
            self.note(self.sums.add_back(left));
        }
        drop(window);
        // Wakes the driver, which forgets the key if nothing comes of it.
        self.wake.notify_one();
        KeyTurn::Goes
    }

    /// Puts the counts that `take` hands out back into the sums; `hashes` are those of their keys. They were not delivered, and never
    /// will be as they are.
    pub(crate) fn merge_back(
        &self,
        hashes: Vec<u64>,
        take: impl FnOnce() -> Vec<Count<K>>,
    ) -> Result<(), WindowsClosed> {
        let mut window = self.current.lock();
        if window.closed {
            return Err(WindowsClosed);
        }
        let counts = take();
        window.tallies.merged_back += counts.len() as u64;
        for (hash, count) in hashes.iter().zip(&counts) {
            window.in_flight.remove(*hash, count);
        }
        let sums = hashes.into_iter().zip(counts).map(|(hash, count)| Taken {
            hash,
            key: count.key,
            sum: count.delta.into(),
        });
        self.note(self.sums.add_back(sums));
        drop(window);
        self.wake.notify_one();
        Ok(())
    }

    /// Notes that `settled` counts were settled, `counts` among them.
    pub(crate) fn settle(&self, settled: usize, counts: &[Count<K>]) {
        let mut window = self.current.lock();
        if !window.in_flight.is_all(settled) {
            drop(window);
            // Hashed without the lock: it is user code, whose panic must not keep the others on their way.
            let hash = |count: &Count<K>| caught(|| self.sums.hash(&count.key));
            let hashes: Vec<Option<u64>> = counts.iter().map(hash).collect();
            window = self.current.lock();
            for (hash, count) in hashes.into_iter().zip(counts) {
                // A key that stayed on its way would not be sent again.
                let hash = hash.or_else(|| window.in_flight.hash_of(&count.key));
                if let Some(hash) = hash {
                    window.in_flight.remove(hash, count);
                }
            }
        }
        window.in_flight.settle(settled);
        let ended_in_vain = std::mem::take(&mut window.ended_in_vain);
        let goes_on = ended_in_vain || !window.rest.is_empty();
        drop(window);
        if goes_on {
            self.wake.notify_one();
        }
    }

    /// What is counted of `key` and not settled: its sum plus what is on its way.
    pub(crate) fn outstanding<Q>(&self, key: &Q) -> i128
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.sums.hash(key);
        // By invariant 1 it is in one place.
        let window = self.current.lock();
        self.sums.sum(key) + window.in_flight.sum(hash, |other| other.borrow() == key)
    }

    /// All that is left; from now on no increment is accepted.
    pub(crate) fn last_counts(&self) -> Vec<Count<K>> {
        let mut window = self.current.lock();
        window.closed = true;
        // What was spared is among the last counts.
        window.last_sparing = 0;
        let start = window.next_start(self.begin.take().at);
        let expected = window.expected;
        window.in_flight.begin_window(expected);
        let mut refused = Vec::new();
        self.sums.take_last(|taken| {
            let gathered = window.in_flight.gather(taken, OnItsWay::Goes);
            refused.extend(gathered.err().map(Refused::into_sum));
        });
        let left = refused.into_iter().chain(window.send_gathered(start));
        // They stay outstanding: increments are refused, but the tables can be looked at.
        self.sums.add_back(left);
        let last = std::mem::take(&mut window.rest).into();
        drop(window);
        self.wake.notify_one();
        last
    }

    /// Ends the window; says whether sums were left: by invariant 4, or as the code of their keys panicked.
    fn turn(&self, window: &mut Window<K>, turn: Turn) -> bool {
        // Taken before the tables: an increment in between tells of itself for the next window, or does not have to.
        let begin = self.begin.take();
        window.tallies.ended_early += u64::from(turn == Turn::Early);
        window.number += 1;
        let start = window.next_start(begin.at);
        let expected = window.expected;
        window.in_flight.begin_window(expected);
        let gather = |taken| {
            let gathered = window.in_flight.gather(taken, OnItsWay::Waits);
            gathered.err().map(Refused::into_sum)
        };
        let mut left = match turn {
            Turn::InTime => self.sums.take(Spare::Fresh, gather),
            Turn::Now | Turn::Not => self.sums.take(Spare::Nothing, gather),
            Turn::Early => self.sums.take_all(gather),
        };
        // The sums of keys that were flushed by hand begin the next window.
        window.from = begin.fresh.filter(|_| left.fresh);
        let undivided = window.send_gathered(start);
        left.refused |= !undivided.is_empty();
        self.sums.add_back(undivided);
        // Where sums come to zero, no count will be settled.
        window.in_flight.give_back();
        window.expected = window.rest.len();
        if left.refused {
            // They begin a window that no increment announces. Nor does one tell that there are too many of them.
            self.note(Changes {
                first: true,
                fresh: false,
                crowded: turn == Turn::Early && !self.sums.places.has_more(),
            });
        }
        left.uncloned || left.refused
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use super::*;
    use crate::max_keys::{MaxKeys, Places};

    /// Fails when the timer of a window that a flush has ended meanwhile ends the next one.
    #[test]
    fn the_timer_of_a_window_that_has_ended_ends_no_other() {
        let places = Places::new(usize::MAX, MaxKeys::Refuse);
        let windows = Windows::new(Sums::new(std::num::NonZeroUsize::MIN, places), false);
        let add = || windows.note(windows.sums.add(&1, 1).expect("open"));
        let hand_over = |turn, of| {
            let mut taken = Vec::new();
            let handed = windows.hand_over(turn, of, 10, |counts| taken.append(counts));
            windows.settle(taken.len(), &taken);
            (handed.number, taken.len())
        };
        add();
        assert_eq!(hand_over(Turn::Now, None), (1, 1));
        add();
        assert_eq!(hand_over(Turn::InTime, Some(0)), (1, 0));
        assert_eq!(hand_over(Turn::InTime, Some(1)), (2, 1));
    }

    /// A flush beside a close would report them neither as pending nor as anything else.
    #[test]
    fn last_counts_are_unsettled_before_the_buffer_has_them() {
        let places = Places::new(usize::MAX, MaxKeys::Refuse);
        let windows = Windows::new(Sums::new(std::num::NonZeroUsize::MIN, places), false);
        for key in 0..3 {
            windows.note(windows.sums.add(&key, 1).expect("open"));
        }
        assert_eq!(windows.unsettled(), 0);
        let last = windows.last_counts();
        assert_eq!((windows.rest(), windows.unsettled()), (0, 3));
        windows.settle(last.len(), &last);
        assert_eq!(windows.unsettled(), 0);
    }

    /// Fails when a flush beside a close would say that sums are left: the broken copy `what_a_close_took_is_still_spared`.
    #[test]
    fn nothing_is_spared_any_more_when_the_last_counts_are_taken() {
        let places = Places::new(usize::MAX, MaxKeys::Refuse);
        let windows = Windows::new(Sums::new(std::num::NonZeroUsize::MIN, places), false);
        for number in 1..=2 {
            windows.note(windows.sums.add(&1, 1).expect("open"));
            windows.hand_over(Turn::Now, None, 10, Vec::clear);
            // The first count is not settled.
            assert_eq!(windows.last_sparing(), if number == 1 { 0 } else { 2 });
        }
        assert_eq!(windows.last_counts().len(), 1);
        assert_eq!(windows.last_sparing(), 0);
    }
}
