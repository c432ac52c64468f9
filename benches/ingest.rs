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

const ITEMS: u64 = 2_000_000;

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
            items: ITEMS,
        };
        of_type::<u64>(&mut bench, load);
        of_type::<Record>(&mut bench, load);
        of_type::<String>(&mut bench, load);
    }
    bench.finish();
}

fn of_type<T: Item>(bench: &mut Bench, load: Load<'_>) {
    // Two cores judge what one and two threads do.
    let (judged, at_2_on_u64) = (load.threads <= 2, load.threads == 2 && T::NAME == "u64");
    let mut contenders = vec![
        Contender::new("buffer-core", || by::buffer::<T>(load)),
        Contender::new("bound: home Mutex<Vec>, handed over", || {
            by::handed_over::<T>(load)
        })
        .at_most_where(judged, 1.25),
        Contender::new("crossbeam-channel", || by::crossbeam::<T>(load))
            .at_most_where(judged, if at_2_on_u64 { 0.6 } else { 1.0 }),
        Contender::new("kanal", || by::kanal::<T>(load)).at_most_where(judged, 1.0),
        Contender::new("flume", || by::flume::<T>(load)).at_most_where(judged, 1.0),
        Contender::new("tokio mpsc", || by::tokio_mpsc::<T>(load))
            .at_most_where(judged, if at_2_on_u64 { 0.1 } else { 1.0 }),
        Contender::new("multistream-batch", || by::multistream::<T>(load)).at_most_where(judged, 1.0),
    ];
    if T::NAME.contains("String") {
        let appender = Contender::new("tracing-appender", || by::appender::<T>(load));
        contenders.push(appender.at_most_where(judged, 1.0));
    }
    let name = format!("{} threads, {}", load.threads, T::NAME);
    bench.load(&name, &mut contenders);
}
