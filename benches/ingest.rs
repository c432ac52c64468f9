//! What an insert costs beside the channels that services batch with today: `cargo bench -p buffer-benches --bench ingest`.
//!
//! Threads insert as fast as they can; the other side takes the items in batches of 5,000 and throws them away. Every total is
//! checked.

#[path = "ingest/contenders.rs"]
mod contenders;
#[path = "ingest/item.rs"]
mod item;

use buffer_benches::{Bench, Contender};
use tokio::runtime::{Builder, Runtime};

use crate::contenders as by;
use crate::item::{Item, Record};

const ITEMS: u64 = 1_000_000;

/// What a contender is given: how many threads insert how many items each.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    runtime: &'a Runtime,
    threads: u64,
    items: u64,
}

fn main() {
    // The other side is one thread, for everybody.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let mut bench = Bench::new(
        "ingest",
        "Insert from threads",
        "ns per item, all threads together",
    );
    for threads in [1, 2, 4, 8] {
        let load = Load {
            runtime: &runtime,
            threads,
            // More threads than cores are shown only, and some channels take very long then.
            items: if threads <= 2 { ITEMS } else { ITEMS / 4 },
        };
        of_type::<u64>(&mut bench, load);
        of_type::<Record>(&mut bench, load);
        of_type::<String>(&mut bench, load);
    }
    bench.finish();
}

fn of_type<T: Item>(bench: &mut Bench, load: Load<'_>) {
    // Two cores judge what one and two threads do.
    let few = load.threads <= 2;
    // Ahead of all that threads can share, and far ahead where two of them do.
    let at_most = |ratio| {
        if load.threads == 2 && T::NAME == "u64" {
            ratio
        } else {
            1.0
        }
    };
    let channel = |name, run: fn(Load<'_>) -> f64, ratio| {
        Contender::new(name, move || run(load)).at_most_where(few, ratio)
    };
    let mut contenders = vec![
        Contender::new("buffer-core", || by::buffer::<T>(load)),
        Contender::new("bound: home Mutex<Vec>, handed over", || {
            by::handed_over::<T>(load)
        })
        .at_most_where(few, 1.25),
        channel("crossbeam-channel", by::crossbeam::<T>, at_most(0.6)),
        channel("kanal", by::kanal::<T>, 1.0),
        channel("flume", by::flume::<T>, 1.0),
        channel("tokio mpsc", by::tokio_mpsc::<T>, at_most(0.1)),
        channel("multistream-batch", by::multistream::<T>, 1.0),
    ];
    if T::NAME.contains("String") {
        contenders.push(channel("tracing-appender", by::appender::<T>, 1.0));
    }
    let name = format!("{} threads, {}", load.threads, T::NAME);
    bench.load(&name, &mut contenders);
}
