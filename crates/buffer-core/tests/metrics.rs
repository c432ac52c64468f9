//! What a buffer reports of itself through the `metrics` facade.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{
    Batch, Buffer, DropReason, Flush, FlushError, FlushErrorKind, Ledger, Overflow, Routing, async_trait,
};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

/// Keeps what it is told: counters and gauges by name and labels, the values of histograms.
#[derive(Default)]
struct Notes {
    numbers: Mutex<HashMap<Key, Arc<AtomicU64>>>,
    histograms: Mutex<HashMap<Key, Arc<Values>>>,
    described: Mutex<Vec<String>>,
    calls: AtomicUsize,
}

#[derive(Default)]
struct Values(Mutex<Vec<f64>>);

impl metrics::HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().push(value);
    }
}

impl Recorder for Notes {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().push(key.as_str().to_owned());
    }
    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().push(key.as_str().to_owned());
    }
    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        self.described.lock().push(key.as_str().to_owned());
    }
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.number(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.number(key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.calls.fetch_add(1, Relaxed);
        Histogram::from_arc(Arc::clone(self.histograms.lock().entry(key.clone()).or_default()))
    }
}

impl Notes {
    fn number(&self, key: &Key) -> Arc<AtomicU64> {
        self.calls.fetch_add(1, Relaxed);
        Arc::clone(self.numbers.lock().entry(key.clone()).or_default())
    }

    fn find(&self, name: &str, label: Option<&str>) -> u64 {
        let numbers = self.numbers.lock();
        let found = numbers.iter().find(|(key, _)| {
            key.name() == name && label.is_none_or(|label| key.labels().any(|own| own.value() == label))
        });
        found.map_or(0, |(_, number)| number.load(Relaxed))
    }

    /// How many series of a name there are.
    fn series(&self, name: &str) -> u64 {
        self.numbers
            .lock()
            .keys()
            .filter(|key| key.name() == name)
            .count() as u64
    }

    fn counter(&self, name: &str) -> u64 {
        self.find(name, None)
    }

    fn labelled(&self, name: &str, label: &str) -> u64 {
        self.find(name, Some(label))
    }

    fn gauge(&self, name: &str) -> f64 {
        f64::from_bits(self.find(name, None))
    }

    /// The values of the second label of attempts, in order.
    fn outcomes(&self) -> Vec<String> {
        let histograms = self.histograms.lock();
        let durations = histograms
            .keys()
            .filter(|key| key.name() == "buffer_flush_duration_seconds");
        let mut outcomes: Vec<_> = durations
            .flat_map(|key| key.labels().filter(|label| label.key() == "outcome"))
            .map(|label| label.value().to_owned())
            .collect();
        outcomes.sort_unstable();
        outcomes
    }

    fn histogram(&self, name: &str) -> Vec<f64> {
        let histograms = self.histograms.lock();
        let found = histograms.iter().filter(|(key, _)| key.name() == name);
        found.flat_map(|(_, values)| values.0.lock().clone()).collect()
    }

