//! The bound on the number of keys, and the three ways beyond it.

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_stat::{Count, IncrementError, MaxKeys, StatBuffer};
use tokio::time::sleep;

type Sink = ScriptedSink<Count<String>>;

fn total(sink: &Sink) -> i64 {
    sink.delivered().iter().map(|count| count.delta).sum()
}

/// Fails when the window does not end early.
#[tokio::test(start_paused = true)]
async fn too_many_keys_end_the_window_early_and_nothing_is_lost() {
    let sink = Sink::new([]);
    let stats = StatBuffer::builder()
        .flush_interval(Duration::from_secs(3_600))
        .max_keys(10, MaxKeys::FlushEarly)
        .build(sink.clone())
        .unwrap();
    for key in 0..100 {
        stats.increment(key.to_string().as_str(), 1).unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert!(total(&sink) >= 80);
    assert!(stats.tallies().ended_early >= 8);
    let _ = stats.close().await;
    assert_eq!(total(&sink), 100);
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_too_many_keys_stay_and_are_not_flushed_early_over_and_over() {
    let sink = Sink::new((0..20).map(|_| Reply::Unavailable));
    let stats = StatBuffer::builder()
        .partitions(1)
        .batch_size(1)
        .flush_interval(Duration::from_secs(3_600))
        .max_keys(10, MaxKeys::FlushEarly)
        .build(sink.clone())
        .unwrap();
    for key in 0..100 {
        stats.increment(key.to_string().as_str(), 1).unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stats.tallies().ended_early, 1);
    assert_eq!(stats.flush().await.delivered, 100);
    assert_eq!(total(&sink), 100);
}

/// Fails when windows end early over and over while counts of all of their keys are on their way, and when none does once these are
/// settled: the broken copies `early_over_and_over_in_vain`, `an_early_end_in_vain_is_the_last` and
/// `too_many_keys_that_had_to_wait_tell_nobody`.
#[tokio::test(start_paused = true)]
async fn keys_that_are_all_on_their_way_end_no_window_early_over_and_over() {
    let (sink, gate) = Sink::new([]).gated();
    let stats = StatBuffer::builder()
        .partitions(2)
        .flush_interval(Duration::from_secs(3_600))
        .max_keys(10, MaxKeys::FlushEarly)
        .build(sink.clone())
        .unwrap();
    for _ in 0..10 {
        // Two threads that come one after the other have different homes.
        for _ in 0..2 {
            let count = || (0..20).try_for_each(|key| stats.increment(key.to_string().as_str(), 1));
            std::thread::scope(|scope| scope.spawn(count).join().unwrap()).unwrap();
        }
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(stats.tallies().ended_early, 2);
    // From then on there is something to free again.
    gate.open();
    sleep(Duration::from_millis(10)).await;
    assert_eq!(stats.tallies().ended_early, 3);
    assert_eq!(total(&sink), 400);
    let _ = stats.close().await;
    assert_eq!(total(&sink), 400);
}

/// Fails when a window that had to wait for a rest keeps those after it from ending early: the broken copy
/// `a_rest_once_met_keeps_windows_long`.
#[tokio::test(start_paused = true)]
async fn too_many_keys_end_windows_early_again_after_one_had_to_wait_for_a_rest() {
    let sink = Sink::answering(|_| Reply::after(Duration::from_secs(1), Reply::Ok));
    let stats = StatBuffer::builder()
        .partitions(1)
        .batch_size(1)
        .flush_interval(Duration::from_secs(3_600))
        .max_keys(10, MaxKeys::FlushEarly)
        .build(sink.clone())
        .unwrap();
    // The second window is crowded while counts of the first wait for a partition; the third is crowded when all is delivered.
    for (round, pause) in [(1, 2), (2, 60), (3, 60)] {
        for key in 0..20 {
            stats.increment(format!("{key} in {round}").as_str(), 1).unwrap();
        }
        sleep(Duration::from_secs(pause)).await;
    }
    assert_eq!(stats.tallies().ended_early, 3);
    assert_eq!(total(&sink), 60);
}

#[tokio::test(start_paused = true)]
async fn keys_beyond_the_bound_are_folded_into_the_overflow_key_and_counted() {
    let sink = Sink::new([]);
    let stats = StatBuffer::builder()
        .max_keys(2, MaxKeys::FoldInto("other".to_owned()))
        .build(sink.clone())
        .unwrap();
    for key in ["a", "b", "c", "d", "a", "c"] {
        stats.increment(key, 1).unwrap();
    }
    assert_eq!(
        (
            stats.count("a"),
            stats.count("b"),
            stats.count("c"),
            stats.count("other")
        ),
        (2, 1, 0, 3)
    );
    assert_eq!(stats.tallies().folded, 3);
    let _ = stats.close().await;
    assert_eq!(total(&sink), 6);
}

/// Fails when a key that was flushed by hand, and never incremented, keeps its place for ever.
#[tokio::test(start_paused = true)]
async fn keys_that_are_flushed_by_hand_and_never_counted_give_their_places_back() {
    let stats = StatBuffer::builder()
        .partitions(1)
        .max_keys(2, MaxKeys::Refuse)
        .build(Sink::new([]))
        .unwrap();
    // The driver has a timer at first, and none later on.
    for new in ["c", "d"] {
        for key in ["a", "b"] {
            stats.flush_key(key).await;
        }
        sleep(Duration::from_secs(60)).await;
        assert_eq!(stats.increment(new, 1), Ok(()));
        sleep(Duration::from_secs(60)).await;
    }
}

/// Fails when sums that have to wait go where the thread that ends the window is at home: the broken copy
/// `what_has_to_wait_moves_house`.
#[tokio::test(start_paused = true)]
async fn keys_whose_counts_are_on_their_way_take_no_second_places() {
    let (sink, _gate) = Sink::new([]).gated();
    let stats = StatBuffer::builder()
        .partitions(2)
        .flush_interval(Duration::from_secs(3_600))
        .max_keys(10, MaxKeys::Refuse)
        .build(sink)
        .unwrap();
    for _ in 0..3 {
        for key in 0..6 {
            stats.increment(key.to_string().as_str(), 1).unwrap();
        }
        // Two threads that come one after the other have different homes: one of them is not this thread's.
        std::thread::scope(|scope| scope.spawn(|| stats.request_flush()).join().unwrap());
    }
    for key in 6..10 {
        assert_eq!(stats.increment(key.to_string().as_str(), 1), Ok(()));
    }
    assert_eq!(stats.increment("10", 1), Err(IncrementError::TooManyKeys));
    let _ = stats.close_within(Duration::ZERO).await;
}

/// Fails when an idle key keeps its place for ever.
#[tokio::test(start_paused = true)]
async fn keys_beyond_the_bound_are_refused_and_counted_until_others_have_left() {
    let stats = StatBuffer::builder()
        .max_keys(2, MaxKeys::Refuse)
        .build(Sink::new([]))
        .unwrap();
    let many = stats
        .increment_many(&[("a", 1), ("b", 1), ("c", 1), ("a", 1)])
        .unwrap_err();
    assert_eq!((many.counted, many.error), (2, IncrementError::TooManyKeys));
    assert_eq!(stats.increment("c", 1), Err(IncrementError::TooManyKeys));
    assert_eq!(stats.increment("a", 1), Ok(()));
    assert_eq!(stats.tallies().refused, 2);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stats.increment("c", 1), Ok(()));
}
