//! What becomes of counts when the sink fails: known not written, perhaps written, refused, panicked.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, DropReason, Flush, FlushError, FlushFuture, FlushReport, Health, Ledger, Outcome};
use buffer_stat::{Count, StatBuffer, StatBuilder};
use parking_lot::Mutex;
use tokio::time::sleep;

type Sink = ScriptedSink<Count<String>>;

const HOUR: Duration = Duration::from_secs(3_600);

/// One partition, two retries, and windows that only end by hand.
fn counters() -> StatBuilder<String> {
    StatBuffer::builder()
        .partitions(1)
        .retries(2)
        .flush_interval(1_000 * HOUR)
        .flush_jitter(Duration::ZERO)
}

fn total(sink: &Sink, key: &str) -> i64 {
    let delivered = sink.delivered();
    delivered
        .iter()
        .filter(|count| count.key == key)
        .map(|count| count.delta)
        .sum()
}

fn hangs_at_bad(batch: &Batch<Count<String>>) -> Reply {
    if batch.iter().any(|count| count.key == "bad") {
        Reply::Never
    } else {
        Reply::Ok
    }
}

#[track_caller]
fn assert_adds_up(ledger: &Ledger) {
    assert_eq!(
        ledger.accepted,
        ledger.delivered + ledger.dropped.total() + ledger.returned + ledger.pending
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_and_the_close_are_seen_at_the_counters() {
    let sink = Sink::new([Reply::Unavailable, Reply::Ok]);
    let stats = counters().build(sink).unwrap();
    stats.increment("a", 1).unwrap();
    assert_eq!(stats.health(), Health::Well);
    stats.request_flush();
    sleep(Duration::from_millis(1)).await;
    assert!(matches!(stats.health(), Health::Held { .. }));
    assert_eq!(stats.flush().await.delivered, 1);
    assert_eq!((stats.health(), stats.is_closed()), (Health::Well, false));
    let _ = stats.close().await;
    assert!(stats.is_closed());
}

/// Fails when a batch goes back too early or too late, and when what goes back is not summed on.
#[tokio::test(start_paused = true)]
async fn counts_that_were_certainly_not_written_go_back_after_their_retries_and_are_summed_on() {
    let sink = Sink::new([Reply::Transient, Reply::Transient, Reply::Transient, Reply::Ok]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stats = counters().on_outcome({
        let seen = Arc::clone(&seen);
        move |settled| {
            seen.lock()
                .push((settled.outcome, settled.count, settled.items.len()))
        }
    });
    let stats = stats.build(sink.clone()).unwrap();
    stats.increment("a", 3).unwrap();
    stats.increment("b", 1).unwrap();
    let report: FlushReport = stats.flush().await;
    assert_eq!((report.delivered, report.returned), (0, 2));
    assert_eq!(seen.lock()[..], [(Outcome::Returned, 2, 0)]);
    assert_eq!(stats.ledger().dropped.total(), 0);
    assert_eq!(sink.attempts().len(), 3, "the first and two retries");
    assert_eq!(stats.tallies().merged_back, 2);
    assert_eq!((stats.count("a"), stats.outstanding("a")), (3, 3));

    stats.increment("a", 4).unwrap();
    assert_eq!(
        stats.flush().await.delivered,
        2,
        "one for each key, not one for each window"
    );
    assert_eq!((total(&sink, "a"), total(&sink, "b")), (7, 1));
    let attempts = sink.attempts();
    assert!(attempts[..3].iter().all(|attempt| attempt.id == attempts[0].id));
    assert_ne!(attempts[3].id, attempts[0].id, "other content has another id");
    assert_adds_up(&stats.close().await.ledger);
}

/// Fails when the attempt in which counts go back is one that the sink has failed: the broken copy `a_way_back_is_a_failure`.
#[tokio::test(start_paused = true)]
async fn counts_that_go_back_say_nothing_of_the_sink() {
    let sink = Sink::answering(|_| Reply::Transient);
    let stats = counters().build(sink.clone()).unwrap();
    stats.increment("a", 3).unwrap();
    assert_eq!(stats.flush().await.returned, 1);
    let done = stats.stats();
    assert_eq!(sink.attempts().len(), 3);
    assert_eq!((done.attempts, done.failed_attempts), (4, 3));
    let Health::Held { reason, .. } = stats.health() else {
        panic!("{:?}", stats.health())
    };
    assert!(reason.contains("scripted"), "{reason}");
    let _ = stats.close_within(Duration::ZERO).await;
}

/// Fails when a batch that may have been written goes back, or changes from one attempt to the next.
#[tokio::test(start_paused = true)]
async fn a_batch_that_may_have_been_written_is_tried_again_as_it_is_for_as_long_as_it_takes() {
    for unsure in [Reply::Uncertain, Reply::Never] {
        let mut script = vec![unsure];
        script.extend((0..40).map(|_| Reply::Transient));
        script.push(Reply::Ok);
        let sink = Sink::new(script);
        let stats = counters().build(sink.clone()).unwrap();
        stats.increment("a", 3).unwrap();
        stats.request_flush();
        sleep(HOUR / 60).await;
        // It goes on summing, beside the batch.
        stats.increment("a", 4).unwrap();
        stats.increment("b", 5).unwrap();
        stats.request_flush();
        sleep(24 * HOUR).await;
        let attempts = sink.attempts();
        assert_eq!(stats.tallies().merged_back, 0);
        assert_eq!(
            attempts
                .iter()
                .filter(|attempt| attempt.id == attempts[0].id)
                .count(),
            42
        );
        assert!(
            attempts[..42]
                .iter()
                .all(|attempt| attempt.items == attempts[0].items)
        );
        assert_adds_up(&stats.close().await.ledger);
        assert_eq!((total(&sink, "a"), total(&sink, "b")), (7, 5));
    }
}

/// Fails when one uncertain attempt is forgotten by a transient one after it, and when the doubt outlives its batch.
#[tokio::test(start_paused = true)]
async fn a_doubt_stays_with_its_batch_and_not_with_the_next() {
    let script = [
        Reply::Transient,
        Reply::Uncertain,
        Reply::Transient,
        Reply::Transient,
        Reply::Ok,
    ];
    let sink = Sink::new(
        script
            .into_iter()
            .chain([Reply::Transient, Reply::Transient, Reply::Transient]),
    );
    let stats = counters().build(sink.clone()).unwrap();
    stats.increment("a", 1).unwrap();
    assert_eq!(stats.flush().await.delivered, 1);
    assert_eq!(stats.tallies().merged_back, 0);
    stats.increment("a", 1).unwrap();
    assert_eq!(stats.flush().await.delivered, 0);
    assert_eq!(stats.tallies().merged_back, 1);
    assert_eq!(stats.outstanding("a"), 1);
    assert_adds_up(&stats.close().await.ledger);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_out_spends_no_retries_and_nothing_goes_back() {
    let sink = Sink::new((0..50).map(|_| Reply::Unavailable).chain([Reply::Ok]));
    let stats = counters().build(sink.clone()).unwrap();
    stats.increment("a", 3).unwrap();
    assert_eq!(stats.flush().await.delivered, 1);
    assert_eq!((sink.attempts().len(), stats.tallies().merged_back), (51, 0));
}

#[tokio::test(start_paused = true)]
async fn counts_that_are_refused_for_good_are_buried_and_cost_no_other_window() {
    let (sink, dead) = (Sink::new([Reply::Permanent]), Sink::new([]));
    let stats = counters()
        .buffer(|buffer| buffer.dead_letters(dead.clone()))
        .build(sink.clone())
        .unwrap();
    stats.increment("a", 3).unwrap();
    assert_eq!(stats.flush().await.dropped.count(DropReason::Permanent), 1);
    assert_eq!(total(&dead, "a"), 3);
    assert_eq!(stats.outstanding("a"), 0);
    stats.increment("a", 4).unwrap();
    assert_eq!(stats.flush().await.delivered, 1);
    assert_eq!(total(&sink, "a"), 4);
}

/// Fails when a panic is no reason to end.
#[tokio::test(start_paused = true)]
async fn a_batch_at_which_the_sink_panics_again_and_again_is_buried() {
    let (sink, dead) = (
        Sink::new([Reply::Panic, Reply::Panic, Reply::Panic]),
        Sink::new([]),
    );
    let stats = counters()
        .buffer(|buffer| buffer.dead_letters(dead.clone()))
        .build(sink.clone())
        .unwrap();
    stats.increment("a", 3).unwrap();
    stats.flush().await;
    assert_eq!((sink.attempts().len(), total(&dead, "a")), (3, 3));
    stats.increment("a", 4).unwrap();
    stats.flush().await;
    assert_eq!(total(&sink, "a"), 4);
}

/// Fails when what the sink marked goes back with the rest.
#[tokio::test(start_paused = true)]
async fn of_a_batch_that_was_written_in_part_only_the_rest_goes_back() {
    use buffer_core::{Batch, Flush, FlushError, async_trait};

    /// Writes the first count of each attempt, and no more.
    struct Slow(Arc<Mutex<HashMap<String, i64>>>);
    #[async_trait]
    impl Flush<Count<String>> for Slow {
        async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
            let Count { key, delta, .. } = batch[0].clone();
            *self.0.lock().entry(key).or_default() += delta;
            batch.deliver(0..1);
            Err(FlushError::transient("scripted"))
        }
    }
    let written = Arc::default();
    let stats = counters().build(Slow(Arc::clone(&written))).unwrap();
    let keys: Vec<String> = (0..10).map(|key| key.to_string()).collect();
    for _ in 0..7 {
        for key in &keys {
            stats.increment(key.as_str(), 1).unwrap();
        }
        let report = stats.flush().await;
        assert_eq!((report.delivered, report.returned), (3, 7));
    }
    for key in &keys {
        let written = written.lock().get(key).copied().unwrap_or_default();
        assert_eq!(written + stats.outstanding(key.as_str()), 7, "{key}");
    }
    let _ = stats.close_within(Duration::ZERO).await;
}

/// Fails when a window's start is told anew with each attempt.
#[tokio::test(start_paused = true)]
async fn what_a_sink_leaves_of_a_batch_has_another_id_and_the_same_keys_and_window_starts() {
    let replies = [Reply::deliver(0..1, Reply::Uncertain), Reply::Ok];
    let sink = Sink::new(replies);
    let stats = counters().build(sink.clone()).unwrap();
    for key in ["a", "b"] {
        stats.increment(key, 1).unwrap();
    }
    assert_eq!(stats.flush().await.delivered, 2);
    let attempts = sink.attempts();
    let [first, second] = &attempts[..] else {
        panic!("{attempts:?}")
    };
    assert_ne!(first.id, second.id);
    assert_eq!(first.items[1..], second.items[..]);
}

/// Closes counters in the middle of the first attempt at 3, with 4 more summed up beside it, and a second. Returns what was delivered,
/// returned, and buried.
async fn closed_in_mid_flush(sink: &Sink) -> [i64; 3] {
    let dead = Sink::new([]);
    let stats = counters()
        .retries(1)
        .buffer(|buffer| buffer.dead_letters(dead.clone()))
        .build(sink.clone())
        .unwrap();
    stats.increment("a", 3).unwrap();
    stats.request_flush();
    sink.attempted(1).await;
    stats.increment("a", 4).unwrap();
    let summary = stats.close_within(Duration::from_secs(60)).await;
    assert_adds_up(&summary.ledger);
    assert_eq!(summary.ledger.pending, 0);
    let returned = summary.undelivered.iter().map(|count| count.delta).sum();
    [total(sink, "a"), returned, total(&dead, "a")]
}

/// Fails when a close lets counts go back, where nobody would take them from.
#[tokio::test(start_paused = true)]
async fn a_close_in_mid_flush_neither_loses_nor_doubles() {
    for reply in [
        Reply::Transient,
        Reply::Uncertain,
        Reply::Unavailable,
        Reply::Never,
    ] {
        let script = reply.clone();
        let sink = Sink::answering(move |_| script.clone());
        assert_eq!(closed_in_mid_flush(&sink).await, [0, 7, 0], "{reply:?}");
    }
    // The last counts are tried after those that are buried, and buried, too.
    let panics = Sink::answering(|_| Reply::Panic);
    assert_eq!(closed_in_mid_flush(&panics).await, [0, 0, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_close_in_mid_flush_of_a_sink_that_comes_back_delivers_each_count_once() {
    for script in [
        vec![Reply::Transient, Reply::Transient, Reply::Ok],
        vec![Reply::Uncertain, Reply::Ok],
        vec![Reply::Never, Reply::Transient, Reply::Ok],
        vec![Reply::Panic, Reply::Ok],
    ] {
        let sink = Sink::new(script.clone());
        let [delivered, returned, buried] = closed_in_mid_flush(&sink).await;
        assert_eq!((delivered + returned, buried), (7, 0), "{script:?}");
    }
}

/// Fails when a key in a batch that can't be settled is handed over again, to the next partition.
#[tokio::test(start_paused = true)]
async fn a_key_at_which_the_sink_hangs_keeps_one_partition_and_not_the_others() {
    let sink = Sink::answering(hangs_at_bad);
    let stats = StatBuffer::builder()
        .partitions(3)
        .batch_size(1)
        .build(sink.clone())
        .unwrap();
    for round in 1..=10 {
        for key in ["a", "bad", "b"] {
            stats.increment(key, 1).unwrap();
        }
        sleep(HOUR / 60).await;
        assert_eq!((total(&sink, "a"), total(&sink, "b")), (round, round));
        assert_eq!(stats.outstanding("bad"), round);
        assert_eq!(stats.ledger().pending, 1);
    }
    assert_eq!(stats.close_within(Duration::ZERO).await.undelivered.len(), 2);
}

/// Fails when the rest waits for the flush, and the flush for the key at which the sink hangs.
#[tokio::test(start_paused = true)]
async fn a_flush_that_waits_for_a_key_at_which_the_sink_hangs_keeps_the_others_from_nothing() {
    let sink = Sink::answering(hangs_at_bad);
    let stats = StatBuffer::builder()
        .partitions(3)
        .batch_size(1)
        .build(sink.clone())
        .unwrap();
    stats.increment("bad", 1).unwrap();
    stats.request_flush();
    let keys = ["a", "b", "c", "d", "e"];
    for key in keys {
        stats.increment(key, 1).unwrap();
    }
    let flush = stats.flush();
    assert!(tokio::time::timeout(HOUR, flush).await.is_err());
    assert!(keys.iter().all(|key| total(&sink, key) == 1));
    assert_eq!(stats.close_within(Duration::ZERO).await.undelivered.len(), 1);
}

/// Answers at once, and panics when the attempt is dropped.
struct PanicsAfterwards(Arc<Mutex<u32>>);

struct Attempt;

impl Future for Attempt {
    type Output = Result<(), FlushError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        panic!("scripted");
    }
}

impl Flush<Count<String>> for PanicsAfterwards {
    fn flush<'a, 'b, 'c>(&'a self, _: &'b mut Batch<Count<String>>) -> FlushFuture<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        *self.0.lock() += 1;
        Box::pin(Attempt)
    }
}

/// Fails when the panic takes the place of the answer: the batch was then written for ever.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_when_it_is_dropped_has_answered() {
    let attempts = Arc::default();
    let stats = counters().build(PanicsAfterwards(Arc::clone(&attempts))).unwrap();
    stats.increment("a", 1).unwrap();
    let flushed = tokio::time::timeout(HOUR, stats.flush())
        .await
        .expect("it is settled");
    assert_eq!((flushed.delivered, *attempts.lock()), (1, 1));
}
