//! What a key's call comes to concerns that key alone, whether it fails, hangs or panics.

mod lists;

use std::error::Error;
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{DropReason, FlushError, FlushErrorKind, Health, KeyedBuffer};
use lists::Answer::{Failed, Never, Panic, Slow, SlowlyFailed, Written};
use lists::{Lists, TEN, one_partition};

/// Inserts 0 and 1 for each of ten keys, which make one batch, and flushes.
async fn flush_ten(buffer: &KeyedBuffer<&'static str, u32>) {
    for value in 0..2 {
        for key in TEN {
            buffer.insert(key, value).await.unwrap();
        }
    }
    buffer.buffer().flush().await;
}

/// All of the ten but this one were written, in one call each.
fn assert_written_but(lists: &Lists, bad: &[&str]) {
    for key in TEN.into_iter().filter(|key| !bad.contains(key)) {
        assert_eq!(lists.lists_of(key), [[0, 1]], "key {key}");
        assert_eq!(lists.written(key), [0, 1], "key {key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_is_tried_again_and_buried_alone() {
    for error in [FlushError::transient, FlushError::uncertain] {
        let lists = Lists::answering(move |call| match call.key {
            "3" => Failed(error("no such room")),
            _ => Written,
        });
        let dead = ScriptedSink::new([]);
        let builder = one_partition().dead_letters(dead.clone());
        let buffer = builder.build_keyed(lists.clone()).unwrap();
        flush_ten(&buffer).await;
        assert_written_but(&lists, &["3"]);
        assert_eq!(lists.lists_of("3"), [[0, 1], [0, 1], [0, 1]]);
        let ledger = buffer.buffer().ledger();
        assert_eq!((ledger.delivered, ledger.retried), (18, 4));
        assert_eq!(ledger.dropped.count(DropReason::RetriesExhausted), 2);
        let [dead] = &dead.attempts()[..] else {
            panic!("one batch of dead letters")
        };
        assert_eq!(dead.items, [("3", 0), ("3", 1)]);
        assert_eq!(dead.drop_reason, Some(DropReason::RetriesExhausted));
        assert_eq!(dead.drop_causes[0], format!("{}: no such room", error("")));
        // The next batch goes through, but for that key.
        buffer.insert("4", 2).await.unwrap();
        assert_eq!(buffer.close().await.ledger.delivered, 19);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_for_good_is_buried_alone_with_its_own_cause() {
    let lists = Lists::answering(|call| match call.key {
        "3" | "7" => Failed(FlushError::permanent(format!("room {} is closed", call.key))),
        _ => Written,
    });
    let dead = ScriptedSink::new([]);
    let builder = one_partition().dead_letters(dead.clone());
    let buffer = builder.build_keyed(lists.clone()).unwrap();
    flush_ten(&buffer).await;
    assert_written_but(&lists, &["3", "7"]);
    assert_eq!(lists.lists_of("3").len(), 1);
    let ledger = buffer.buffer().ledger();
    assert_eq!(
        (ledger.delivered, ledger.dead_lettered, ledger.retried),
        (16, 4, 0)
    );
    let [dead] = &dead.attempts()[..] else {
        panic!("one batch of dead letters")
    };
    assert_eq!(dead.drop_reason, Some(DropReason::Rejected));
    for ((key, _), cause) in dead.items.iter().zip(&dead.drop_causes) {
        assert!(cause.ends_with(&format!(": room {key} is closed")), "{cause}");
    }
}

/// Fails when the cause shows as the pointer that a list's items share.
#[tokio::test(start_paused = true)]
async fn the_sink_s_own_error_is_found_behind_the_answer_for_a_key() {
    let lists = Lists::answering(|_| Failed(FlushError::permanent("no such room")));
    let buffer = one_partition().build_keyed(lists).unwrap();
    let error = buffer.insert_and_wait("3", 0).await.unwrap_err();
    let first: &(dyn Error + 'static) = &error;
    let mut causes = std::iter::successors(Some(first), |error| (*error).source());
    let own = causes.find_map(|error| error.downcast_ref::<FlushError>());
    assert_eq!(own.map(FlushError::kind), Some(FlushErrorKind::Permanent));
    let _ = buffer.close().await;
}

/// Fails when the next attempt begins with the same key, or anywhere but behind it.
#[tokio::test(start_paused = true)]
async fn as_many_keys_as_there_are_retries_may_hang_and_cost_the_others_nothing() {
    for hanging in [vec!["3"], vec!["0", "1"], vec!["3", "4"], vec!["0", "9"]] {
        // Failing keys in between take no turn from anybody.
        let failing = "2";
        let lists = Lists::answering({
            let hanging = hanging.clone();
            move |call| match call.key {
                key if hanging.contains(&key) => Never,
                key if key == failing => Failed(FlushError::transient("scripted")),
                _ => Written,
            }
        });
        let buffer = one_partition().build_keyed(lists.clone()).unwrap();
        flush_ten(&buffer).await;
        let bad = [&hanging[..], &[failing]].concat();
        assert_written_but(&lists, &bad);
        let ledger = buffer.buffer().ledger();
        let dropped = ledger.dropped.count(DropReason::RetriesExhausted);
        assert_eq!(
            (ledger.delivered, dropped),
            (20 - 2 * bad.len() as u64, 2 * bad.len() as u64)
        );
        assert_eq!(ledger.pending, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_panics_costs_the_others_not_even_an_attempt() {
    let lists = Lists::answering(|call| match call.key {
        "3" => Panic,
        _ => Written,
    });
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    flush_ten(&buffer).await;
    assert_written_but(&lists, &["3"]);
    assert_eq!(lists.keys()[..10], TEN);
    assert_eq!(lists.keys()[10..], ["3", "3"]);
    assert_eq!(
        buffer
            .buffer()
            .ledger()
            .dropped
            .count(DropReason::RetriesExhausted),
        2
    );
}

/// Fails when the keys behind the one that says so are tried as well, or are always behind it.
#[tokio::test(start_paused = true)]
async fn a_sink_that_is_out_is_left_alone_and_the_next_attempt_begins_with_another_key() {
    let delay = Duration::from_secs(90);
    let lists = Lists::answering(move |call| match (call.key, call.number) {
        ("3", 1..=9) => Failed(FlushError::unavailable("no connection").retry_after(delay)),
        _ => Written,
    });
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    for key in TEN {
        buffer.insert(key, 0).await.unwrap();
    }
    buffer.buffer().request_flush();
    while !matches!(buffer.buffer().health(), Health::Held { .. }) {
        tokio::task::yield_now().await;
    }
    assert_eq!(lists.keys(), ["0", "1", "2", "3"]);
    buffer.buffer().flush().await;
    assert_eq!(lists.keys()[4..11], ["4", "5", "6", "7", "8", "9", "3"]);
    let calls = lists.calls.lock().clone();
    assert!(calls[4].at - calls[3].at >= delay);
    let ledger = buffer.buffer().ledger();
    assert_eq!((ledger.delivered, ledger.dropped.total()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_that_fail_together_have_one_error_that_says_so_and_the_longest_delay_asked_for() {
    let delay = Duration::from_secs(80);
    let lists = Lists::answering(move |call| match call.key {
        "3" => Failed(FlushError::transient("the first cause")),
        "5" => Failed(FlushError::uncertain("another").retry_after(delay)),
        "6" => Failed(FlushError::transient("a third").retry_after(Duration::ZERO)),
        _ => Written,
    });
    let dead = ScriptedSink::new([]);
    let builder = one_partition().retries(1).dead_letters(dead.clone());
    let buffer = builder.build_keyed(lists.clone()).unwrap();
    flush_ten(&buffer).await;
    assert_written_but(&lists, &["3", "5", "6"]);
    let calls = lists.calls.lock().clone();
    assert!(calls[10].at - calls[9].at >= delay);
    let dead = &dead.attempts()[0];
    assert_eq!(
        dead.items,
        [("3", 0), ("5", 0), ("6", 0), ("3", 1), ("5", 1), ("6", 1)]
    );
    // One of them may have been written.
    let uncertain = FlushError::uncertain("").to_string();
    for cause in &dead.drop_causes {
        assert!(
            cause.starts_with(&uncertain) && cause.ends_with(": the first cause"),
            "{cause}"
        );
        assert!(cause.contains("3 keys failed"), "{cause}");
    }
}

/// Fails when an attempt spends a retry though it has written some keys before its time was up.
#[tokio::test(start_paused = true)]
async fn more_keys_than_fit_into_an_attempt_are_all_written_by_a_sink_that_is_slow_and_well() {
    let lists = Lists::answering(|_| Slow(Duration::from_secs(3)));
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    flush_ten(&buffer).await;
    for key in TEN {
        assert_eq!(lists.written(key), [0, 1], "key {key}");
    }
    let ledger = buffer.buffer().ledger();
    assert_eq!((ledger.delivered, ledger.dropped.total()), (20, 0));
}

/// A sink that takes a second for each call, and refuses lists of `guilty` keys that have the value 0 in them.
fn slow_lists(guilty: &'static [&'static str]) -> Lists {
    const SECOND: Duration = Duration::from_secs(1);
    Lists::answering(move |call| match call.key {
        "transient" => Failed(FlushError::transient("no such room")),
        key if guilty.contains(&key) && call.values.contains(&0) => {
            SlowlyFailed(SECOND, FlushError::divisible("0"))
        }
        _ => Slow(SECOND),
    })
}

/// It has failed on a search that each attempt began anew: slow calls never got to its end, and the whole list was dropped. It has
/// also failed on searches that the call for another key had forgotten.
#[tokio::test(start_paused = true)]
async fn a_slow_search_for_a_guilty_value_goes_on_in_the_next_attempt() {
    for keys in [&["a"][..], &["a", "b"], &["a", "transient"]] {
        let lists = slow_lists(&["a", "b"]);
        let builder = one_partition().batch_size(5_000 * keys.len());
        let buffer = builder
            .flush_timeout(Duration::from_secs(10))
            .build_keyed(lists.clone())
            .unwrap();
        for key in keys {
            for value in 0..5_000 {
                buffer.insert(*key, value).await.unwrap();
            }
        }
        buffer.buffer().flush().await;
        for key in keys.iter().filter(|key| **key != "transient") {
            let written = lists.written(key);
            assert_eq!(written, (1..5_000).collect::<Vec<_>>(), "{keys:?}, {key}");
        }
    }
}

/// It has failed on a search that was kept for the next batch.
#[tokio::test(start_paused = true)]
async fn a_batch_that_was_cut_off_and_dropped_divides_no_list_of_the_next() {
    let lists = Lists::answering(|call| match call.values.len() {
        3 => Never,
        _ => Written,
    });
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    for values in [3, 20] {
        for value in 0..values {
            buffer.insert("a", value).await.unwrap();
        }
        buffer.buffer().flush().await;
    }
    let sizes: Vec<usize> = lists.lists_of("a").iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 3, 20]);
}

/// It has failed on a bound that each attempt had anew: a list of guilty values took hours.
#[tokio::test(start_paused = true)]
async fn the_calls_for_a_list_of_guilty_values_are_bounded_though_attempts_are_cut_off() {
    let lists =
        Lists::answering(|_| SlowlyFailed(Duration::from_secs(1), FlushError::divisible("all of them")));
    let builder = one_partition().batch_size(5_000).retries(100);
    let buffer = builder
        .flush_timeout(Duration::from_secs(20))
        .build_keyed(lists.clone())
        .unwrap();
    for value in 0..5_000 {
        buffer.insert("a", value).await.unwrap();
    }
    buffer.buffer().flush().await;
    assert_eq!(
        buffer.buffer().ledger().dropped.count(DropReason::Rejected),
        5_000
    );
    let calls = lists.lists_of("a").len();
    assert!(calls < 500, "{calls}");
}

/// It has failed on two keys that panic: their one error was no panic any more, and held the other partitions.
#[tokio::test(start_paused = true)]
async fn keys_that_all_panic_count_as_panics_of_the_attempt() {
    for panicking in [1, 2] {
        let lists = Lists::answering(move |call| match TEN[..panicking].contains(&call.key) {
            true => Panic,
            false => Written,
        });
        let buffer = one_partition().retries(20).build_keyed(lists).unwrap();
        flush_ten(&buffer).await;
        let dropped = buffer.buffer().ledger().dropped;
        assert_eq!(dropped.count(DropReason::RetriesExhausted), 2 * panicking as u64);
        assert_eq!(buffer.buffer().health(), Health::Well);
    }
}
