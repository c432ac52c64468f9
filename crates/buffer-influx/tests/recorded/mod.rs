//! A recorder of Influx 1's dialect that writes to a scripted sink, and what that sink has got.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_influx::{
    Dialect, Encoder, FieldValue, InfluxRecorder, Line, Point, RecorderBuilder, RecorderHandle,
};

pub(crate) const INTERVAL: Duration = Duration::from_secs(10);

/// Settings without jitter, so that a test knows when an interval ends.
pub(crate) fn settings() -> RecorderBuilder {
    InfluxRecorder::builder(Encoder::new(Dialect::Influx1))
        .flush_interval(INTERVAL)
        .flush_jitter(Duration::ZERO)
}

/// A recorder, and the sink that answers by `script`.
pub(crate) fn recorder(
    settings: RecorderBuilder,
    script: impl IntoIterator<Item = Reply>,
) -> (InfluxRecorder, RecorderHandle, ScriptedSink<Line>) {
    let sink = ScriptedSink::new(script);
    let (recorder, handle) = settings.build(sink.clone()).unwrap();
    (recorder, handle, sink)
}

/// Runs what an application does, with its macros.
pub(crate) fn record<R>(recorder: &InfluxRecorder, application: impl FnOnce() -> R) -> R {
    metrics::with_local_recorder(recorder, application)
}

/// Lets so many intervals pass, and the flushes after them.
pub(crate) async fn intervals(number: u32) {
    tokio::time::sleep(INTERVAL * number + Duration::from_millis(1)).await;
}

/// What was delivered, without the stamps, in the order of the text.
pub(crate) fn written(sink: &ScriptedSink<Line>) -> Vec<String> {
    let lines = sink.delivered();
    let stampless = |line: &Line| line.as_str().rsplit_once(' ').unwrap().0.to_owned();
    let mut written: Vec<String> = lines.iter().map(stampless).collect();
    written.sort();
    written
}

/// The points that were delivered.
pub(crate) fn points(sink: &ScriptedSink<Line>) -> Vec<Point> {
    let lines = sink.delivered();
    lines.iter().map(|line| line.as_str().parse().unwrap()).collect()
}

/// The values of the field `field` in the points of `measurement`.
pub(crate) fn values(sink: &ScriptedSink<Line>, measurement: &str, field: &str) -> Vec<f64> {
    let points = points(sink);
    let of_measurement = points.iter().filter(|point| point.measurement() == measurement);
    let fields = of_measurement.flat_map(Point::fields);
    fields
        .filter(|(key, _)| *key == field)
        .map(|(_, value)| match value {
            FieldValue::Integer(integer) => *integer as f64,
            FieldValue::Float(float) => *float,
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Their sum.
pub(crate) fn sum(sink: &ScriptedSink<Line>, measurement: &str, field: &str) -> f64 {
    values(sink, measurement, field).iter().sum()
}
