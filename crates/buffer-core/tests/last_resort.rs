//! What becomes of a buffer with a worker that can't go on. A program of its own: others would decide which spans are looked at.

use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{Buffer, DropReason, Routing};
use tokio::time::timeout;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Panics whenever a span is closed, as at the end of every attempt.
struct PanicsAfterwards;

impl Subscriber for PanicsAfterwards {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn try_close(&self, _: Id) -> bool {
        panic!("scripted")
    }
}

/// Fails when such a worker leaves the others, and whoever waits for it, behind.
#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_again_and_again_closes_the_buffer() {
    let _subscriber = tracing::subscriber::set_default(PanicsAfterwards);
    let builder = Buffer::builder().partitions(2).routing(Routing::PerCall);
    let buffer = builder.build(ScriptedSink::new([])).unwrap();
    buffer.insert(1).await.unwrap();
    let report = timeout(Duration::from_secs(3_600), buffer.flush()).await;
    let report = report.expect("nobody waits for a worker that is gone");
    assert!(buffer.is_closed());
    assert_eq!(report.dropped.count(DropReason::DrainTimeout), 1);
    assert_eq!(buffer.ledger().pending, 0);
}
