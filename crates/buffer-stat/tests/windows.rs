//! When a sum is flushed: the bounds of a window, what a flush by hand begins anew, and sums of zero.

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_stat::{Count, StatBuffer, StatBuilder};
use tokio::time::{Instant, sleep};

type Sink = ScriptedSink<Count<String>>;

const SECOND: Duration = Duration::from_secs(1);

fn counters() -> StatBuilder<String> {
    StatBuffer::builder()
        .partitions(2)
        .flush_interval(10 * SECOND)
        .flush_jitter(2 * SECOND)
}

/// What was flushed: when, of which key, how much.
fn flushed(sink: &Sink, begun: Instant) -> Vec<(Duration, String, i64)> {
    let mut flushed = Vec::new();
    for attempt in sink.attempts() {
        for count in attempt.items {
            flushed.push((attempt.at - begun, count.key, count.delta));
        }
    }
    flushed.sort();
    flushed
}

#[track_caller]
fn assert_between(at: Duration, from: Duration, to: Duration) {
    // A timer rounds up to a millisecond.
    assert!((from..=to + Duration::from_millis(2)).contains(&at), "{at:?}");
}

/// Fails when the timer begins anew with an increment, and when it has no jitter.
#[tokio::test(start_paused = true)]
async fn a_sum_is_flushed_an_interval_and_at_most_the_jitter_after_its_first_increment_and_once() {
    let sink = Sink::new([]);
    let stats = counters().build(sink.clone()).unwrap();
    let mut delays = Vec::new();
    for _ in 0..50 {
        let (begun, before) = (Instant::now(), sink.attempts().len());
        for _ in 0..9 {
            stats.increment("a", 1).unwrap();
            sleep(SECOND).await;
        }
        sleep(10 * SECOND).await;
        let attempts = sink.attempts();
        assert_eq!(attempts.len(), before + 1);
        assert_eq!(attempts[before].items[0].delta, 9);
        let at = attempts[before].at - begun;
        assert_between(at, 10 * SECOND, 12 * SECOND);
        delays.push(at);
    }
    delays.sort();
    assert!(delays[49] - delays[0] > SECOND, "{delays:?}");
}

/// Fails when a zero crossing begins a window, or a sum of zero is sent.
#[tokio::test(start_paused = true)]
async fn a_zero_crossing_arms_no_second_timer_and_zero_is_not_sent() {
    let sink = Sink::new([]);
    let stats = counters().build(sink.clone()).unwrap();
    let begun = Instant::now();
    stats.increment("a", 5).unwrap();
    stats.increment("zero", 5).unwrap();
    sleep(4 * SECOND).await;
    stats.increment("a", -5).unwrap();
    stats.increment("zero", -5).unwrap();
    sleep(4 * SECOND).await;
    stats.increment("a", 2).unwrap();
    sleep(60 * SECOND).await;
    let flushed = flushed(&sink, begun);
    assert_eq!(flushed.len(), 1, "{flushed:?}");
    assert_between(flushed[0].0, 10 * SECOND, 12 * SECOND);
    assert_eq!((flushed[0].1.as_str(), flushed[0].2), ("a", 2));
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_zero_is_sent_where_that_was_asked_for() {
    let sink = Sink::new([]);
    let stats = counters().send_zero_sums().build(sink.clone()).unwrap();
    let begun = Instant::now();
    stats.increment("a", 5).unwrap();
    stats.increment("a", -5).unwrap();
    sleep(60 * SECOND).await;
    let flushed = flushed(&sink, begun);
    assert_eq!(
        flushed.len(),
        1,
        "and not again in the windows after: {flushed:?}"
    );
    assert_eq!(flushed[0].2, 0);
}

/// Fails when the running window's timer takes the key along, and when its own begins late.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_flushed_by_hand_starts_a_fresh_window_and_others_keep_theirs() {
    let sink = Sink::new([]);
    let stats = counters()
        .flush_jitter(Duration::ZERO)
        .build(sink.clone())
        .unwrap();
    let begun = Instant::now();
    stats.increment("a", 1).unwrap();
    stats.increment("b", 1).unwrap();
    sleep(6 * SECOND).await;
    assert_eq!(stats.flush_key("a").await.delivered, 1);
    assert_eq!((stats.count("a"), stats.count("b")), (0, 1));
    sleep(2 * SECOND).await;
    stats.increment("a", 2).unwrap();
    sleep(60 * SECOND).await;
    let flushed = flushed(&sink, begun);
    let keys: Vec<_> = flushed
        .iter()
        .map(|(_, key, delta)| (key.as_str(), *delta))
        .collect();
    assert_eq!(keys, [("a", 1), ("b", 1), ("a", 2)]);
    assert_between(flushed[0].0, 6 * SECOND, 6 * SECOND);
    assert_between(flushed[1].0, 10 * SECOND, 10 * SECOND);
    assert_between(flushed[2].0, 18 * SECOND, 18 * SECOND);
}

/// Fails when what leaves the range of 64 bits goes with the old window, and leaves a rest behind that evens it out.
#[tokio::test(start_paused = true)]
async fn a_sum_beyond_64_bits_of_a_key_that_was_flushed_by_hand_waits_for_its_window_as_a_whole() {
    let sink = Sink::new([]);
    let stats = counters()
        .flush_jitter(Duration::ZERO)
        .build(sink.clone())
        .unwrap();
    let begun = Instant::now();
    stats.increment("a", 1).unwrap();
    stats.increment("b", 1).unwrap();
    sleep(SECOND).await;
    stats.flush_key("a").await;
    sleep(8 * SECOND).await;
    for n in [i64::MAX, 2, -i64::MAX] {
        stats.increment("a", n).unwrap();
    }
    sleep(60 * SECOND).await;
    let flushed = flushed(&sink, begun);
    let counts: Vec<_> = flushed
        .iter()
        .map(|(_, key, delta)| (key.as_str(), *delta))
        .collect();
    assert_eq!(counts, [("a", 1), ("b", 1), ("a", 2)]);
    assert_between(flushed[2].0, 19 * SECOND, 19 * SECOND);
}

