//! Keyed values: the sink gets one key with its list at a time, in order, and what is refused of a list costs itself alone.

mod lists;

use std::error::Error as _;
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{
    Buffer, DropReason, FlushError, InsertAndWaitError, InsertBlockingError, InsertError, InsertTimeoutError,
    TryInsertError,
};
use lists::Answer::{Failed, Never, Panic, Written};
use lists::{Lists, TEN, one_partition};

#[tokio::test(start_paused = true)]
async fn each_key_comes_with_its_list_in_order_and_the_keys_in_the_order_of_their_first_values() {
    let lists = Lists::answering(|_| Written);
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    for (key, value) in [("b", 1), ("a", 1), ("b", 2), ("c", 1), ("a", 2), ("b", 3)] {
        buffer.insert(key, value).await.unwrap();
    }
    buffer.buffer().flush().await;
    assert_eq!(lists.keys(), ["b", "a", "c"]);
    for (key, value) in [("c", 2), ("a", 3)] {
        buffer.insert(key, value).await.unwrap();
    }
    let summary = buffer.close().await;
    assert_eq!((summary.ledger.accepted, summary.ledger.delivered), (8, 8));
    assert_eq!(lists.keys()[3..], ["c", "a"]);
    assert_eq!(lists.written("b"), [1, 2, 3]);
    assert_eq!(lists.written("a"), [1, 2, 3]);
    assert_eq!(*lists.closed.lock(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_refused_as_a_whole_loses_its_guilty_values_and_no_other_key_notices() {
    let guilty = [3, 40];
    let lists = Lists::answering(move |call| match call.key {
        "a" if call.values.iter().any(|value| guilty.contains(value)) => {
            Failed(FlushError::divisible("one of them is bad"))
        }
        "b" if call.number == 1 => Failed(FlushError::transient("scripted")),
        _ => Written,
    });
    let dead = ScriptedSink::new([]);
    let builder = one_partition().batch_size(1_000).dead_letters(dead.clone());
    let buffer = builder.build_keyed(lists.clone()).unwrap();
    for value in 0..64 {
        buffer.insert("a", value).await.unwrap();
        buffer.insert("b", value).await.unwrap();
    }
    let ledger = buffer.close().await.ledger;
    assert_eq!(
        (ledger.delivered, ledger.dropped.count(DropReason::Rejected)),
        (126, 2)
    );
    let innocent: Vec<u32> = (0..64).filter(|value| !guilty.contains(value)).collect();
    assert_eq!(lists.written("a"), innocent);
    assert_eq!(lists.written("b"), (0..64).collect::<Vec<_>>());
    assert_eq!(lists.lists_of("b").len(), 2);
    assert_eq!(dead.attempts()[0].items, [("a", 3), ("a", 40)]);
    assert!(dead.attempts()[0].drop_causes[0].ends_with(": one of them is bad"));
}

/// Fails when the splits are not counted.
#[tokio::test(start_paused = true)]
async fn the_calls_for_a_list_of_guilty_values_are_bounded() {
    let lists = Lists::answering(|_| Failed(FlushError::divisible("scripted")));
    let builder = one_partition().batch_size(4_096);
    let buffer = builder.build_keyed(lists.clone()).unwrap();
    let mut items = (0..4_096).map(|value| ("a", value)).collect();
    buffer.buffer().insert_batch(&mut items).await.unwrap();
    let ledger = buffer.close().await.ledger;
    assert_eq!(ledger.dropped.count(DropReason::Rejected), 4_096);
    let calls = lists.calls.lock().len();
    assert!(calls <= 2 * 8 * 12 + 1, "{calls} calls");
}

/// Fails when the halves behind one that fails are tried in the same attempt.
#[tokio::test(start_paused = true)]
async fn a_key_s_values_stay_in_order_when_a_half_of_them_fails() {
    let lists = Lists::answering(|call| match (call.values.len(), call.number) {
        (8, _) => Failed(FlushError::divisible("too many")),
        (_, 2) => Failed(FlushError::transient("scripted")),
        _ => Written,
    });
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    for value in 0..8 {
        buffer.insert("a", value).await.unwrap();
    }
    assert_eq!(buffer.close().await.ledger.delivered, 8);
    assert_eq!(lists.written("a"), (0..8).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_key_s_values_stay_in_order_across_failures_and_batches() {
    let lists = Lists::answering(|call| match call.number % 4 {
        1 => Failed(FlushError::transient("scripted")),
        2 => Panic,
        3 => Never,
        _ => Written,
    });
    let buffer = Buffer::builder()
        .partitions(4)
        .batch_size(7)
        .capacity(280)
        .retries(1_000)
        .build_keyed(lists.clone())
        .unwrap();
    for value in 0..30 {
        for key in TEN {
            buffer.insert(key, value).await.unwrap();
        }
    }
    buffer.buffer().flush().await;
    for key in TEN {
        assert_eq!(lists.written(key), (0..30).collect::<Vec<_>>(), "key {key}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_close_leaves_comes_back_with_its_keys_and_not_what_was_written() {
    let lists = Lists::answering(|call| match call.key {
        "3" => Never,
        _ => Written,
    });
    let buffer = one_partition().build_keyed(lists.clone()).unwrap();
    for key in TEN {
        buffer.insert(key, 0).await.unwrap();
    }
    let summary = buffer.buffer().close_within(Duration::from_secs(5)).await;
    let written = ["0", "1", "2"];
    assert_eq!(lists.written.lock().keys().copied().collect::<Vec<_>>(), written);
    let left: Vec<_> = TEN[3..].iter().map(|key| (*key, 0)).collect();
    assert_eq!(summary.undelivered, left);
    assert_eq!((summary.ledger.delivered, summary.ledger.returned), (3, 7));
}

#[tokio::test(start_paused = true)]
async fn every_way_in_hands_key_and_value_back() {
    let lists = Lists::answering(|call| match call.values[..] {
        [13, ..] => Failed(FlushError::permanent("scripted")),
        _ => Written,
    });
    let builder = one_partition().batch_size(1).capacity(1);
    let buffer = builder.build_keyed(lists.clone()).unwrap();
    buffer.insert_and_wait("a", 1).await.unwrap();
    let refused = buffer.insert_and_wait("a", 13).await;
    let Err(InsertAndWaitError::NotDelivered(why)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(why.drop_reason(), Some(DropReason::Rejected));
    assert_eq!(why.source().unwrap().source().unwrap().to_string(), "scripted");
    buffer.try_insert("a", 2).unwrap();
    assert_eq!(buffer.try_insert("a", 3), Err(TryInsertError::Full(("a", 3))));
    let refused = buffer.insert_blocking("a", 3);
    assert_eq!(refused, Err(InsertBlockingError::InsideRuntime(("a", 3))));
    buffer
        .insert_timeout("a", 3, Duration::from_secs(1))
        .await
        .unwrap();
    buffer.insert("a", 4).await.unwrap();
    let _ = buffer.clone().close().await;
    assert_eq!(lists.written("a"), [1, 2, 3, 4]);
    assert_eq!(buffer.insert("a", 5).await, Err(InsertError::Closed(("a", 5))));
    let refused = buffer.insert_timeout("a", 5, Duration::from_secs(1)).await;
    assert_eq!(refused, Err(InsertTimeoutError::Closed(("a", 5))));
}
