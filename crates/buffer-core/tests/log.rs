//! What the log names of what is dropped.

mod bomb;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bomb::Bomb;
use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, Buffer, Flush, FlushError, Overflow, Routing, async_trait};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Where a subscriber panics.
#[derive(Clone, Copy, PartialEq)]
enum Panics {
    InLines,
    AtTheBegin,
    AtTheEnd,
    AtTheSpansEnd,
}

/// Counts the lines, and the errors among them, sums up their `items`, and keeps their `cause`.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<AtomicU64>,
    items: Arc<AtomicU64>,
    causes: Arc<Mutex<Vec<String>>>,
    panics: Option<Panics>,
    errors: Arc<AtomicU64>,
}

impl Log {
    fn panicking(panics: Panics) -> Self {
        Self {
            panics: Some(panics),
            ..Self::default()
        }
    }

    fn may_panic(&self, here: Panics) {
        assert!(self.panics != Some(here), "the subscriber panics");
    }

    fn seen(&self) -> (u64, u64) {
        (self.lines.load(Relaxed), self.items.load(Relaxed))
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("buffer_core")
    }

    fn event(&self, event: &Event<'_>) {
        struct Items<'a>(&'a Log);
        impl Visit for Items<'_> {
            fn record_u64(&mut self, field: &Field, value: u64) {
                if field.name() == "items" {
                    self.0.lines.fetch_add(1, Relaxed);
                    self.0.items.fetch_add(value, Relaxed);
                }
            }
            fn record_str(&mut self, field: &Field, value: &str) {
                if field.name() == "cause" {
                    self.0.causes.lock().push(value.to_owned());
                }
            }
            fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
        }
        event.record(&mut Items(self));
        let is_error = *event.metadata().level() == Level::ERROR;
        self.errors.fetch_add(u64::from(is_error), Relaxed);
        self.may_panic(Panics::InLines);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {
        self.may_panic(Panics::AtTheBegin);
    }
    fn exit(&self, _: &Id) {
        self.may_panic(Panics::AtTheEnd);
    }
    fn try_close(&self, _: Id) -> bool {
        self.may_panic(Panics::AtTheSpansEnd);
        true
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_names_all_that_a_drain_drops() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let buffer = Buffer::<u32>::builder()
        .partitions(4)
        .batch_size(2)
        .routing(Routing::PerCall)
        .drain_timeout(Duration::from_secs(1))
        .build(ScriptedSink::new(vec![Reply::Never; 4]))
        .unwrap();
    for item in 0..16 {
        buffer.insert(item).await.unwrap();
    }
    drop(buffer);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.seen(), (4, 16));
}

/// Fails when whoever ignores the answer of a close loses the items without a word.
#[tokio::test(start_paused = true)]
async fn the_log_names_what_a_close_hands_back() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let builder = Buffer::builder().partitions(2).routing(Routing::PerCall);
    let buffer = builder
        .build(ScriptedSink::new([Reply::Never, Reply::Never]))
        .unwrap();
    for item in 0..6 {
        buffer.insert(item).await.unwrap();
    }
    let summary = buffer.close_within(Duration::ZERO).await;
    assert_eq!((summary.undelivered.len(), log.seen()), (6, (1, 6)));
    assert!(buffer.close().await.undelivered.is_empty());
    assert_eq!(log.seen(), (1, 6), "there is nothing more to tell of");
}

#[tokio::test(start_paused = true)]
async fn the_log_names_the_cause_of_a_drop_with_all_that_is_behind_it() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    #[derive(Debug, thiserror::Error)]
    #[error("can't insert")]
    struct CantInsert(#[source] std::io::Error);
    struct Client;
    #[async_trait]
    impl Flush<u32> for Client {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Err(FlushError::permanent(CantInsert(std::io::Error::other(
                "no such column",
            ))))
        }
    }
    let buffer = Buffer::builder().partitions(1).build(Client).unwrap();
    buffer.insert(1).await.unwrap();
    assert_eq!(buffer.flush().await.dropped.total(), 1);
    assert_eq!(*log.causes.lock(), ["can't insert: no such column"]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_drops_is_a_few_lines_that_name_all_of_them() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .capacity(1)
        .overflow(Overflow::DropNewest)
        .build(sink)
        .unwrap();
    for item in 0..10_001 {
        buffer.insert(item).await.unwrap();
    }
    gate.let_through(1);
    let _ = buffer.close().await;
    let (lines, items) = log.seen();
    assert_eq!(items, 10_000);
    assert!(lines <= 2, "{lines}");
}

/// A worker's panic on a runtime that lives would be taken for the runtime's end, and the buffer be closed.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_costs_neither_an_item_nor_the_buffer() {
    for panics in [
        Panics::InLines,
        Panics::AtTheBegin,
        Panics::AtTheEnd,
        Panics::AtTheSpansEnd,
    ] {
        let _guard = tracing::subscriber::set_default(Log::panicking(panics));
        let sink = ScriptedSink::new([Reply::Transient, Reply::Permanent, Reply::Ok]);
        let builder = Buffer::builder().partitions(1).batch_size(1);
        let buffer = builder.build(sink.clone()).unwrap();
        buffer.insert(1).await.unwrap();
        buffer.insert(2).await.unwrap();
        buffer.flush().await;
        assert!(!buffer.is_closed());
        let ledger = buffer.close().await.ledger;
        assert_eq!((ledger.delivered, ledger.dropped.total()), (1, 1));
        assert_eq!(sink.attempts().len(), 3);
    }
}

/// An attempt that is cut off ends its span, too.
#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_when_a_deadline_cuts_an_attempt_off_costs_the_close_nothing() {
    let log = Log::panicking(Panics::AtTheSpansEnd);
    let _guard = tracing::subscriber::set_default(log.clone());
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
    buffer.insert(1).await.unwrap();
    let closed = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!((closed.undelivered, sink.attempts().len()), (vec![1], 1));
    assert_eq!(log.errors.load(Relaxed), 0, "the worker has not panicked");
}

/// Delivers all, and fails with a cause that panics when it is dropped.
struct DeliversAndFails;

#[async_trait]
impl Flush<u32> for DeliversAndFails {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        batch.deliver(0..batch.len());
        Err(FlushError::transient(Bomb))
    }
}

/// Fails when the error of an attempt that has settled all by itself is dropped unguarded.
#[tokio::test(start_paused = true)]
async fn a_cause_that_panics_where_nothing_is_left_is_not_taken_for_a_panic_of_the_worker() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let buffer = Buffer::builder().partitions(1).build(DeliversAndFails).unwrap();
    buffer.insert(1).await.unwrap();
    assert_eq!(buffer.close().await.ledger.delivered, 1);
    assert_eq!(log.errors.load(Relaxed), 0);
}
