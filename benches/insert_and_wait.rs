//! What an insert costs whose caller waits until its item is delivered: `cargo bench -p buffer-benches --bench insert_and_wait`.
//!
//! 2,000 tasks on two worker threads insert one item after the other, each when the one before is delivered; on the same two threads
//! the items are taken in batches of at most 100 or 1,000 and thrown away. Every total is checked when the last answer is there.
//!
//! The libraries are told to wait for at most a millisecond for a batch to fill, where they ask for it; with so many tasks it fills
//! long before. Of `batched` it is the last version that compiles without a nightly compiler.

#[path = "insert_and_wait/contenders.rs"]
mod contenders;
#[path = "insert_and_wait/floor.rs"]
mod floor;

use buffer_benches::{Bench, Contender};
use tokio::runtime::{Builder, Runtime};

use crate::contenders as by;

const TASKS: u64 = 2_000;
const ITEMS: u64 = 100 * TASKS;

/// What a contender is given: how many tasks insert how many items together, and how many of them are a batch.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    runtime: &'a Runtime,
    tasks: u64,
    items: u64,
    batch: usize,
}

impl Load<'_> {
    /// Ours holds ten batches for each of its two partitions at most, and so may all others.
    fn capacity(&self) -> usize {
        20 * self.batch
    }
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let mut bench = Bench::new(
        "insert_and_wait",
        "Insert and wait, 2,000 tasks",
        "ns per item, all tasks together",
    );
    for batch in [100, 1_000] {
        let load = Load {
            runtime: &runtime,
            tasks: TASKS,
            items: ITEMS,
            batch,
        };
        let mut contenders = [
            Contender::new("buffer-core", || by::buffer(load)),
            Contender::new("floor: tokio mpsc + oneshot", || by::floor(load)).at_most(1.2),
            Contender::new("batch-aint-one", || by::batch_aint_one(load)).at_most(0.5),
            Contender::new("tower-batch", || by::tower_batch(load)).at_most(0.5),
            Contender::new("batched 0.1", || by::batched_function(load)).at_most(0.5),
        ];
        bench.load(&format!("batches of {batch}"), &mut contenders);
    }
    bench.finish();
}
