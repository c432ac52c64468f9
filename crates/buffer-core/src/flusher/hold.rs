//! Holds all partitions back while the sink is down, and lets one probe at a time go first.
//!
//! Invariants
//! 1. While held, at most one attempt begins at a time: that of the partition that has the right to probe.
//! 2. The right goes to the waiting partition that comes next after the one that had it last, so that one bad batch can't keep
//!    the others from finding out that the sink is back.
//! 3. The partition that has the right gives it back by `report` or `leave`.
//! 4. An outage is counted once: only its start and its probes draw a delay. Attempts that were under way at its start found the
//!    same outage; if each drew a delay, many partitions would make a long outage of a short one.

use std::time::{Duration, SystemTime};

use rand::RngExt as _;
use tokio::time::Instant;

use crate::flusher::backoff::{Backoff, Delays};
use crate::sync::{Mutex, Notify};

/// Whether a buffer's sink takes batches, as its partitions see it.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
/// use buffer_core::Health;
///
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().build(Nowhere)?;
/// match buffer.health() {
///     Health::Well => println!("the sink is well"),
///     Health::Held { since, reason } => println!("held since {since:?}: {reason}"),
///     _ => {}
/// }
/// # buffer.insert(1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing holds the partitions back.
    Well,
    /// The sink is down: batches are held, and one probe at a time is sent.
    Held {
        /// The start of the outage, by the system's clock.
        since: SystemTime,
        /// What the sink said last.
        reason: String,
    },
}

/// The state that the partitions share.
pub(crate) struct Hold {
    backoff: Backoff,
    state: Mutex<State>,
    /// Wakes whoever waits to pass.
    pub(crate) changed: Notify,
}

struct State {
    /// The partitions that wait to pass.
    waiting: Vec<bool>,
    failures_in_a_row: usize,
    /// The deadline of the drain, if there is one: it has no time for long delays.
    deadline: Option<Instant>,
    /// Boxed, as most buffers are never held for long.
    held: Option<Box<Held>>,
}

struct Held {
    since: SystemTime,
    began: Instant,
    /// No attempt before it.
    until: Instant,
    /// Nor before this, because the sink asked for it.
    asked: Instant,
    delays: Delays,
    probing: Option<usize>,
    last_probe: usize,
    reason: String,
}

/// What an attempt shows of the sink as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The sink answered, if only to refuse the batch.
    Answered,
    /// The sink is down, or asks to be left alone.
    Down { at_least: Duration, reason: String },
    /// The attempt failed, which may be this batch's fault or the sink's.
    Failed { reason: String },
    /// It shows nothing of the sink: a panic, a withdrawal, or a time-out after nothing but rejects.
    Nothing,
}

/// Whether a partition may begin an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Now,
    /// The hold was released: after this delay, so that the partitions don't all go at once.
    After(Duration),
    /// Ask again then, or when something has changed.
    AskAt(Instant),
    /// Ask again when something has changed.
    Ask,
}

/// This many failures in a row, whichever the partitions, are the sink's fault and not a batch's.
const FAILURES_IN_A_ROW: usize = 3;

/// At most this part of the delay that a sink asks for is added to it at random.
const SPREAD_OF_REQUESTED_DELAYS: f64 = 0.2;

/// The partitions that waited begin within this time after the release.
const LONGEST_RELEASE: Duration = Duration::from_secs(1);

