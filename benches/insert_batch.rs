//! What an item costs that comes with a hundred others, beside a vector that is extended under a lock:
//! `cargo bench -p buffer-benches --bench insert_batch`.
//!
//! Threads, or tasks on two worker threads, insert a hundred items at once as fast as they can; the other side takes them in batches
//! of 5,000 and throws them away. The hundred are made anew each time, in a vector that is used again. Every total is checked.
//!
//! Threads insert with `try_insert_batch`, and wait with `insert_batch` where there is no room; tasks with `insert_batch`.

#[path = "insert_batch/bound.rs"]
mod bound;
#[path = "insert_batch/tasks.rs"]
mod tasks;
#[path = "insert_batch/threads.rs"]
mod threads;

use std::ops::Range;
use std::time::Duration;

use buffer_benches::{Bench, Contender};
use tokio::runtime::{Builder, Runtime};

const PART: u64 = 100;
const BATCH: usize = 5_000;
/// Ours holds ten batches for each of its two partitions at most, and so may all others.
const CAPACITY: usize = 20 * BATCH;
const ITEMS: u64 = 10_000_000;

/// What a contender is given: how many threads or tasks insert how many items together.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    runtime: &'a Runtime,
    producers: u64,
    items: u64,
}

/// The numbers of each part.
fn parts(numbers: Range<u64>) -> impl Iterator<Item = Range<u64>> + Send {
    numbers.step_by(PART as usize).map(|first| first..first + PART)
}

fn per_item(load: Load<'_>, elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / load.items as f64
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let mut bench = Bench::new(
        "insert_batch",
        "Insert a hundred items at once",
        "ns per item, all producers together",
    );
    let bound = "bound: extend a home Mutex<Vec>";
    let load = |producers| Load {
        runtime: &runtime,
        producers,
        items: ITEMS,
    };
    // The threads have one for the other side, as all contenders have there.
    let drain = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    let drain = drain.expect("a runtime can be built");
    // The tasks first: a thread's home is a number in turn, and the threads of the runtime are to have two that follow each other.
    for load in [1, 2].map(load) {
        bench.load(
            &format!("{} tasks", load.producers),
            &mut [
                Contender::new("buffer-core", || tasks::buffer(load)),
                Contender::new(bound, || tasks::handed_over(load)).at_most(1.3),
                Contender::new("tokio mpsc", || tasks::tokio_mpsc(load)).at_most(1.0),
            ],
        );
    }
    let of_threads = |producers| Load {
        runtime: &drain,
        ..load(producers)
    };
    for load in [1, 2].map(of_threads) {
        bench.load(
            &format!("{} threads", load.producers),
            &mut [
                Contender::new("buffer-core", || threads::buffer(load)),
                Contender::new(bound, || threads::handed_over(load)).at_most(1.3),
                Contender::new("crossbeam-channel", || threads::crossbeam(load)).at_most(1.0),
                Contender::new("kanal", || threads::kanal(load)).at_most(1.0),
            ],
        );
    }
    bench.finish();
}
