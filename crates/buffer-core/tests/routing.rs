//! Which partition an item goes to, by each routing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{Buffer, InsertTimeoutError, Routing, TryInsertBatchError, TryInsertError};

type Keyed = (u32, u32);

fn keyed(sink: &ScriptedSink<Keyed>) -> Buffer<Keyed> {
    let builder = Buffer::builder().partitions(4).batch_size(5).capacity(40);
    builder
        .routing(Routing::by_key(|(key, _): &Keyed| key))
        .build(sink.clone())
        .unwrap()
}

/// Every key went to one partition, the keys not all to the same, and each key's items came in order.
fn assert_in_order_by_key(sink: &ScriptedSink<Keyed>, keys: u32, items: u32) {
    let mut partitions: HashMap<u32, HashSet<usize>> = HashMap::new();
    for attempt in sink.attempts() {
        for (key, _) in attempt.items {
            partitions.entry(key).or_default().insert(attempt.partition);
        }
    }
    assert!(partitions.values().all(|partitions| partitions.len() == 1));
    assert!(partitions.values().flatten().collect::<HashSet<_>>().len() > 1);
    for key in 0..keys {
        let numbers: Vec<u32> = sink
            .delivered()
            .iter()
            .filter(|item| item.0 == key)
            .map(|item| item.1)
            .collect();
        assert_eq!(numbers, (0..items).collect::<Vec<_>>(), "key {key}");
    }
}

#[tokio::test(start_paused = true)]
async fn items_of_one_key_go_to_one_partition_and_leave_in_order() {
    let sink = ScriptedSink::new([]);
    let buffer = keyed(&sink);
    for number in 0..100 {
        for key in 0..10 {
            buffer.insert((key, number)).await.unwrap();
        }
    }
    let _ = buffer.close().await;
    assert_in_order_by_key(&sink, 10, 100);
}

#[tokio::test(start_paused = true)]
async fn items_of_one_hash_go_to_one_partition_and_leave_in_order() {
    let sink = ScriptedSink::new([]);
    // Neighbours are of one hash.
    let builder = Buffer::builder().partitions(4).batch_size(5).capacity(40);
    let buffer = builder
        .routing(Routing::by_hash(|(key, _): &Keyed| u64::from(key / 2)))
        .build(sink.clone())
        .unwrap();
    for number in 0..100 {
        for key in 0..10 {
            buffer.insert((key, number)).await.unwrap();
        }
    }
    let _ = buffer.close().await;
    assert_in_order_by_key(&sink, 10, 100);
    let delivered = sink.delivered();
    for pair in 0..5 {
        let items: Vec<Keyed> = delivered
            .iter()
            .copied()
            .filter(|item| item.0 / 2 == pair)
            .collect();
        assert!(items.is_sorted_by_key(|(key, number)| (*number, *key)), "{pair}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_by_key_is_divided_and_each_key_keeps_its_order() {
    let sink = ScriptedSink::new([]);
    let buffer = keyed(&sink);
    let mut items: Vec<Keyed> = (0..100)
        .flat_map(|number| (0..10).map(move |key| (key, number)))
        .collect();
    buffer.insert_batch(&mut items).await.unwrap();
    assert!(items.is_empty());
    let _ = buffer.close().await;
    assert_in_order_by_key(&sink, 10, 100);
}

/// A costly key is costly once.
#[tokio::test(start_paused = true)]
async fn a_batch_by_key_asks_for_the_key_of_each_item_once() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let hash = move |(key, _): &Keyed| {
        // Relaxed: only the number matters.
        count.fetch_add(1, Ordering::Relaxed);
        u64::from(*key)
    };
    let builder = Buffer::builder().partitions(4).routing(Routing::by_hash(hash));
    let buffer = builder.build(ScriptedSink::new([])).unwrap();
    for items in [1, 2, 40] {
        asked.store(0, Ordering::Relaxed);
        buffer
            .insert_batch(&mut (0..items).map(|key| (key, 0)).collect())
            .await
            .unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), items);
    }
    assert_eq!(buffer.close().await.ledger.delivered, 43);
}

#[tokio::test(start_paused = true)]
async fn try_insert_batch_by_key_keeps_what_has_no_room_in_order() {
    let sink = ScriptedSink::new([]);
    let buffer = keyed(&sink);
    let mut items: Vec<Keyed> = (0..100)
        .flat_map(|number| (0..10).map(move |key| (key, number)))
        .collect();
    let mut rounds = 0;
    while let Err(refused) = buffer.try_insert_batch(&mut items) {
        assert_eq!(refused, TryInsertBatchError::Full);
        buffer.flush().await;
        rounds += 1;
    }
    assert!(rounds > 1);
    let _ = buffer.close().await;
    assert_in_order_by_key(&sink, 10, 100);
}

#[tokio::test(start_paused = true)]
async fn last_items_go_to_the_partitions_of_their_keys() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(4)
        .routing(Routing::by_key(|(key, _): &Keyed| key))
        .last_items(|| {
            (1..100)
                .flat_map(|number| (0..10).map(move |key| (key, number)))
                .collect()
        })
        .build(sink.clone())
        .unwrap();
    buffer
        .insert_batch(&mut (0..10).map(|key| (key, 0)).collect())
        .await
        .unwrap();
    let _ = buffer.close().await;
    assert_in_order_by_key(&sink, 10, 100);
}

#[tokio::test(start_paused = true)]
async fn per_call_takes_the_partitions_in_turn_and_does_not_skip_a_full_one() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(3).batch_size(2).capacity(6);
    let buffer = builder.routing(Routing::PerCall).build(sink.clone()).unwrap();
    for item in 0..6 {
        buffer.try_insert(item).unwrap();
    }
    assert_eq!(buffer.try_insert(6), Err(TryInsertError::Full(6)));
    gate.let_through(1);
    // One partition has room now; a turn that is another's waits all the same.
    while buffer.ledger().delivered < 2 {
        tokio::task::yield_now().await;
    }
    let accepted = (7..10).filter(|item| buffer.try_insert(*item).is_ok()).count();
    assert_eq!(accepted, 1);
    gate.open();
    let _ = buffer.close().await;
    let mut batches: Vec<_> = sink.attempts().into_iter().map(|attempt| attempt.items).collect();
    batches.sort();
    assert_eq!(batches[..3], [vec![0, 3], vec![1, 4], vec![2, 5]]);
}

#[tokio::test(start_paused = true)]
async fn insert_timeout_hands_the_item_back_when_there_was_no_room_for_so_long() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .capacity(1)
        .build(sink)
        .unwrap();
    buffer.insert_timeout(1, Duration::from_secs(1)).await.unwrap();
    let refused = buffer.insert_timeout(2, Duration::from_secs(1)).await;
    assert_eq!(refused, Err(InsertTimeoutError::TimedOut(2)));
    assert_eq!(buffer.ledger().accepted, 1);
    gate.open();
    buffer.insert_timeout(3, Duration::from_secs(1)).await.unwrap();
    let _ = buffer.close().await;
    assert_eq!(
        buffer.insert_timeout(4, Duration::from_secs(1)).await,
        Err(InsertTimeoutError::Closed(4))
    );
}
