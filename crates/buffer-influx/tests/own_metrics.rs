//! What the sink reports of itself through the `metrics` facade.

mod scripted_server;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use buffer_influx::{Client, InfluxSink, Point, V1, Writer};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use scripted_server::{ScriptedServer, json, no_content};

/// Keeps the counters that it is told of.
#[derive(Default)]
struct Notes(Mutex<HashMap<Key, Arc<AtomicU64>>>);

impl Recorder for Notes {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(key.clone()).or_default()))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

impl Notes {
    /// The total of the buffer `own metrics`, by the values of its labels.
    fn total(&self, name: &str, labels: &[&str]) -> u64 {
        let all = self.0.lock().unwrap();
        let found = all.iter().find(|(key, _)| {
            key.name() == name && key.labels().map(|label| label.value()).eq(labels.to_vec())
        });
        found.map_or(0, |(_, total)| total.load(Relaxed))
    }
}

#[tokio::test]
async fn the_bytes_that_a_server_took_and_the_points_that_it_refused_are_reported_by_class() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let partial = r#"{"error":"partial write: unable to parse 'm v=1i 1': missing fields dropped=0"}"#;
    let too_large = || json(413, "", r#"{"error":"Request Entity Too Large"}"#);
    // Five lines, of which one is named; then one that is too large alone.
    let server = ScriptedServer::new([json(400, "", partial), too_large(), too_large(), no_content()]);
    let client = Client::builder(&server.url, V1::new("db")).build().unwrap();
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.name("own metrics").partitions(1))
        .build(InfluxSink::new(client))
        .unwrap();
    let point = |index: i64| Point::new("m").field("v", index).timestamp_ns(index);
    for index in 0..5 {
        writer.write(point(index)).await.unwrap();
    }
    writer.flush().await;
    let (bytes, rejected) = ("buffer_influx_bytes_total", "buffer_influx_points_rejected_total");
    // Four lines such as `m v=0i 0`, with their line breaks.
    assert_eq!(notes.total(bytes, &["own metrics"]), 4 * 9);
    assert_eq!(notes.total(rejected, &["own metrics", "partial_write"]), 1);
    for index in 5..7 {
        writer.write(point(index)).await.unwrap();
    }
    writer.flush().await;
    assert_eq!(notes.total(bytes, &["own metrics"]), 5 * 9);
    assert_eq!(notes.total(rejected, &["own metrics", "too_large"]), 1);
}

/// Panics, with something that panics when it is dropped.
struct Hostile;

impl Recorder for Hostile {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name().starts_with("buffer_influx") {
            std::panic::panic_any(PanicsWhenDropped);
        }
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("scripted");
    }
}

/// It has failed on a report that dropped what a panic brings as it was: the attempt was one that had panicked, and was made again.
#[tokio::test]
async fn a_recorder_that_panics_costs_no_attempt() {
    let _guard = metrics::set_default_local_recorder(&Hostile);
    let server = ScriptedServer::new([]);
    let client = Client::builder(&server.url, V1::new("db")).build().unwrap();
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.name("hostile metrics").partitions(1))
        .build(InfluxSink::new(client))
        .unwrap();
    let point = Point::new("m").field("v", 1).timestamp_ns(1);
    writer.write(point).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
    assert_eq!(server.requests_left(), 1);
}
