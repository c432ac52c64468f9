//! What pending items and idle buffers hold in memory: `cargo bench -p buffer-benches --bench memory`.
//!
//! The allocator counts the bytes that are asked for. Times play no part, so few rounds do: `BENCH_ROUNDS=5`.
//!
//! * *Pending*: a million items, the first batch of which is in the hands of a sink that waits. Beside it a vector grows by the
//!   same pushes. *At last* counts what is there in the end, *at the most* what there was at any moment, as when a vector grows and is
//!   there twice.
//! * *After a burst* of a million items, all delivered: what the buffer holds at once, and an hour later. Beside it what it held when
//!   it was new. An hour passes at once: the clock stands still while anybody works.
//! * *After a day* of an item a minute, beside what it held after the first hour.
//! * *Idle*: a thousand buffers, new, and when each has delivered an item. With its task each, beside a channel with its task.

#[path = "memory/idle.rs"]
mod idle;
#[path = "memory/pending.rs"]
mod pending;

use buffer_benches::{Bench, Contender};
use peak_alloc::PeakAlloc;
use tokio::runtime::{Builder, Runtime};

use crate::idle::Use;
use crate::pending::Moment;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn main() {
    let mut bench = Bench::new("memory", "Memory", "bytes");
    for (name, moment) in [("at last", Moment::Last), ("at the most", Moment::Most)] {
        of_pending::<u64>(&mut bench, &format!("pending u64 {name}, each"), moment);
        of_pending::<String>(
            &mut bench,
            &format!("pending 100-byte String {name}, each"),
            moment,
        );
    }
    for (name, hours) in [("at once", 0), ("an hour later", 1)] {
        bench.load(
            &format!("after a burst, {name}"),
            &mut [
                Contender::new("buffer-core", || idle::after_a_burst(hours)),
                Contender::new("the same when it was new", idle::new).at_most(1.0),
            ],
        );
    }
    bench.load(
        "after a day of an item a minute",
        &mut [
            Contender::new("buffer-core", || idle::after_a_trickle(24)),
            Contender::new("the same after an hour", || idle::after_a_trickle(1)).at_most(1.0),
        ],
    );
    for (name, usage) in [("new", Use::None), ("used", Use::Item)] {
        for partitions in [1, 2, 16] {
            bench.load(
                &format!("idle, {name}, {partitions} partitions"),
                &mut [
                    Contender::new("buffer-core", || idle::each_of_many(partitions, usage)),
                    Contender::new("4 KiB", || 4096.0).at_most_where(partitions <= 2, 1.0),
                    Contender::new("tokio mpsc", || idle::each_channel_of_many(usage)),
                ],
            );
        }
    }
    bench.finish();
}

fn of_pending<T: pending::Item>(bench: &mut Bench, load: &str, moment: Moment) {
    bench.load(
        load,
        &mut [
            Contender::new("buffer-core", || pending::in_a_buffer::<T>(moment)),
            Contender::new("Vec", || pending::in_a_vec::<T>(moment)).at_most(1.3),
        ],
    );
}

/// A runtime whose clock stands still while anybody works.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let built = builder.enable_time().start_paused(true).build();
    built.expect("a runtime can be built")
}
