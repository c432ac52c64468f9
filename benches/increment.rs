//! What an increment costs beside the maps that services count in today: `cargo bench -p buffer-benches --bench increment`.
//!
//! Threads increment 27-byte string keys as fast as they can, uniformly or by Zipf's law, while another thread takes the sums every
//! 100 ms. All sums are checked at the end.

#[path = "increment/contenders.rs"]
mod contenders;
#[path = "increment/exporter.rs"]
mod exporter;
#[path = "increment/keys.rs"]
mod keys;
#[path = "increment/papaya.rs"]
mod papaya;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use buffer_benches::{Bench, Contender, produce};

use crate::contenders::{CONTENDERS, Counter};
use crate::keys::{Draw, Load};

const WINDOW: Duration = Duration::from_millis(100);

/// How many increments of so many keys: few keys cost so little that as many more take a window's time.
fn increments(keys: usize) -> usize {
    match keys {
        0..=100 => 8_000_000,
        101..=10_000 => 2_000_000,
        _ => 1_000_000,
    }
}

fn main() {
    let mut bench = Bench::new(
        "increment",
        "Increment from threads, windows of 100 ms",
        "ns per increment, all threads together",
    );
    for (keys, name) in [
        (1, "1 key"),
        (100, "100 keys"),
        (10_000, "10 k keys"),
        (1_000_000, "1 M keys"),
    ] {
        for threads in [1, 2, 4, 8] {
            if keys == 1 {
                of_load(&mut bench, name, keys, Draw::Uniform, threads);
                continue;
            }
            for (draw, law) in [(Draw::Uniform, "uniform"), (Draw::Zipf, "zipf")] {
                of_load(&mut bench, &format!("{name}, {law}"), keys, draw, threads);
            }
        }
    }
    bench.finish();
}

fn of_load(bench: &mut Bench, name: &str, keys: usize, draw: Draw, threads: usize) {
    let name = format!("{name}, {threads} threads");
    if !bench.has(&name) {
        return;
    }
    // Two cores judge what one and two threads do. What more do is shown only: scc then takes thousands of times as long now and then.
    let judged = threads <= 2;
    let increments = increments(keys) / if judged { 1 } else { 40 };
    let load = Arc::new(Load::new(keys, draw, threads, increments));
    let at_most = |contender: &str| match contender {
        "bound: home map, mutex" => Some(1.2),
        "DashMap i64" if keys == 1 && threads == 2 => Some(0.4),
        _ => None,
    };
    let mut contenders: Vec<Contender<'_>> = CONTENDERS
        .iter()
        .map(|(name, make)| {
            let load = &load;
            let contender = Contender::new(name, move || measure(load, make()));
            match at_most(name) {
                Some(ratio) => contender.at_most_where(judged, ratio),
                None => contender,
            }
        })
        .collect();
    bench.load(&name, &mut contenders);
}

/// Runs the threads and the windows, measures until all increments are made, and checks what they came to.
fn measure(load: &Arc<Load>, counter: Box<dyn Counter>) -> f64 {
    let counter: Arc<dyn Counter> = Arc::from(counter);
    let keys: Vec<Vec<&str>> = (0..load.threads()).map(|thread| load.of(thread)).collect();
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
    let threads = load.threads() as u64;
    // Its share is its number.
    let elapsed = produce(threads, threads, |thread| {
        counter.increment_all(&keys[thread.start as usize]);
    });
    done.store(true, Ordering::Relaxed);
    windows.thread().unpark();
    windows.join().expect("the windows do not panic");
    assert_eq!(counter.total(), load.increments() as i64);
    elapsed.as_secs_f64() * 1e9 / load.increments() as f64
}
