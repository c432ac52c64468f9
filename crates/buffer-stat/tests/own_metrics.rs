//! What counters report of themselves through the `metrics` facade.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_stat::StatBuffer;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

/// Keeps the counters and gauges of one buffer, by name.
#[derive(Default)]
struct Notes(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Notes {
    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        Arc::clone(self.0.lock().entry(key.name().to_owned()).or_default())
    }

    fn of(&self, name: &str) -> u64 {
        self.0.lock().get(name).map_or(0, |number| number.load(Relaxed))
    }

    fn keys(&self) -> f64 {
        f64::from_bits(self.of("buffer_stat_keys"))
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn keys_and_counts_that_were_merged_back_are_reported_and_idle_keys_leave() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let sink = ScriptedSink::new([Reply::Transient]);
    let counters = StatBuffer::<String>::builder().retries(0).build(sink).unwrap();
    for key in ["a", "b", "c"] {
        counters.increment(key, 1).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(notes.keys(), 3.0);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(notes.of("buffer_stat_counts_merged_back_total"), 3);
    assert_eq!(notes.keys(), 0.0, "idle keys leave");
    let _ = counters.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_came_back_just_before_the_close_is_reported() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let sink = ScriptedSink::new([Reply::Transient]);
    let counters = StatBuffer::<String>::builder()
        .buffer(|buffer| buffer.name("closed soon"))
        .retries(0)
        .build(sink)
        .unwrap();
    counters.increment("a", 1).unwrap();
    assert_eq!(counters.flush().await.returned, 1);
    let _ = counters.close().await;
    tokio::task::yield_now().await;
    assert_eq!(notes.of("buffer_stat_counts_merged_back_total"), 1);
}
