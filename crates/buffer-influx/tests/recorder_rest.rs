//! An application that is idle comes to rest, though the recorder's own buffer reports itself through the recorder.

mod recorded;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, Outcome, async_trait};
use buffer_influx::{InfluxRecorder, Line};
use metrics::{Counter, Histogram, counter, gauge, histogram};
use tokio::time::sleep;

use crate::recorded::{intervals, record, recorder, settings, sum};

/// A sink that counts its calls in the recorder which it writes for, under the name of the recorder's buffer.
#[derive(Clone, Default)]
struct Counted {
    calls: Arc<AtomicUsize>,
    own: Arc<OnceLock<(Counter, Histogram)>>,
}

#[async_trait]
impl Flush<Line> for Counted {
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        // Relaxed: the number alone matters.
        self.calls.fetch_add(1, Relaxed);
        if let Some((writes, lines)) = self.own.get() {
            writes.increment(1);
            lines.record(batch.len() as f64);
        }
        Ok(())
    }
}

impl Counted {
    fn recorder(&self, buffer: &'static str) -> InfluxRecorder {
        let recorder = settings().build_recorder(self.clone()).unwrap();
        let own = record(&recorder, || {
            (
                counter!("writes", "buffer" => buffer),
                histogram!("lines", "buffer" => buffer),
            )
        });
        let Ok(()) = self.own.set(own) else { panic!("once") };
        recorder
    }

    fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }
}

/// It has failed on a recorder that does not tell its own metrics from the application's.
#[tokio::test(start_paused = true)]
async fn what_a_flush_reports_of_itself_does_not_cause_the_next_one() {
    let sink = Counted::default();
    let recorder = sink.recorder("metrics");
    record(&recorder, || counter!("a").increment(1));
    intervals(1_000).await;
    assert_eq!(sink.calls(), 1);
    record(&recorder, || counter!("a").increment(1));
    intervals(1_000).await;
    assert_eq!(sink.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_another_buffer_reports_is_written_like_anything_else() {
    let sink = Counted::default();
    let recorder = sink.recorder("another");
    record(&recorder, || counter!("a").increment(1));
    intervals(100).await;
    assert_eq!(sink.calls(), 100, "this sink keeps itself awake");
}

#[tokio::test(start_paused = true)]
async fn the_recorder_s_own_metrics_are_written_along_with_others_and_at_the_close() {
    let (recorder, handle, sink) = recorder(settings().name("points"), []);
    let own = record(&recorder, || counter!("own", "buffer" => "points"));
    own.increment(1);
    intervals(100).await;
    assert!(sink.attempts().is_empty());
    record(&recorder, || gauge!("g").set(1));
    intervals(1).await;
    assert_eq!(sum(&sink, "own", "delta"), 1.0);
    own.increment(2);
    let _ = handle.close().await;
    assert_eq!(sum(&sink, "own", "delta"), 3.0);
}

/// The engine reports itself to this recorder, too, as if it were installed. Counted, not timed. It has failed on a recorder that
/// does not tell its own metrics from the application's.
#[test]
fn an_idle_application_has_neither_flushes_nor_timers() {
    let parks = Arc::new(AtomicUsize::new(0));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).on_thread_park({
        let parks = Arc::clone(&parks);
        // Relaxed: only the number matters, and it is read on the same thread.
        move || {
            parks.fetch_add(1, Relaxed);
        }
    });
    builder.build().unwrap().block_on(async {
        let (recorder, handle, sink) = recorder(settings().name("idle"), []);
        let _installed = metrics::set_default_local_recorder(&recorder);
        let held = counter!("held");
        for _ in 0..3 {
            held.increment(1);
            counter!("a").increment(1);
            gauge!("g").set(1);
            histogram!("h").record(1);
            sleep(Duration::from_secs(60)).await;
        }
        // What nobody holds is forgotten before the rest.
        sleep(Duration::from_secs(60 * 60)).await;
        let (before, attempts) = (parks.load(Relaxed), sink.attempts().len());
        sleep(Duration::from_secs(1_000 * 60 * 60)).await;
        // The sleep's own timer moves from wheel to wheel, which takes a few; one of an hour would take a thousand.
        let woken = parks.load(Relaxed) - before;
        assert!(woken <= 20, "{woken}");
        assert_eq!(sink.attempts().len(), attempts);
        held.increment(1);
        intervals(1).await;
        assert_eq!(sum(&sink, "held", "delta"), 4.0, "the first update ends the rest");
        assert!(sum(&sink, "buffer_items_accepted_total", "delta") > 0.0);
        let _ = handle.close().await;
    });
}

/// The hook of the outcomes is called while the recorder hands over; what it counts must find the tables unlocked.
#[test]
fn code_that_a_hand_over_calls_may_use_the_recorder() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let hook = |buffer: buffer_core::BufferBuilder<Line>| {
            let buffer = buffer
                .capacity(4)
                .batch_size(2)
                .overflow(buffer_core::Overflow::DropOldest);
            buffer.on_outcome(|settled| {
                if let Outcome::Dropped(_) = settled.outcome {
                    counter!("dropped", "buffer" => "metrics").increment(settled.items.len() as u64);
                }
            })
        };
        let outage = vec![buffer_core::testing::Reply::Unavailable; 1_000];
        let (recorder, handle, _sink) = recorder(settings().buffer(hook), outage);
        let _installed = metrics::set_default_local_recorder(&recorder);
        for number in 0..20 {
            counter!(format!("c{number}")).increment(1);
        }
        intervals(2).await;
        assert!(handle.stats().points.dropped.total() >= 16);
        let _ = handle.close_within(Duration::ZERO).await;
    });
}

/// A log that counts its lines by the recorder whose words it takes.
struct CountingLog;

impl tracing::Subscriber for CountingLog {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        counter!("log_lines", "level" => event.metadata().level().as_str()).increment(1);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// It has failed, which means hung, on a registry that logs under the lock of its tables.
#[tokio::test(start_paused = true)]
async fn a_log_that_counts_its_lines_may_take_the_recorder_s_own() {
    let (recorder, handle, sink) = recorder(settings().series_limit(2), []);
    let _installed = metrics::set_default_local_recorder(&recorder);
    let log = tracing::subscriber::set_default(CountingLog);
    for number in 0..4 {
        counter!("a", "number" => number.to_string()).increment(1);
    }
    gauge!("g").set(f64::NAN);
    let too_long: Vec<_> = (0..100)
        .map(|number| metrics::Label::new(format!("label{number}"), "x".repeat(1_000)))
        .collect();
    counter!("b", too_long).increment(1);
    handle.flush().await;
    drop(log);
    handle.flush().await;
    assert!(sum(&sink, "log_lines", "delta") >= 3.0);
    let _ = handle.close().await;
}