/// Fails when the key that waits for its own window keeps the next increments of others past their interval.
#[tokio::test(start_paused = true)]
async fn a_fresh_window_delays_no_other_key() {
    let sink = Sink::new([]);
    let stats = counters()
        .flush_jitter(Duration::ZERO)
        .build(sink.clone())
        .unwrap();
    let begun = Instant::now();
    stats.increment("a", 1).unwrap();
    sleep(5 * SECOND).await;
    stats.flush_key("a").await;
    stats.increment("a", 1).unwrap();
    sleep(6 * SECOND).await;
    stats.increment("c", 1).unwrap();
    sleep(60 * SECOND).await;
    for (at, key, _) in flushed(&sink, begun) {
        let from = if key == "c" { 11 * SECOND } else { 5 * SECOND };
        assert!(
            at <= from + 10 * SECOND + Duration::from_millis(2),
            "{key} at {at:?}"
        );
    }
}

/// Fails when what goes back tells of no window, so that the key waits for that of the others and then for one of its own: the broken
/// copy `a_way_back_that_begins_no_window`.
#[tokio::test(start_paused = true)]
async fn a_key_whose_count_was_made_by_hand_and_goes_back_waits_an_interval_at_most() {
    let sink = Sink::new([Reply::Transient]);
    let stats = counters()
        .retries(0)
        .flush_jitter(Duration::ZERO)
        .build(sink.clone())
        .unwrap();
    stats.increment("a", 1).unwrap();
    sleep(SECOND).await;
    assert_eq!(stats.flush_key("a").await.returned, 1);
    sleep(SECOND).await;
    let begun = Instant::now();
    stats.increment("a", 1).unwrap();
    sleep(60 * SECOND).await;
    let (at, _, sum) = flushed(&sink, begun).pop().unwrap();
    assert_eq!(sum, 2);
    assert_between(at, 8 * SECOND, 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_one_count_in_a_window_for_any_number_of_partitions_and_threads() {
    for partitions in [1, 2, 7, 16] {
        let sink = Sink::new([]);
        let stats = counters().partitions(partitions).build(sink.clone()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| stats.increment_many(&[("a", 1), ("b", 2), ("a", 3)]).unwrap());
            }
        });
        assert_eq!(stats.flush().await.delivered, 2);
        let mut counts: Vec<_> = sink
            .delivered()
            .into_iter()
            .map(|count| (count.key, count.delta))
            .collect();
        counts.sort();
        assert_eq!(counts, [("a".to_owned(), 32), ("b".to_owned(), 16)]);
    }
}

/// Fails when a bigger window than the buffer has room for waits for its next timer.
#[tokio::test(start_paused = true)]
async fn what_finds_no_room_follows_as_the_sink_takes_what_went_before() {
    let sink = Sink::new([]);
    let stats = counters().batch_size(10).build(sink.clone()).unwrap();
    for key in 0..1_000 {
        stats.increment(key.to_string().as_str(), 1).unwrap();
    }
    sleep(12 * SECOND + SECOND).await;
    assert_eq!(sink.delivered().len(), 1_000);
}

/// Counters of which each partition, of which there is one, flushes a count at a time.
fn one_by_one() -> StatBuilder<String> {
    counters()
        .partitions(1)
        .batch_size(1)
        .flush_jitter(Duration::ZERO)
        .buffer(|buffer| buffer.flush_timeout(3_600 * SECOND))
}

/// Fails when the end of a window that meets a rest is forgotten.
#[tokio::test(start_paused = true)]
async fn a_window_whose_end_meets_a_rest_ends_when_that_is_gone() {
    let (sink, gate) = Sink::new([]).gated();
    let stats = one_by_one().build(sink.clone()).unwrap();
    let begun = Instant::now();
    stats.increment_many(&[("a", 1), ("b", 1)]).unwrap();
    sleep(11 * SECOND).await;
    stats.increment("c", 1).unwrap();
    sleep(12 * SECOND).await;
    assert_eq!(sink.attempts().len(), 1, "one waits for the sink, and one for it");
    gate.open();
    sleep(SECOND).await;
    let (at, key, _) = flushed(&sink, begun).pop().unwrap();
    assert_eq!(key, "c");
    assert_between(at, 23 * SECOND, 23 * SECOND);
}

/// Fails when what was asked for while there is a rest is forgotten.
#[tokio::test(start_paused = true)]
async fn a_flush_that_was_asked_for_while_there_is_a_rest_comes_when_that_is_gone() {
    let (sink, gate) = Sink::new([]).gated();
    let stats = one_by_one().flush_interval(3_600 * SECOND);
    let stats = stats.build(sink.clone()).unwrap();
    stats.increment_many(&[("a", 1), ("b", 1)]).unwrap();
    stats.request_flush();
    stats.increment("c", 1).unwrap();
    stats.request_flush();
    gate.open();
    sleep(SECOND).await;
    assert_eq!(sink.delivered().len(), 3);
}