    /// What a ledger says must be what was reported.
    fn agree_with(&self, ledger: &Ledger) {
        assert_eq!(self.counter("buffer_items_accepted_total"), ledger.accepted);
        assert_eq!(self.counter("buffer_items_delivered_total"), ledger.delivered);
        assert_eq!(self.counter("buffer_items_returned_total"), ledger.returned);
        assert_eq!(self.counter("buffer_items_retried_total"), ledger.retried);
        assert_eq!(
            self.counter("buffer_items_dead_lettered_total"),
            ledger.dead_lettered
        );
        for &reason in DropReason::ALL {
            let dropped = self.labelled("buffer_items_dropped_total", reason.as_str());
            assert_eq!(dropped, ledger.dropped.count(reason), "{reason}");
        }
        assert_eq!(self.gauge("buffer_items_pending"), ledger.pending as f64);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_reported_is_what_the_ledger_says_through_all_failures() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let sink = ScriptedSink::new([
        Reply::Transient,
        Reply::Panic,
        Reply::Never,
        Reply::reject(0, Reply::Ok),
        Reply::Permanent,
        Reply::Ok,
    ]);
    let buffer = Buffer::builder()
        .name("failures")
        .partitions(1)
        .batch_size(4)
        .weigh(|_: &u32| 3)
        .dead_letters(ScriptedSink::new([]))
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut (0..10).collect()).await.unwrap();
    buffer.flush().await;
    // The worker reports when it has answered.
    tokio::task::yield_now().await;
    notes.agree_with(&buffer.ledger());
    assert_eq!(notes.counter("buffer_panics_total"), 1);
    for (result, attempts) in [
        ("ok", 2),
        ("transient", 1),
        ("panicked", 1),
        ("timed_out", 1),
        ("permanent", 1),
    ] {
        assert_eq!(
            notes.labelled("buffer_attempts_total", result),
            attempts,
            "{result}"
        );
    }
    assert_eq!(notes.labelled("buffer_batches_sealed_total", "size"), 2);
    assert_eq!(notes.labelled("buffer_batches_sealed_total", "request"), 1);
    assert_eq!(notes.histogram("buffer_batch_items"), [4.0, 4.0, 2.0]);
    assert_eq!(notes.histogram("buffer_batch_bytes"), [12.0, 12.0, 6.0]);
    assert_eq!(notes.histogram("buffer_flush_duration_seconds").len(), 6);
    assert_eq!(notes.gauge("buffer_items_capacity"), 40.0);
    let _ = buffer.close().await;
    notes.agree_with(&buffer.ledger());
    for gauge in [
        "buffer_items_pending",
        "buffer_bytes_pending",
        "buffer_items_capacity",
        "buffer_oldest_item_age_seconds",
        "buffer_attempts_in_flight",
        "buffer_held",
    ] {
        assert_eq!(notes.gauge(gauge), 0.0, "{gauge}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_is_installed_late_still_gets_everything() {
    let buffer = Buffer::builder()
        .name("late")
        .partitions(1)
        .batch_size(2)
        .build(ScriptedSink::new([Reply::Permanent]))
        .unwrap();
    buffer.insert_batch(&mut (0..6).collect()).await.unwrap();
    buffer.flush().await;
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    buffer.insert(6).await.unwrap();
    let _ = buffer.close().await;
    notes.agree_with(&buffer.ledger());
}

#[tokio::test(start_paused = true)]
async fn buffers_of_one_name_are_summed_up() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let build = || {
        let builder = Buffer::builder().name("twins").partitions(1).batch_size(10);
        builder.build(ScriptedSink::new([])).unwrap()
    };
    let (one, other) = (build(), build());
    one.insert_batch(&mut (0..3).collect()).await.unwrap();
    other.insert_batch(&mut (0..4).collect()).await.unwrap();
    let _ = one.close().await;
    assert_eq!(notes.gauge("buffer_items_capacity"), 100.0);
    let _ = other.close().await;
    assert_eq!(notes.counter("buffer_items_delivered_total"), 7);
    assert_eq!(notes.gauge("buffer_items_capacity"), 0.0);
}

/// Fails when an insert that finds room is reported, or one that waits is not.
#[tokio::test(start_paused = true)]
async fn the_time_that_inserts_wait_for_room_is_reported() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let sink = ScriptedSink::answering(|_| Reply::after(Duration::from_secs(2), Reply::Ok));
    let builder = Buffer::builder()
        .name("waits")
        .partitions(1)
        .batch_size(2)
        .capacity(2);
    let buffer = builder.build(sink).unwrap();
    buffer.insert_batch(&mut vec![1, 2]).await.unwrap();
    assert_eq!(notes.histogram("buffer_insert_wait_seconds"), []);
    buffer.insert(3).await.unwrap();
    buffer.insert_batch(&mut vec![4, 5]).await.unwrap();
    let waits = notes.histogram("buffer_insert_wait_seconds");
    assert_eq!(waits.len(), 2, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait >= 2.0 && *wait < 3.0), "{waits:?}");
    let _ = buffer.close().await;
}

