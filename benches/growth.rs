//! Whether an item costs the same when there is more of everything: `cargo bench -p buffer-benches --bench growth`.
//!
//! Each row is measured beside its own smaller one, in the same rounds. Every total is checked.
//!
//! * *Partitions*: two threads insert. The smaller one has a partition for each of them; with one for both they share a lock, and
//!   that row is shown only.
//! * *Buffers*: two threads insert, until all items are delivered. Batches are of 100 items everywhere, so that as many are flushed, and
//!   a buffer has a thousand items at least. In runs, each thread inserts 100 items into a buffer and then goes to the next, as who
//!   serves one customer after the other. In turn, it goes to the next with each item; what the processor's caches don't hold is then
//!   brought in for each item anew, and that row is shown only. So is the one with a single batch for each partition: it has the
//!   first use of ten thousand buffers in it, and not only their items.
//! * *The end of a runtime*: what becomes of buffers that are open then, each with an item, one after the other.
//! * *Tasks*: they insert on two worker threads. One task has one of them, so the smaller one has ten tasks.
//!   A task has 20,000 items at least: to spawn it, which is in the time, costs about as much as 500 inserts.
//! * *A day*: how often the runtime's thread goes to sleep while nobody works, beside a runtime without a buffer, and in the last of 24
//!   hours in which an item comes every minute, beside the first. A day passes at once: the clock stands still while anybody works.

#[path = "growth/day.rs"]
mod day;
#[path = "growth/more.rs"]
mod more;

use buffer_benches::{Bench, Contender};
use tokio::runtime::{Builder, Runtime};

use crate::more::Load;

/// A figure of times is flat if it is within this of the smaller one's: a machine that is used by others gives no less.
const FLAT: f64 = 1.25;

fn main() {
    let runtime = runtime();
    let mut bench = Bench::new("growth", "More of everything", "ns per item, or as the row says");
    let load = Load {
        runtime: &runtime,
        threads: 2,
        items: 2_000_000,
    };
    for partitions in [1, 2, 4, 8, 16, 32, 64] {
        bench.load(
            &format!("{partitions} partitions"),
            &mut [
                Contender::new("this", || more::partitions(load, partitions)),
                Contender::new("2 partitions", || more::partitions(load, 2))
                    .at_most_where(partitions > 1, FLAT),
            ],
        );
    }
    for (name, run) in [("in runs of 100", 100), ("in turn", 1)] {
        for buffers in [1, 100, 1_000, 10_000] {
            let load = Load {
                items: load.items.max(1_000 * buffers),
                ..load
            };
            bench.load(
                &format!("{buffers} buffers, {name}"),
                &mut [
                    Contender::new("this", || more::buffers(load, buffers, run)),
                    Contender::new("1 buffer", || more::buffers(load, 1, run)).at_most_where(run > 1, FLAT),
                ],
            );
        }
    }
    bench.load(
        "10000 buffers, a batch for each partition",
        &mut [
            Contender::new("this", || more::buffers(load, 10_000, 100)),
            Contender::new("1 buffer", || more::buffers(load, 1, 100)),
        ],
    );
    bench.load(
        "10000 open buffers, the end of their runtime, us a buffer",
        &mut [
            Contender::new("this", || more::end_of_a_runtime(10_000)),
            Contender::new("1000 buffers", || more::end_of_a_runtime(1_000)).at_most(FLAT),
        ],
    );
    for tasks in [1, 10, 100, 1_000, 10_000] {
        let load = Load {
            items: 20_000 * tasks.max(1_000),
            ..load
        };
        bench.load(
            &format!("{tasks} tasks"),
            &mut [
                Contender::new("this", || more::tasks(load, tasks)),
                Contender::new("10 tasks", || more::tasks(load, 10)).at_most_where(tasks > 1, FLAT),
            ],
        );
    }
    bench.load(
        "a day without items, wake-ups",
        &mut [
            Contender::new("this", day::wake_ups_of_an_idle_buffer),
            Contender::new("no buffer", day::wake_ups_of_nobody).at_most(1.0),
        ],
    );
    bench.load(
        "an hour of an item a minute, wake-ups",
        &mut [
            Contender::new("this", || day::wake_ups_of_the_hour(24)),
            Contender::new("23 hours before", || day::wake_ups_of_the_hour(1)).at_most(FLAT),
        ],
    );
    bench.finish();
}

fn runtime() -> Runtime {
    let built = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    built.expect("a runtime can be built")
}
