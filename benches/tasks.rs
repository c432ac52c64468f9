//! What an insert costs from async tasks, beside the channels that tasks use: `cargo bench -p buffer-benches --bench tasks`.
//!
//! Tasks on two worker threads insert as fast as they can; on the same two threads the other side takes the items in batches of
//! 5,000 and throws them away. Every total is checked.
//!
//! No task yields on purpose. A send into tokio's channel spends of the budget that tokio grants a task, so every 128th gives the
//! thread to another task. The others go on until there is no room: ours, the bound, flume, async-channel and kanal come back
//! from an insert that has room without asking the runtime for anything.

#[path = "tasks/bound.rs"]
mod bound;
#[path = "tasks/contenders.rs"]
mod contenders;

use buffer_benches::{Bench, Contender};
use tokio::runtime::{Builder, Runtime};

use crate::contenders as by;

const ITEMS: u64 = 2_000_000;

/// What a contender is given: how many tasks insert how many items together.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    runtime: &'a Runtime,
    tasks: u64,
    items: u64,
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let mut bench = Bench::new(
        "tasks",
        "Insert from async tasks",
        "ns per item, all tasks together",
    );
    for tasks in [1, 8, 64] {
        let load = Load {
            runtime: &runtime,
            tasks,
            items: ITEMS,
        };
        let mut contenders = [
            Contender::new("buffer-core", || by::buffer(load)),
            Contender::new("bound: home Mutex<Vec>, handed over", || by::handed_over(load)).at_most(1.3),
            Contender::new("tokio mpsc", || by::tokio_mpsc(load)).at_most(0.1),
            Contender::new("kanal", || by::kanal(load)).at_most(1.0),
            Contender::new("flume", || by::flume(load)).at_most(1.0),
            Contender::new("async-channel", || by::async_channel(load)).at_most(1.0),
        ];
        bench.load(&format!("{tasks} tasks"), &mut contenders);
    }
    bench.finish();
}
