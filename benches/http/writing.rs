//! Ours: threads write points by way of a writer.

use std::time::Instant;

use buffer_benches::produce;
use buffer_influx::{Client, InfluxSink, Writer};
use tokio::runtime::Runtime;

use crate::points::{BATCH, Points};

/// Who inserts.
const THREADS: u64 = 2;

/// Writes `points` points from `first` on and closes; says how many seconds it took until all were answered.
pub(crate) fn write(runtime: &Runtime, client: &Client, points: &Points, first: u64, count: u64) -> f64 {
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.batch_size(BATCH).runtime(runtime.handle().clone()))
        .build(InfluxSink::new(client.clone()))
        .expect("the settings make sense");
    let begin = Instant::now();
    produce(THREADS, count, |numbers| {
        for number in numbers {
            let line = points.line(writer.encoder(), first + number);
            writer.buffer().insert_blocking(line).expect("it is open");
        }
    });
    let ledger = runtime.block_on(writer.close()).ledger;
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!((ledger.accepted, ledger.delivered), (count, count));
    seconds
}
