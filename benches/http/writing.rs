//! Ours: threads write points by way of a writer.

use buffer_benches::produce;
use buffer_influx::{Client, InfluxSink, Writer};
use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::points::{BATCH, Points};

/// Who inserts.
const THREADS: u64 = 2;

/// Writes `count` points from `first` on and closes; says how many seconds of the clock it took until all were answered.
pub(crate) fn write(
    runtime: &Runtime,
    client: &Client,
    points: &Points,
    first: u64,
    count: u64,
    clock: Clock,
) -> f64 {
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.batch_size(BATCH).runtime(runtime.handle().clone()))
        .build(InfluxSink::new(client.clone()))
        .expect("the settings make sense");
    let begin = clock();
    produce(THREADS, count, |numbers| {
        for number in numbers {
            let line = points.line(writer.encoder(), first + number);
            writer.buffer().insert_blocking(line).expect("it is open");
        }
    });
    let ledger = runtime.block_on(writer.close()).ledger;
    let seconds = clock() - begin;
    assert_eq!((ledger.accepted, ledger.delivered), (count, count));
    seconds
}
