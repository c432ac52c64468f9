//! The flushes of the counters: with a time limit, of one key, with a wait and without.

use std::time::Duration;

use buffer_core::Trigger;
use buffer_core::testing::{Reply, ScriptedSink};
use buffer_stat::{Count, StatBuffer, StatBuilder};
use tokio::time::{Instant, sleep, timeout};

type Sink = ScriptedSink<Count<String>>;

const HOUR: Duration = Duration::from_secs(3_600);

/// One partition, batches of two, and windows that only end by hand.
fn counters() -> StatBuilder<String> {
    StatBuffer::builder()
        .partitions(1)
        .batch_size(2)
        .flush_interval(1_000 * HOUR)
        .flush_jitter(Duration::ZERO)
}

fn increment(stats: &StatBuffer<String>, keys: &[&str]) {
    keys.iter().for_each(|key| stats.increment(*key, 1).unwrap());
}

/// Fails when each part of the window has all of the time.
#[tokio::test(start_paused = true)]
async fn a_flush_with_a_time_limit_returns_when_the_time_is_up_and_goes_on() {
    let sink = Sink::answering(|_| Reply::after(Duration::from_secs(2), Reply::Ok));
    let stats = counters().build(sink.clone()).unwrap();
    increment(&stats, &["a", "b", "c", "d", "e"]);
    let (begun, limit) = (Instant::now(), Duration::from_secs(5));
    let report = stats.flush_within(limit).await;
    assert_eq!((report.delivered, report.pending), (4, 1));
    assert!(
        (limit..2 * limit).contains(&begun.elapsed()),
        "{:?}",
        begun.elapsed()
    );
    sleep(HOUR).await;
    assert_eq!(sink.delivered().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_flush_with_a_time_limit_returns_as_soon_as_all_is_settled() {
    let stats = counters().build(Sink::new([])).unwrap();
    for limit in [Duration::from_secs(5), Duration::MAX] {
        increment(&stats, &["a", "b", "c", "d", "e"]);
        let begun = Instant::now();
        let report = stats.flush_within(limit).await;
        assert_eq!((report.delivered, report.pending), (5, 0));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

/// Fails when counts that were not handed over are taken for settled: the broken copy `a_flush_in_time_forgets_the_rest`.
#[tokio::test(start_paused = true)]
async fn a_flush_without_time_says_that_it_is_not_through() {
    let (sink, gate) = Sink::new([]).gated();
    let stats = counters().build(sink).unwrap();
    increment(&stats, &["a", "b", "c"]);
    assert_eq!(stats.flush_within(Duration::ZERO).await.pending, 3);
    increment(&stats, &["d"]);
    let report = stats.flush_within(Duration::ZERO).await;
    assert_eq!((report.delivered, report.pending), (0, 3), "d waits for the rest");
    gate.open();
    assert_eq!(stats.flush_within(HOUR).await.delivered, 4);
}

/// Fails when a flush that counts end by going back takes the others for settled: the broken copy `a_way_back_forgets_the_rest`.
#[tokio::test(start_paused = true)]
async fn a_flush_that_ends_because_counts_go_back_says_what_is_not_settled() {
    for limit in [None, Some(HOUR)] {
        let sink = Sink::new([Reply::Transient, Reply::Transient]);
        let stats = counters().batch_size(10).retries(1).build(sink.clone()).unwrap();
        for key in 0..1_000 {
            stats.increment(key.to_string().as_str(), 1).unwrap();
        }
        let report = match limit {
            None => stats.flush().await,
            Some(limit) => stats.flush_within(limit).await,
        };
        assert_eq!(report.returned, 10);
        assert_eq!(report.delivered + report.pending, 990, "{report:?}");
        sleep(HOUR).await;
        assert_eq!(sink.delivered().len(), 990);
        assert_eq!(stats.flush().await.delivered, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_one_key_that_nobody_waits_for_flushes_that_key() {
    let sink = Sink::new([]);
    let stats = counters().build(sink.clone()).unwrap();
    increment(&stats, &["a", "b", "a"]);
    stats.request_flush_key("a");
    assert_eq!((stats.count("a"), stats.count("b")), (0, 1));
    sleep(HOUR).await;
    let delivered = sink.delivered();
    assert_eq!(delivered.len(), 1);
    assert_eq!((delivered[0].key.as_str(), delivered[0].delta), ("a", 2));
}

/// Fails when a sum is cut off from its key while a count of that is not settled.
#[tokio::test(start_paused = true)]
async fn a_flush_of_one_key_leaves_the_sum_while_a_count_of_it_is_on_its_way() {
    let (sink, gate) = Sink::new([]).gated();
    let stats = counters().build(sink.clone()).unwrap();
    increment(&stats, &["a"]);
    stats.request_flush_key("a");
    increment(&stats, &["a"]);
    stats.request_flush_key("a");
    assert_eq!((stats.count("a"), stats.outstanding("a")), (1, 2));
    gate.open();
    stats.flush().await;
    assert_eq!(sink.delivered().iter().map(|count| count.delta).sum::<i64>(), 2);
}

/// Each batch of fifty takes the sink 150 ms.
fn slow_counters() -> (StatBuffer<String>, Sink) {
    let sink = Sink::answering(|_| Reply::after(Duration::from_millis(150), Reply::Ok));
    let builder = StatBuffer::builder().partitions(2).batch_size(50);
    (builder.build(sink.clone()).unwrap(), sink)
}

/// Increments some keys again and again, faster than the sink writes their counts.
fn increment_for_ever(stats: &StatBuffer<String>, keys: u32) {
    let stats = stats.clone();
    tokio::spawn(async move {
        loop {
            for key in 0..keys {
                stats.increment(key.to_string().as_str(), 1).unwrap();
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
}

/// Increments and flushes some keys by hand again and again, faster than the sink writes their counts.
fn flush_by_hand_for_ever(stats: &StatBuffer<String>, keys: u32) {
    let stats = stats.clone();
    tokio::spawn(async move {
        loop {
            for key in 0..keys {
                let key = key.to_string();
                stats.increment(key.as_str(), 1).unwrap();
                stats.request_flush_key(key.as_str());
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
}

/// What was counted of each of so many keys, written or not.
fn counted(stats: &StatBuffer<String>, sink: &Sink, keys: u32) -> Vec<i64> {
    let (written, keys) = (written(sink, keys), 0..keys);
    let outstanding = keys.map(|key| stats.outstanding(key.to_string().as_str()));
    outstanding
        .zip(written)
        .map(|(outstanding, written)| outstanding + written)
        .collect()
}

fn written(sink: &Sink, keys: u32) -> Vec<i64> {
    let mut written = vec![0; keys as usize];
    for count in sink.delivered() {
        written[count.key.parse::<usize>().unwrap()] += count.delta;
    }
    written
}

/// Whether at least what was counted of each key is written.
fn is_written(counted: &[i64], sink: &Sink) -> bool {
    let written = written(sink, counted.len() as u32);
    written
        .iter()
        .zip(counted)
        .all(|(written, counted)| written >= counted)
}

/// Fails when a flush waits for sums that were counted after it was called: where there are always new ones, it has no end.
#[tokio::test(start_paused = true)]
async fn a_flush_ends_and_writes_little_more_though_all_keys_are_incremented_again_and_again() {
    let (stats, sink) = slow_counters();
    increment_for_ever(&stats, 220);
    sleep(Duration::from_secs(10)).await;
    for _ in 0..10 {
        let counted = counted(&stats, &sink, 220);
        let report = timeout(Duration::from_secs(10), stats.flush()).await.unwrap();
        // A window that was under way, the one that was asked for, and one for what that had to leave.
        assert!(report.delivered <= 4 * 220, "{report:?}");
        assert!(is_written(&counted, &sink));
        let report = stats.flush_within(Duration::from_secs(10)).await;
        assert_eq!(report.pending, 0, "{report:?}");
        sleep(Duration::from_millis(70)).await;
    }
}

/// Fails when a flush, or that of a key, waits until no count, or none of the key, is on its way.
#[tokio::test(start_paused = true)]
async fn flushes_of_one_key_and_of_all_end_though_the_keys_are_sent_again_and_again() {
    let sink = Sink::answering(|_| Reply::after(Duration::from_millis(100), Reply::Ok));
    let stats = StatBuffer::builder()
        .partitions(1)
        .flush_interval(Duration::from_millis(10))
        .flush_jitter(Duration::ZERO)
        .build(sink.clone())
        .unwrap();
    // The two keys go in turn: while a count of one is on its way, the other's waits.
    increment(&stats, &["0"]);
    sleep(Duration::from_millis(50)).await;
    increment_for_ever(&stats, 2);
    sleep(Duration::from_secs(1)).await;
    for key in 0..2 {
        let counted = counted(&stats, &sink, 2)[key];
        let flush = stats.flush_key(["0", "1"][key]);
        let ended = timeout(Duration::from_secs(1), flush).await;
        assert!(ended.is_ok(), "{key}");
        assert!(written(&sink, 2)[key] >= counted);
    }
    let counted = counted(&stats, &sink, 2);
    let ended = timeout(Duration::from_secs(1), stats.flush()).await;
    assert!(ended.is_ok() && is_written(&counted, &sink));
}

/// Fails when what is flushed by hand goes before the window whose end it delays: no flush and no window then ended, and other keys
/// were never written.
#[tokio::test(start_paused = true)]
async fn flushes_of_keys_that_outrun_the_sink_hold_up_neither_flushes_nor_other_keys() {
    let (stats, sink) = slow_counters();
    // Is incremented once, and never flushed by hand.
    increment(&stats, &["220"]);
    flush_by_hand_for_ever(&stats, 220);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(written(&sink, 221)[220], 1);
    for _ in 0..3 {
        let counted = counted(&stats, &sink, 221);
        let flush = timeout(Duration::from_secs(10), stats.flush()).await;
        assert!(flush.is_ok() && is_written(&counted, &sink));
        let counted = stats.outstanding("7") + written(&sink, 221)[7];
        let flush = timeout(Duration::from_secs(10), stats.flush_key("7")).await;
        assert!(flush.is_ok() && written(&sink, 221)[7] >= counted);
        sleep(Duration::from_millis(70)).await;
    }
}

/// Fails when the counts that were made last go first, and when a flush waits for counts that were made after it: the broken copies
/// `the_last_counts_go_first` and `a_flush_that_waits_for_later_counts`.
#[tokio::test(start_paused = true)]
async fn keys_that_are_flushed_by_hand_overtake_neither_a_flush_nor_that_of_another_key() {
    let sink = Sink::answering(|_| Reply::after(Duration::from_millis(100), Reply::Ok));
    let stats = counters().build(sink.clone()).unwrap();
    for key in 4..24 {
        increment(&stats, &[key.to_string().as_str()]);
    }
    flush_by_hand_for_ever(&stats, 4);
    // It begins before the first of them is flushed.
    let flush = timeout(Duration::from_secs(2), stats.flush()).await;
    assert!(flush.is_ok());
    assert_eq!(written(&sink, 24)[4..], [1; 20]);
    increment(&stats, &["24"]);
    let flush = timeout(Duration::from_secs(2), stats.flush_key("24")).await;
    assert!(flush.is_ok());
    assert_eq!(written(&sink, 25)[24], 1);
}

/// Writes a batch in a second, but none with the key `a`, and one with the key `slow` in five.
fn refusing_a() -> Sink {
    Sink::answering(|batch| match batch[0].key.as_str() {
        "a" => Reply::after(Duration::from_secs(1), Reply::Transient),
        "slow" => Reply::after(Duration::from_secs(5), Reply::Ok),
        _ => Reply::after(Duration::from_secs(1), Reply::Ok),
    })
}

/// Fails when the flush ends as the other count goes back, before or after the key's own count is handed over: the broken copies
/// `a_flush_of_one_key_ends_as_others_go_back` and `a_flush_of_one_key_forgets_it_as_others_go_back`.
#[tokio::test(start_paused = true)]
async fn a_flush_of_one_key_flushes_it_though_a_count_of_another_goes_back() {
    // With one partition, `b` waits for `a`.
    for partitions in [1, 2] {
        let sink = refusing_a();
        let builder = counters().partitions(partitions).batch_size(1).retries(0);
        let stats = builder.build(sink.clone()).unwrap();
        for key in ["a", "b"] {
            increment(&stats, &[key]);
            stats.request_flush();
        }
        increment(&stats, &["b"]);
        let report = stats.flush_key("b").await;
        assert_eq!((report.returned, report.delivered, report.pending), (1, 2, 0));
        assert_eq!((stats.count("a"), stats.count("b")), (1, 0));
    }
}

/// Fails when the flush takes sums that had to wait for settled, those that it left itself or those that another end of the window
/// left since: the broken copies `a_flush_that_forgets_what_was_spared` and `a_flush_that_looks_early_at_what_was_spared`.
#[tokio::test(start_paused = true)]
async fn a_flush_that_ends_because_counts_go_back_says_that_sums_are_left() {
    // With those in the middle there is a rest, and the window ends when that is gone.
    for middle in [&[][..], &["c", "d"]] {
        let sink = refusing_a();
        let builder = counters().partitions(2).batch_size(1).retries(0);
        let stats = builder.build(sink.clone()).unwrap();
        for keys in [&["slow"][..], &["a"], middle] {
            increment(&stats, keys);
            stats.request_flush();
        }
        increment(&stats, &["slow"]);
        let report = stats.flush().await;
        assert!(report.returned > 0, "{report:?}");
        assert_eq!((stats.count("slow"), report.pending), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_counters_tell_their_name_and_what_their_buffer_did() {
    let builder = counters().buffer(|buffer| buffer.name("views"));
    let stats = builder.build(Sink::new([Reply::Transient])).unwrap();
    increment(&stats, &["a", "b"]);
    stats.flush().await;
    let done = stats.stats();
    assert_eq!((stats.name(), done.ledger), ("views", stats.ledger()));
    assert_eq!((done.attempts, done.failed_attempts), (2, 1));
    assert_eq!(done.sealed_by(Trigger::Size), 1);
}