/// Fails when it is the age of whichever buffer reported last.
#[tokio::test(start_paused = true)]
async fn the_oldest_age_is_that_of_the_oldest_buffer_of_a_name() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let builder = || Buffer::builder().name("aged").partitions(1);
    let (sink, gate) = ScriptedSink::new([]).gated();
    let old = builder().build(sink).unwrap();
    old.insert(1).await.unwrap();
    old.request_flush();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let young = builder().build(ScriptedSink::new([])).unwrap();
    young.insert(1).await.unwrap();
    young.flush().await;
    assert!(notes.gauge("buffer_oldest_item_age_seconds") >= 5.0);
    gate.open();
    old.flush().await;
    assert_eq!(notes.gauge("buffer_oldest_item_age_seconds"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_outage_shows_as_held_with_the_age_of_what_waits() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let sink = ScriptedSink::answering(|_| Reply::Unavailable);
    let buffer = Buffer::builder()
        .name("outage")
        .partitions(1)
        .build(sink)
        .unwrap();
    buffer.insert(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(notes.gauge("buffer_held"), 1.0);
    assert!(notes.gauge("buffer_oldest_item_age_seconds") > 500.0);
    assert_eq!(notes.gauge("buffer_items_pending"), 1.0);
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!(summary.undelivered, [1]);
    notes.agree_with(&summary.ledger);
    assert_eq!(notes.gauge("buffer_held"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_waits_for_its_answer_shows_as_in_flight() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .name("in flight")
        .partitions(1)
        .build(sink.clone())
        .unwrap();
    buffer.insert(1).await.unwrap();
    buffer.request_flush();
    sink.attempted(1).await;
    tokio::task::yield_now().await;
    assert_eq!(notes.gauge("buffer_attempts_in_flight"), 1.0);
    assert_eq!(notes.gauge("buffer_items_pending"), 1.0);
    gate.open();
    let _ = buffer.close().await;
    assert_eq!(notes.gauge("buffer_attempts_in_flight"), 0.0);
}

/// Fails when an attempt is always reported with what comes next, which may have to wait.
#[tokio::test(start_paused = true)]
async fn what_an_attempt_settled_is_reported_while_its_burial_hangs() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let (dead, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .name("burial")
        .partitions(1)
        .dead_letters(dead.clone())
        .build(ScriptedSink::new([Reply::reject(0, Reply::Ok)]))
        .unwrap();
    buffer.insert_batch(&mut vec![1, 2]).await.unwrap();
    buffer.request_flush();
    dead.attempted(1).await;
    assert_eq!(notes.counter("buffer_items_delivered_total"), 1);
    assert_eq!(notes.labelled("buffer_items_dropped_total", "rejected"), 1);
    assert_eq!(notes.gauge("buffer_items_pending"), 0.0);
    assert_eq!(notes.gauge("buffer_attempts_in_flight"), 0.0);
    gate.open();
    let _ = buffer.close().await;
}

/// As the one above, where the sink is down meanwhile.
#[tokio::test(start_paused = true)]
async fn what_a_half_settled_is_reported_while_the_other_half_is_held() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    // Single items: the even ones are taken after a second; the odd ones find the sink out, when half of that has passed.
    let sink = ScriptedSink::answering(|batch: &Batch<u64>| match batch.len() {
        1 if batch[0].is_multiple_of(2) => Reply::after(Duration::from_secs(1), Reply::Ok),
        1 => Reply::after(
            Duration::from_millis(500),
            Reply::RetryAfter(Duration::from_secs(200), FlushErrorKind::Unavailable),
        ),
        _ => Reply::Divisible,
    });
    let buffer = Buffer::builder()
        .name("held")
        .partitions(2)
        .routing(Routing::by_hash(|item| *item))
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![0, 1, 2]).await.unwrap();
    buffer.request_flush();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(notes.gauge("buffer_held"), 1.0);
    assert_eq!(notes.counter("buffer_items_delivered_total"), 1);
    assert_eq!(notes.gauge("buffer_items_pending"), 2.0);
    let _ = buffer.close_within(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn items_that_are_refused_are_reported_by_why() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .name("refusals")
        .partitions(1)
        .batch_size(2)
        .capacity(2)
        .weigh(|item: &u32| *item as usize)
        .batch_bytes(10)
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![1, 2]).await.unwrap();
    assert!(buffer.try_insert(3).is_err());
    assert!(buffer.insert_timeout(3, Duration::from_secs(1)).await.is_err());
    assert!(buffer.try_insert_batch(&mut vec![3, 4, 5]).is_err());
    assert!(buffer.insert(11).await.is_err());
    gate.open();
    buffer.flush().await;
    let _ = buffer.close().await;
    assert_eq!(notes.labelled("buffer_items_refused_total", "full"), 5);
    assert_eq!(notes.labelled("buffer_items_refused_total", "oversized"), 1);
}

#[tokio::test(start_paused = true)]
async fn no_item_is_reported_by_itself() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .name("quiet")
        .partitions(1)
        .batch_size(10)
        .capacity(100)
        .overflow(Overflow::DropNewest)
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut (0..10).collect()).await.unwrap();
    while buffer.info()[0].in_hand == 0 {
        tokio::task::yield_now().await;
    }
    let before = notes.calls.load(Relaxed);
    for item in 0..10_000 {
        buffer.insert(item).await.unwrap();
    }
    assert_eq!(notes.calls.load(Relaxed), before);
    gate.open();
    let _ = buffer.close().await;
    notes.agree_with(&buffer.ledger());
}