impl Hold {
    pub(crate) fn new(partitions: usize, backoff: Backoff) -> Self {
        let state = State {
            waiting: vec![false; partitions],
            failures_in_a_row: 0,
            deadline: None,
            held: None,
        };
        Self {
            backoff,
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// Asks for partition `index` whether it may begin an attempt.
    pub(crate) fn pass(&self, index: usize, now: Instant) -> Pass {
        let mut state = self.state.lock();
        let waited = std::mem::replace(&mut state.waiting[index], true);
        let State { waiting, held, .. } = &mut *state;
        let Some(held) = held else {
            waiting[index] = false;
            return if waited {
                Pass::After(self.release_delay())
            } else {
                Pass::Now
            };
        };
        match held.probing {
            // It had the right already when it was interrupted.
            Some(probing) if probing == index => {}
            // By invariant 1.
            Some(_) => return Pass::Ask,
            None if now < held.until => return Pass::AskAt(held.until),
            // By invariant 2.
            None if next_after(held.last_probe, waiting) != Some(index) => return Pass::Ask,
            None => {}
        }
        held.probing = Some(index);
        held.last_probe = index;
        waiting[index] = false;
        Pass::Now
    }

    /// Reports what an attempt of partition `index`, which began at `began`, showed. Says whether it holds the partitions.
    pub(crate) fn report(&self, index: usize, sign: Sign, began: Instant, now: Instant) -> bool {
        let mut state = self.state.lock();
        let probed = state.give_back(index);
        let before_hold = state.held.as_ref().is_some_and(|held| began < held.began) && !probed;
        let holds = match sign {
            // It was under way when another attempt found the sink down, or was asked to wait.
            Sign::Answered if before_hold => false,
            Sign::Answered => {
                state.failures_in_a_row = 0;
                state.held = None;
                false
            }
            Sign::Down { at_least, reason } => {
                let at_least = state.kept(at_least, now);
                let new = || Held::new(self.backoff.long_delays(), now);
                let held = state.held.get_or_insert_with(new);
                held.go_on(probed, at_least, reason, now);
                true
            }
            Sign::Failed { reason } => {
                state.failures_in_a_row += 1;
                let holds = state.held.is_some() || state.failures_in_a_row >= FAILURES_IN_A_ROW;
                if holds {
                    // Its delays go on from where those of a batch that failed as often are.
                    let gone = if state.deadline.is_some() {
                        0
                    } else {
                        FAILURES_IN_A_ROW - 1
                    };
                    let new = || {
                        let mut delays = self.backoff.long_delays();
                        delays.by_ref().take(gone).for_each(drop);
                        Held::new(delays, now)
                    };
                    let held = state.held.get_or_insert_with(new);
                    held.go_on(probed, Duration::ZERO, reason, now);
                }
                holds
            }
            Sign::Nothing => false,
        };
        drop(state);
        self.changed.notify_waiters();
        holds
    }

    /// A partition that waited or probed leaves without an answer: invariant 3.
    pub(crate) fn leave(&self, index: usize) {
        let mut state = self.state.lock();
        state.waiting[index] = false;
        state.give_back(index);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Lets a probe go at once, and starts over with short delays, as there is time only until `deadline`. A delay that the sink asked
    /// for is kept if it ends before that.
    pub(crate) fn hurry(&self, now: Instant, deadline: Instant) {
        let mut state = self.state.lock();
        state.deadline = Some(deadline);
        if let Some(held) = &mut state.held {
            if held.asked >= deadline {
                held.asked = now;
            }
            held.until = held.asked;
            held.delays = self.backoff.long_delays();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// When the partitions began to be held, if they are.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.state.lock().held.as_ref().map(|held| held.began)
    }

    /// What the sink said last while the partitions are held.
    pub(crate) fn reason(&self) -> String {
        self.state
            .lock()
            .held
            .as_ref()
            .map_or_else(String::new, |held| held.reason.clone())
    }

    pub(crate) fn health(&self) -> Health {
        match self.state.lock().held.as_deref() {
            None => Health::Well,
            Some(Held { since, reason, .. }) => Health::Held {
                since: *since,
                reason: reason.clone(),
            },
        }
    }

    fn release_delay(&self) -> Duration {
        self.backoff
            .longest
            .min(LONGEST_RELEASE)
            .mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}

impl State {
    /// How long a delay that the sink asks for is kept. Whoever was sent away at the same time was asked for the same delay; a drain does
    /// not wait for longer than it has.
    fn kept(&self, asked: Duration, now: Instant) -> Duration {
        match self.deadline {
            None => asked.mul_f64(1.0 + SPREAD_OF_REQUESTED_DELAYS * rand::rng().random_range(0.0..=1.0)),
            Some(deadline) if now + asked < deadline => asked,
            Some(_) => Duration::ZERO,
        }
    }

    /// Takes the right, by invariant 3, from a partition that is through; says whether it had it.
    fn give_back(&mut self, index: usize) -> bool {
        let Some(held) = &mut self.held else { return false };
        let had = held.probing == Some(index);
        if had {
            held.probing = None;
        }
        had
    }
}

impl Held {
    fn new(mut delays: Delays, now: Instant) -> Box<Self> {
        Box::new(Self {
            since: SystemTime::now(),
            began: now,
            until: now + delays.next().unwrap_or_default(),
            asked: now,
            delays,
            probing: None,
            last_probe: 0,
            reason: String::new(),
        })
    }

    /// An attempt found the sink down, by invariant 4 as news only if it was a probe.
    fn go_on(&mut self, probed: bool, at_least: Duration, reason: String, now: Instant) {
        self.asked = self.asked.max(now + at_least);
        self.until = self.until.max(self.asked);
        if probed {
            let drawn = self.delays.next().unwrap_or_default();
            self.until = self.until.max(now + drawn);
        }
        self.reason = reason;
    }
}

/// The waiting partition that comes next after `last`, in a circle: invariant 2.
fn next_after(last: usize, waiting: &[bool]) -> Option<usize> {
    let after = last + 1;
    (after..waiting.len())
        .chain(0..after.min(waiting.len()))
        .find(|index| waiting[*index])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_millis(100),
        longest: Duration::from_secs(30),
    };

    fn down(seconds: u64) -> Sign {
        Sign::Down {
            at_least: Duration::from_secs(seconds),
            reason: "down".into(),
        }
    }

    fn failed() -> Sign {
        Sign::Failed {
            reason: "failed".into(),
        }
    }

    #[test]
    fn one_outage_holds_all_partitions_for_at_least_as_long_as_asked() {
        let (hold, now) = (Hold::new(3, BACKOFF), Instant::now());
        assert_eq!(hold.pass(0, now), Pass::Now);
        assert!(hold.report(0, down(7), now, now));
        for index in 0..3 {
            let Pass::AskAt(until) = hold.pass(index, now) else {
                panic!("partition {index} is held")
            };
            assert!(until >= now + Duration::from_secs(7) && until <= now + Duration::from_millis(8_500));
        }
    }

    #[test]
    fn an_outage_that_many_attempts_find_is_counted_once() {
        let (hold, began) = (Hold::new(16, BACKOFF), Instant::now());
        let now = began + Duration::from_millis(10);
        for index in 0..16 {
            assert!(hold.report(index, down(0), began, now));
        }
        assert_eq!(hold.pass(0, now + BACKOFF.first), Pass::Now);
    }

    #[test]
    fn a_hold_after_failures_goes_on_where_their_delays_are_unless_there_is_a_drain() {
        for (hurries, least, most) in [(false, 200, 400), (true, 50, 100)] {
            let (hold, now) = (Hold::new(1, BACKOFF), Instant::now());
            if hurries {
                hold.hurry(now, now + Duration::from_secs(20));
            }
            for _ in 0..FAILURES_IN_A_ROW {
                hold.report(0, failed(), now, now);
            }
            let [least, most] = [least, most].map(|ms| now + Duration::from_millis(ms));
            assert!(matches!(hold.pass(0, now), Pass::AskAt(until) if until >= least && until <= most));
        }
    }

    #[test]
    fn a_drain_keeps_a_delay_that_was_asked_for_if_it_has_the_time() {
        for (time, kept) in [(30, true), (5, false)] {
            let (hold, now) = (Hold::new(1, BACKOFF), Instant::now());
            hold.report(0, down(7), now, now);
            hold.hurry(now, now + Duration::from_secs(time));
            let pass = hold.pass(0, now + Duration::from_secs(6));
            assert_eq!(matches!(pass, Pass::AskAt(_)), kept, "{pass:?}");
        }
    }

    /// Fails when the delay is forgotten for the drain's first probe alone.
    #[test]
    fn a_delay_that_a_drain_has_no_time_for_does_not_come_back_after_its_first_probe() {
        let (hold, now) = (Hold::new(1, BACKOFF), Instant::now());
        hold.report(0, down(300), now, now);
        hold.hurry(now, now + Duration::from_secs(20));
        assert_eq!(hold.pass(0, now), Pass::Now);
        hold.report(0, down(0), now, now);
        assert_eq!(hold.pass(0, now + Duration::from_secs(1)), Pass::Now);
    }

    #[test]
    fn probes_go_one_at_a_time_and_rotate() {
        let (hold, mut now) = (Hold::new(3, BACKOFF), Instant::now());
        hold.report(0, down(1), now, now);
        let mut probes = Vec::new();
        for _ in 0..6 {
            now += Duration::from_secs(60);
            let passing: Vec<usize> = (0..3)
                .filter(|index| hold.pass(*index, now) == Pass::Now)
                .collect();
            // The first round of questions only shows who waits.
            let again =
                (0..3).filter(|index| !passing.contains(index) && hold.pass(*index, now) == Pass::Now);
            let all: Vec<usize> = passing.iter().copied().chain(again).collect();
            let [probe] = all[..] else {
                panic!("one probe, not {all:?}")
            };
            probes.push(probe);
            assert!(hold.report(probe, down(0), now, now));
        }
        probes.sort_unstable();
        assert_eq!(probes, [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn an_answer_releases_those_that_waited_spread_over_time_and_the_others_at_once() {
        let (hold, now) = (Hold::new(3, BACKOFF), Instant::now());
        hold.report(0, down(1), now, now);
        assert!(matches!(hold.pass(1, now), Pass::AskAt(_)));
        let later = now + Duration::from_secs(60);
        assert_eq!(hold.pass(1, later), Pass::Now);
        assert_eq!(hold.pass(2, later), Pass::Ask);
        assert!(!hold.report(1, Sign::Answered, later, later));
        assert!(matches!(hold.pass(2, later), Pass::After(delay) if delay <= LONGEST_RELEASE));
        assert_eq!(hold.pass(0, later), Pass::Now);
    }

    #[test]
    fn failures_hold_only_when_they_come_in_a_row() {
        let (hold, now) = (Hold::new(2, BACKOFF), Instant::now());
        for _ in 0..5 {
            assert!(!hold.report(0, failed(), now, now));
            assert!(!hold.report(1, failed(), now, now));
            assert!(!hold.report(1, Sign::Answered, now, now));
        }
        for _ in 1..FAILURES_IN_A_ROW {
            assert!(!hold.report(0, failed(), now, now));
        }
        assert!(!hold.report(0, Sign::Nothing, now, now));
        assert!(hold.report(1, failed(), now, now));
    }

    #[test]
    fn a_probe_that_leaves_passes_the_right_on_and_one_that_was_interrupted_keeps_it() {
        let (hold, now) = (Hold::new(2, BACKOFF), Instant::now());
        hold.report(0, down(0), now, now);
        let later = now + Duration::from_secs(60);
        assert_eq!(hold.pass(1, later), Pass::Now);
        assert_eq!(hold.pass(0, later), Pass::Ask);
        assert_eq!(hold.pass(1, later), Pass::Now);
        hold.leave(1);
        assert_eq!(hold.pass(0, later), Pass::Now);
    }

    #[test]
    fn an_answer_to_an_attempt_from_before_the_hold_does_not_release_it() {
        let (hold, now) = (Hold::new(2, BACKOFF), Instant::now());
        let later = now + Duration::from_millis(1);
        assert!(hold.report(0, down(8), now, later));
        assert!(!hold.report(1, Sign::Answered, now, later));
        assert!(matches!(hold.pass(1, later), Pass::AskAt(until) if until >= later + Duration::from_secs(8)));
    }
}
