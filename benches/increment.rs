//! What an increment costs beside the maps that services count in today: `cargo bench -p buffer-benches --bench increment`.
//!
//! Threads increment 27-byte string keys as fast as they can, uniformly or by Zipf's law, while another thread takes the sums every
//! 100 ms; all sums are checked at the end. The contenders run in every round, one after the other, and ratios are medians over the
//! rounds of the ratio within a round; the times of a shared machine mean nothing by themselves.
//!
//! `BENCH_KEYS`, `BENCH_THREADS` and `BENCH_ROUNDS` narrow it down: `BENCH_KEYS=1,100 BENCH_THREADS=2`.

#[path = "increment/contenders.rs"]
mod contenders;
#[path = "increment/keys.rs"]
mod keys;

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::contenders::{CONTENDERS, Counter};
use crate::keys::{Draw, Load};

const INCREMENTS: usize = 4_000_000;
const WINDOW: Duration = Duration::from_millis(100);

fn main() {
    let list = |name: &str, default: &[usize]| -> Vec<usize> {
        let given = env::var(name).ok();
        let parsed = given.map(|list| list.split(',').map(|n| n.parse().expect("a number")).collect());
        parsed.unwrap_or_else(|| default.to_vec())
    };
    let rounds = list("BENCH_ROUNDS", &[5])[0];
    let names: Vec<&str> = CONTENDERS.iter().map(|(name, _)| *name).collect();
    println!("ns per increment (wall, all threads together), and in brackets buffer-stat / this\n");
    println!("| keys | threads | {} |", names.join(" | "));
    println!("|---|---|{}", "---|".repeat(names.len()));
    for keys in list("BENCH_KEYS", &[1, 100, 1_000, 10_000, 100_000, 1_000_000]) {
        let draws: &[Draw] = if keys == 1 {
            &[Draw::Uniform]
        } else {
            &[Draw::Uniform, Draw::Zipf]
        };
        for draw in draws {
            for threads in list("BENCH_THREADS", &[1, 2, 4, 8]) {
                let load = Arc::new(Load::new(keys, *draw, threads, INCREMENTS));
                let cells = cells(&load, rounds);
                println!("| {keys} {draw:?} | {threads} | {} |", cells.join(" | "));
            }
        }
    }
}

/// The results of all contenders under one load.
fn cells(load: &Arc<Load>, rounds: usize) -> Vec<String> {
    let mut times: Vec<Vec<f64>> = Vec::new();
    // The first round warms up.
    for _ in 0..=rounds {
        let round = CONTENDERS.map(|(_, make)| measure(load, make()).as_secs_f64());
        times.push(round.to_vec());
    }
    times.remove(0);
    let cell = |index: usize| {
        let ns = median(
            times
                .iter()
                .map(|round| round[index] * 1e9 / load.increments() as f64),
        );
        let ratio = median(times.iter().map(|round| round[0] / round[index]));
        format!("{ns:.1} ({ratio:.2})")
    };
    (0..CONTENDERS.len()).map(cell).collect()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the threads and the windows, measures until all increments are made, and checks what they came to.
fn measure(load: &Arc<Load>, counter: Box<dyn Counter>) -> Duration {
    let counter: Arc<dyn Counter> = Arc::from(counter);
    let start = Barrier::new(load.threads() + 1);
    let done = Arc::new(AtomicBool::new(false));
    let windows = thread::spawn({
        let (counter, done) = (Arc::clone(&counter), Arc::clone(&done));
        move || {
            // Relaxed: seen some time soon.
            while !done.load(Ordering::Relaxed) {
                thread::park_timeout(WINDOW);
                counter.take();
            }
        }
    });
    let elapsed = thread::scope(|scope| {
        let producers: Vec<_> = (0..load.threads())
            .map(|thread| {
                let (counter, start) = (&counter, &start);
                scope.spawn(move || {
                    let keys = load.of(thread);
                    start.wait();
                    counter.increment_all(&keys);
                })
            })
            .collect();
        start.wait();
        let begin = Instant::now();
        for producer in producers {
            producer.join().expect("producers do not panic");
        }
        begin.elapsed()
    });
    done.store(true, Ordering::Relaxed);
    windows.thread().unpark();
    windows.join().expect("the windows do not panic");
    assert_eq!(counter.total(), load.increments() as i64);
    elapsed
}
