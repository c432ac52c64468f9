//! Batches that go only where nothing is pending: one for each partition, whatever the capacity.

use std::collections::HashMap;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Buffer, Overflow, Routing, Trigger, TryInsertBatchError};

/// Inserts until nothing is idle any more; says how many items went in.
fn insert_all(buffer: &Buffer<u32>, items: &mut Vec<u32>) -> usize {
    let before = items.len();
    while !items.is_empty() && buffer.try_insert_batch_when_idle(items).is_ok() {}
    before - items.len()
}

/// Fails when a partition takes a batch for which there is room, and when it looks before it has the lock.
#[tokio::test(start_paused = true)]
async fn many_threads_get_one_batch_into_each_partition_and_the_next_when_that_is_settled() {
    for overflow in [Overflow::Wait, Overflow::DropOldest, Overflow::DropNewest] {
        let (sink, gate) = ScriptedSink::new([]).gated();
        let buffer = Buffer::builder()
            .partitions(3)
            .batch_size(4)
            .capacity(1_000)
            .overflow(overflow)
            .build(sink.clone())
            .unwrap();
        let mut left: Vec<Vec<u32>> = (0..4).map(|thread| vec![thread; 100]).collect();
        for round in 1..=3 {
            std::thread::scope(|scope| {
                for items in &mut left {
                    scope.spawn(|| insert_all(&buffer, items));
                }
            });
            assert_eq!(left.iter().map(Vec::len).sum::<usize>(), 400 - 12 * round);
            assert_eq!(
                buffer.try_insert_batch_when_idle(&mut left[0]),
                Err(TryInsertBatchError::Full)
            );
            let pending: Vec<u64> = buffer.info().iter().map(|part| part.pending.items).collect();
            assert_eq!(pending, [4, 4, 4]);
            gate.let_through(3);
            buffer.flush().await;
        }
        assert_eq!(sink.attempts().len(), 9);
        assert!(
            sink.attempts()
                .iter()
                .all(|attempt| attempt.trigger == Trigger::Size)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_less_than_a_batch_is_sealed_at_once() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder().build(sink.clone()).unwrap();
    assert_eq!(buffer.try_insert_batch_when_idle(&mut Vec::new()), Ok(()));
    buffer.try_insert_batch_when_idle(&mut vec![1, 2]).unwrap();
    sink.attempted(1).await;
    let attempt = &sink.attempts()[0];
    assert_eq!(
        (&attempt.items[..], attempt.trigger),
        (&[1, 2][..], Trigger::Request)
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_is_not_idle_before_the_last_of_its_items_is_settled() {
    let sink = ScriptedSink::new([Reply::deliver(0..2, Reply::Unavailable)]);
    let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
    buffer.try_insert_batch_when_idle(&mut vec![1, 2, 3]).unwrap();
    sink.attempted(1).await;
    assert_eq!(
        buffer.try_insert_batch_when_idle(&mut vec![4]),
        Err(TryInsertBatchError::Full)
    );
    buffer.flush().await;
    assert_eq!(buffer.try_insert_batch_when_idle(&mut vec![4]), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_as_large_as_its_jitter_says_and_never_two() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(10)
        .batch_size_jitter(6)
        .build(sink.clone())
        .unwrap();
    let mut items: Vec<u32> = (0..1_000).collect();
    while !items.is_empty() {
        let before = items.len();
        buffer.try_insert_batch_when_idle(&mut items).unwrap();
        let batch = before - items.len();
        assert!((4..=10).contains(&batch) || items.is_empty(), "{batch}");
        assert_eq!(buffer.info()[0].sealed + buffer.info()[0].in_hand, batch as u64);
        buffer.flush().await;
    }
    let sizes: Vec<usize> = sink
        .attempts()
        .iter()
        .map(|attempt| attempt.items.len())
        .collect();
    assert!(sizes.contains(&4) && sizes.contains(&10), "{sizes:?}");
    assert_eq!(sink.delivered(), (0..1_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn one_batch_by_weight_is_no_heavier_than_it_may_be() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(1)
        .weigh(|item: &u32| *item as usize)
        .batch_bytes(10)
        .capacity_bytes(100)
        .build(sink.clone())
        .unwrap();
    let mut items = vec![4, 4, 4, 10, 1];
    for left in [vec![4, 10, 1], vec![10, 1], vec![1], vec![]] {
        buffer.try_insert_batch_when_idle(&mut items).unwrap();
        assert_eq!(items, left);
        buffer.flush().await;
    }
    let refused = buffer.try_insert_batch_when_idle(&mut vec![1, 11]);
    assert_eq!(refused, Err(TryInsertBatchError::Oversized { index: 1 }));
    assert_eq!(buffer.ledger().accepted, 5);
}

#[tokio::test(start_paused = true)]
async fn by_key_the_batch_is_of_one_partition_and_each_key_keeps_its_order() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(3)
        .batch_size(5)
        .weigh(|_: &(u32, u32)| 1)
        .routing(Routing::by_key(|(key, _): &(u32, u32)| key))
        .build(sink.clone())
        .unwrap();
    gate.open();
    let mut items: Vec<(u32, u32)> = (0..20)
        .flat_map(|number| (0..9).map(move |key| (key, number)))
        .collect();
    while !items.is_empty() {
        while buffer.try_insert_batch_when_idle(&mut items).is_ok() && !items.is_empty() {}
        assert!(buffer.info().iter().all(|part| part.pending.items <= 5));
        buffer.flush().await;
    }
    let mut next = HashMap::new();
    for (key, number) in sink.delivered() {
        let expected = next.entry(key).or_insert(0);
        assert_eq!(number, *expected, "of key {key}");
        *expected += 1;
    }
    assert!(next.values().all(|numbers| *numbers == 20) && next.len() == 9);
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_not_skipped_where_its_partition_is_busy() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(2)
        .routing(Routing::PerCall)
        .build(sink)
        .unwrap();
    let insert = |item| buffer.try_insert_batch_when_idle(&mut vec![item]);
    assert_eq!([insert(1), insert(2)], [Ok(()), Ok(())]);
    assert_eq!(insert(3), Err(TryInsertBatchError::Full));
    gate.open();
    buffer.flush().await;
    assert_eq!(insert(3), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_closed_buffer_takes_none_of_it() {
    let buffer = Buffer::builder().build(ScriptedSink::new([])).unwrap();
    let _ = buffer.close().await;
    let mut items = vec![1, 2];
    assert_eq!(
        buffer.try_insert_batch_when_idle(&mut items),
        Err(TryInsertBatchError::Closed)
    );
    assert_eq!(items, [1, 2]);
}