#[tokio::test]
async fn every_metric_is_described_when_a_buffer_is_built() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let buffer = Buffer::<u32>::builder().build(ScriptedSink::new([])).unwrap();
    let names: Vec<_> = buffer_core::metrics::ALL
        .iter()
        .map(|metric| metric.name)
        .collect();
    assert_eq!(*notes.described.lock(), names);
    drop(buffer);
}

/// An alert on the growth of a counter sees no growth in a series that begins with its first count.
#[tokio::test]
async fn every_counter_begins_at_zero_when_a_buffer_is_built() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let builder = Buffer::<u32>::builder()
        .name("at zero")
        .partitions(1)
        .capacity(70);
    let buffer = builder.batch_size(7).build(ScriptedSink::new([])).unwrap();
    let dropped = notes.series("buffer_items_dropped_total");
    assert_eq!(dropped, DropReason::ALL.len() as u64);
    for (name, series) in [
        ("buffer_items_refused_total", 3),
        ("buffer_batches_sealed_total", 5),
        ("buffer_attempts_total", 8),
        ("buffer_items_accepted_total", 1),
    ] {
        assert_eq!(notes.series(name), series, "{name}");
    }
    assert_eq!(notes.gauge("buffer_items_capacity"), 70.0);
    drop(buffer);
}

/// A recorder is user code: whatever it does, items go their way.
#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_costs_nothing() {
    struct Panics;
    impl Recorder for Panics {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            panic!("scripted")
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            panic!("scripted")
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            panic!("scripted")
        }
    }
    let _guard = metrics::set_default_local_recorder(&Panics);
    let buffer = Buffer::builder().build(ScriptedSink::new([])).unwrap();
    buffer.insert_batch(&mut (0..10).collect()).await.unwrap();
    assert_eq!(buffer.close().await.ledger.delivered, 10);
}

#[tokio::test(start_paused = true)]
async fn whatever_settles_an_item_last_is_reported_though_nothing_follows() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let given_up = Buffer::builder()
        .name("given up")
        .partitions(1)
        .give_up_after(Duration::from_secs(1))
        .dead_letters(ScriptedSink::new([]))
        .build(ScriptedSink::answering(|_| Reply::Unavailable))
        .unwrap();
    given_up.insert(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    notes.agree_with(&given_up.ledger());
    assert_eq!(given_up.ledger().dead_lettered, 1);
}

#[tokio::test(start_paused = true)]
async fn absurd_capacities_and_weights_do_no_harm() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let build = || {
        let builder = Buffer::builder()
            .name("absurd")
            .partitions(1)
            .capacity(usize::MAX);
        let sink = ScriptedSink::new([Reply::Transient]);
        builder.weigh(|_: &u32| usize::MAX).build(sink).unwrap()
    };
    let (one, other) = (build(), build());
    one.insert_batch(&mut vec![1, 2, 3]).await.unwrap();
    other.insert_batch(&mut vec![1, 2, 3]).await.unwrap();
    assert_eq!(one.close().await.ledger.delivered, 3);
    assert_eq!(other.close().await.ledger.delivered, 3);
    assert_eq!(notes.gauge("buffer_bytes_pending"), 0.0);
}

/// Fails when refusals are reported with what becomes of items alone, of which there is none after the end.
#[tokio::test(start_paused = true)]
async fn refusals_of_a_closed_buffer_are_reported_though_nothing_else_is() {
    let notes = Notes::default();
    let _guard = metrics::set_default_local_recorder(&notes);
    let buffer = Buffer::builder()
        .name("through")
        .build(ScriptedSink::new([]))
        .unwrap();
    let _ = buffer.close().await;
    for refusals in 1..=3 {
        assert!(buffer.try_insert(1).is_err());
        assert_eq!(notes.labelled("buffer_items_refused_total", "closed"), refusals);
    }
}

/// Withdraws batches, or takes them; says that it failed.
struct NeverAgain {
    withdraws: bool,
}

#[async_trait]
impl Flush<u32> for NeverAgain {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        drop(match self.withdraws {
            true => batch.withdraw(),
            false => batch.take(),
        });
        Err(FlushError::transient("scripted"))
    }
}

/// Fails when an attempt is told by its error, which here decides nothing.
#[tokio::test(start_paused = true)]
async fn an_attempt_is_told_by_what_became_of_its_batch() {
    for (withdraws, outcome) in [(true, "returned"), (false, "dropped")] {
        let notes = Notes::default();
        let _guard = metrics::set_default_local_recorder(&notes);
        let buffer = Buffer::builder().build(NeverAgain { withdraws }).unwrap();
        buffer.insert(1).await.unwrap();
        let _ = buffer.close().await;
        assert_eq!(notes.outcomes(), [outcome]);
    }
}
