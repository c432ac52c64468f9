//! Inserts at a pace, and looks at the clock before and after each.

use std::ops::Range;
use std::sync::Mutex;
use std::thread::yield_now;
use std::time::{Duration, Instant};

use buffer_benches::produce;

/// How long each insert took, in nanoseconds, sorted.
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// What so large a share of the inserts took at most.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let index = (self.0.len() as f64 * share) as usize;
        f64::from(self.0[index.min(self.0.len() - 1)])
    }
}

/// Runs `producers` threads, each of which inserts its share of `0..items`, one every `pace` on average. `insert` is told which producer calls.
pub(crate) fn paced(
    producers: u64,
    items: u64,
    pace: Duration,
    insert: impl Fn(usize, u64) + Sync,
) -> Latencies {
    let all = Mutex::new(Vec::new());
    let share = items / producers;
    produce(producers, items, |numbers| {
        let producer = (numbers.start / share) as usize;
        let own = one(numbers, pace, |number| insert(producer, number));
        all.lock().expect("producers do not panic").extend(own);
    });
    let mut all = all.into_inner().expect("producers do not panic");
    all.sort_unstable();
    Latencies(all)
}

fn one(numbers: Range<u64>, pace: Duration, insert: impl Fn(u64)) -> Vec<u32> {
    // Written once, so that no page is missing later.
    let mut own = vec![u32::MAX; (numbers.end - numbers.start) as usize];
    let mut gaps = gaps(numbers.start, pace);
    for (number, latency) in numbers.zip(&mut own) {
        let begin = Instant::now();
        insert(number);
        let end = Instant::now();
        *latency = (end - begin).as_nanos() as u32;
        let gap = gaps.next().expect("there is always another");
        while end.elapsed() < gap {
            yield_now();
        }
    }
    own
}

/// Gaps between zero and twice the pace, the same for each contender.
fn gaps(seed: u64, pace: Duration) -> impl Iterator<Item = Duration> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        // A linear congruential generator, of which the upper bits are good enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        2 * pace * (state >> 48) as u32 / (1 << 16)
    })
}
