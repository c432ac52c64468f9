//! The peers: each thread collects its points as the client has them, and hands over a batch at a time.

use std::ops::Range;
use std::time::Instant;

use buffer_benches::produce;
use futures_util::stream;
use influxdb::{Timestamp, WriteQuery};
use influxdb2::models::{DataPoint, WriteDataPoint as _};
use tokio::runtime::Runtime;

use crate::points::{BATCH, Points};

const THREADS: u64 = 2;

/// How many seconds it took until all were answered.
pub(crate) fn influxdb2(runtime: &Runtime, client: &influxdb2::Client, points: &Points, count: u64) -> f64 {
    let begin = Instant::now();
    produce(THREADS, count, |numbers| {
        for numbers in batches(numbers) {
            let batch: Vec<DataPoint> = numbers.map(|number| data_point(points, number)).collect();
            let written = runtime.block_on(client.write("bucket", stream::iter(batch)));
            written.expect("the server answers");
        }
    });
    begin.elapsed().as_secs_f64()
}

/// The bytes of the points as it writes them, which has short words for what is true or false.
pub(crate) fn influxdb2_bytes(points: &Points, count: u64) -> u64 {
    let bytes = |number| {
        let mut line = Vec::new();
        let written = data_point(points, number).write_data_point_to(&mut line);
        written.expect("a Vec takes any number of bytes");
        line.len() as u64
    };
    (0..count).map(bytes).sum()
}

/// How many seconds it took until all were answered.
pub(crate) fn influxdb(runtime: &Runtime, client: &influxdb::Client, points: &Points, count: u64) -> f64 {
    let begin = Instant::now();
    produce(THREADS, count, |numbers| {
        for numbers in batches(numbers) {
            let batch: Vec<WriteQuery> = numbers.map(|number| query(points, number)).collect();
            let written = runtime.block_on(client.query(batch));
            written.expect("the server answers");
        }
    });
    begin.elapsed().as_secs_f64()
}

fn batches(numbers: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = numbers.end;
    numbers
        .step_by(BATCH)
        .map(move |first| first..end.min(first + BATCH as u64))
}

fn data_point(points: &Points, number: u64) -> DataPoint {
    let (reading, moment) = points.get(number);
    let mut point = DataPoint::builder(reading.measurement);
    for (key, value) in &reading.tags {
        point = point.tag(*key, value.as_str());
    }
    for (key, value) in reading.floats {
        point = point.field(key, value);
    }
    let point = point
        .field(reading.integer.0, reading.integer.1)
        .field(reading.boolean.0, reading.boolean.1)
        .field(reading.text.0, reading.text.1.as_str())
        .timestamp(moment)
        .build();
    point.expect("a valid point")
}

fn query(points: &Points, number: u64) -> WriteQuery {
    let (reading, moment) = points.get(number);
    let mut query = WriteQuery::new(Timestamp::Nanoseconds(moment as u128), reading.measurement);
    for (key, value) in &reading.tags {
        query = query.add_tag(*key, value.as_str());
    }
    for (key, value) in reading.floats {
        query = query.add_field(key, value);
    }
    query
        .add_field(reading.integer.0, reading.integer.1)
        .add_field(reading.boolean.0, reading.boolean.1)
        .add_field(reading.text.0, reading.text.1.as_str())
}
