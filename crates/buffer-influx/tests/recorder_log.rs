//! What the log names of the updates that a recorder leaves out.

mod recorded;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use metrics::gauge;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::recorded::{intervals, record, recorder, settings, values};

/// Counts the lines that name what was left out, and sums up what they name.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<AtomicU64>,
    non_finite: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    panics: bool,
}

impl Log {
    fn seen(&self) -> (u64, u64, u64) {
        let Self {
            lines,
            non_finite,
            refused,
            ..
        } = self;
        (
            lines.load(Relaxed),
            non_finite.load(Relaxed),
            refused.load(Relaxed),
        )
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("buffer_influx")
    }

    fn event(&self, event: &Event<'_>) {
        struct LeftOut<'a>(&'a Log);
        impl Visit for LeftOut<'_> {
            fn record_u64(&mut self, field: &Field, value: u64) {
                match field.name() {
                    "non_finite" => self.0.non_finite.fetch_add(value, Relaxed),
                    "refused" => self.0.refused.fetch_add(value, Relaxed),
                    _ => return,
                };
                self.0.lines.fetch_add(1, Relaxed);
            }
            fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
        }
        event.record(&mut LeftOut(self));
        assert!(!self.panics, "the subscriber panics");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// It has failed on a recorder whose rest only a change of a series ends, and on one that logs only with a hand-over.
#[tokio::test(start_paused = true)]
async fn what_is_left_out_is_named_once_though_nothing_else_changes() {
    let log = Log::default();
    let _taken = tracing::subscriber::set_default(log.clone());
    let (recorder, _handle, sink) = recorder(settings().series_limit(1), []);
    let held = record(&recorder, || gauge!("a"));
    held.set(1);
    intervals(100).await;
    assert_eq!(log.seen(), (0, 0, 0));
    for round in 1..=3 {
        record(&recorder, || gauge!("b").set(1));
        held.set(f64::NAN);
        held.set(f64::NAN);
        intervals(100).await;
        // A line has both numbers.
        assert_eq!(log.seen(), (2 * round, 2 * round, round));
    }
    assert_eq!(values(&sink, "a", "gauge"), [1.0]);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_panics_costs_no_update() {
    let log = Log {
        panics: true,
        ..Log::default()
    };
    let _taken = tracing::subscriber::set_default(log.clone());
    let (recorder, _handle, sink) = recorder(settings(), []);
    let held = record(&recorder, || gauge!("a"));
    for round in 1..=3_u32 {
        held.set(f64::NAN);
        intervals(3).await;
        held.set(f64::from(round));
        intervals(3).await;
    }
    assert_eq!(values(&sink, "a", "gauge"), [1.0, 2.0, 3.0]);
    assert_eq!(log.seen().1, 3);
}
