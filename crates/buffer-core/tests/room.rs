//! What happens when a buffer is full: who waits, who is refused, and who is woken.

use std::time::Duration;

use buffer_core::testing::{Gate, ScriptedSink};
use buffer_core::{
    Buffer, InsertBatchError, InsertBlockingError, InsertError, TryInsertBatchError, TryInsertError,
};
use tokio_test::{assert_pending, assert_ready, task};

/// A buffer of one partition that holds four items, and whose sink waits at a gate.
fn full_buffer() -> (Buffer<u32>, ScriptedSink<u32>, Gate) {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .capacity(4)
        .build(sink.clone())
        .unwrap();
    for item in 0..4 {
        buffer.try_insert(item).unwrap();
    }
    (buffer, sink, gate)
}

#[tokio::test(start_paused = true)]
async fn try_insert_hands_the_item_back_and_counts_nothing() {
    let (buffer, _sink, gate) = full_buffer();
    assert_eq!(buffer.try_insert(9), Err(TryInsertError::Full(9)));
    assert_eq!(buffer.ledger().accepted, 4);
    gate.open();
    buffer.flush().await;
    buffer.try_insert(9).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_until_a_batch_is_settled_and_not_only_sealed() {
    let (buffer, sink, gate) = full_buffer();
    let mut insert = task::spawn(buffer.insert(4));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        // Both batches are sealed and one is in flight; none is settled.
        assert_pending!(insert.poll());
    }
    gate.let_through(1);
    while !insert.is_woken() {
        tokio::task::yield_now().await;
    }
    assert_ready!(insert.poll()).unwrap();
    gate.open();
    buffer.flush().await;
    assert_eq!(sink.delivered(), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiting_inserts_all_get_in() {
    let (buffer, sink, gate) = full_buffer();
    let inserts: Vec<_> = (4..1_004)
        .map(|item| {
            let buffer = buffer.clone();
            tokio::spawn(async move { buffer.insert(item).await })
        })
        .collect();
    gate.open();
    for insert in inserts {
        insert.await.unwrap().unwrap();
    }
    buffer.flush().await;
    let mut delivered = sink.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..1_004).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn room_of_a_cancelled_insert_is_for_the_next() {
    let (buffer, _sink, gate) = full_buffer();
    let mut first = task::spawn(buffer.insert(4));
    let mut second = task::spawn(buffer.insert(5));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    gate.let_through(1);
    while !first.is_woken() {
        tokio::task::yield_now().await;
    }
    drop(first);
    assert!(second.is_woken());
    assert_ready!(second.poll()).unwrap();
    assert_eq!(buffer.ledger().accepted, 5);
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn a_close_hands_waiting_inserts_their_items_back() {
    let (buffer, _sink, gate) = full_buffer();
    let mut insert = task::spawn(buffer.insert(4));
    let mut items = vec![5, 6, 7];
    let mut insert_batch = task::spawn(buffer.insert_batch(&mut items));
    assert_pending!(insert.poll());
    assert_pending!(insert_batch.poll());
    gate.open();
    let summary = buffer.close().await;
    assert_eq!(assert_ready!(insert.poll()), Err(InsertError::Closed(4)));
    assert_eq!(assert_ready!(insert_batch.poll()), Err(InsertBatchError::Closed));
    drop(insert_batch);
    assert_eq!(items, [5, 6, 7]);
    assert_eq!((summary.ledger.accepted, summary.ledger.delivered), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn insert_batch_takes_more_than_the_capacity_and_keeps_its_order() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(2)
        .batch_size(10)
        .capacity(40)
        .build(sink.clone())
        .unwrap();
    let mut items: Vec<u32> = (0..1_234).collect();
    buffer.insert_batch(&mut items).await.unwrap();
    assert!(items.is_empty());
    buffer.flush().await;
    assert_eq!(sink.delivered(), (0..1_234).collect::<Vec<_>>());
    let partitions: Vec<usize> = sink.attempts().iter().map(|attempt| attempt.partition).collect();
    assert!(partitions.iter().all(|partition| *partition == partitions[0]));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_insert_batch_leaves_the_rest_with_the_caller() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .capacity(4)
        .build(sink.clone())
        .unwrap();
    let mut items: Vec<u32> = (0..10).collect();
    let mut insert = task::spawn(buffer.insert_batch(&mut items));
    assert_pending!(insert.poll());
    drop(insert);
    assert_eq!(items, [4, 5, 6, 7, 8, 9]);
    assert_eq!(buffer.ledger().accepted, 4);
    gate.open();
    buffer.flush().await;
    assert_eq!(sink.delivered(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn try_insert_batch_takes_what_there_is_room_for() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .capacity(4)
        .build(sink.clone())
        .unwrap();
    let mut items: Vec<u32> = (0..6).collect();
    assert_eq!(
        buffer.try_insert_batch(&mut items),
        Err(TryInsertBatchError::Full)
    );
    assert_eq!(items, [4, 5]);
    assert_eq!(
        buffer.try_insert_batch(&mut items),
        Err(TryInsertBatchError::Full)
    );
    gate.open();
    buffer.flush().await;
    assert_eq!(buffer.try_insert_batch(&mut items), Ok(()));
    let _ = buffer.close().await;
    assert_eq!(
        buffer.try_insert_batch(&mut vec![6]),
        Err(TryInsertBatchError::Closed)
    );
    assert_eq!(sink.delivered(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_full_home_partition_sends_items_to_the_next() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(3)
        .batch_size(2)
        .capacity(6)
        .build(sink.clone())
        .unwrap();
    for item in 0..6 {
        buffer.try_insert(item).unwrap();
    }
    assert_eq!(buffer.try_insert(6), Err(TryInsertError::Full(6)));
    gate.open();
    buffer.flush().await;
    let mut partitions: Vec<usize> = sink.attempts().iter().map(|attempt| attempt.partition).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2]);
}

#[tokio::test]
async fn insert_blocking_waits_on_a_plain_thread_and_is_refused_inside_a_runtime() {
    let (buffer, sink, gate) = full_buffer();
    assert_eq!(
        buffer.insert_blocking(9),
        Err(InsertBlockingError::InsideRuntime(9))
    );
    let waiting = std::thread::spawn({
        let buffer = buffer.clone();
        move || (4..100).try_for_each(|item| buffer.insert_blocking(item))
    });
    gate.open();
    while !waiting.is_finished() {
        tokio::task::yield_now().await;
    }
    waiting.join().unwrap().unwrap();
    let _ = buffer.close().await;
    assert_eq!(sink.delivered(), (0..100).collect::<Vec<_>>());
    let refused = std::thread::spawn(move || buffer.insert_blocking(9))
        .join()
        .unwrap();
    assert_eq!(refused, Err(InsertBlockingError::Closed(9)));
}

/// A worker that a task has woken may wait behind that very task, where no other thread gets at it.
#[tokio::test]
async fn a_task_that_inserts_without_a_pause_lets_the_worker_take_full_batches() {
    let sink = ScriptedSink::new([]);
    let builder = Buffer::builder().partitions(1).batch_size(10).capacity(1_000);
    let buffer = builder.build(sink.clone()).unwrap();
    for item in 0..50 {
        buffer.insert(item).await.unwrap();
    }
    assert_eq!(sink.delivered(), (0..40).collect::<Vec<_>>());
    for first in (50..500).step_by(10) {
        buffer
            .insert_batch(&mut (first..first + 10).collect())
            .await
            .unwrap();
    }
    assert_eq!(sink.delivered().len(), 480);
}

/// However few batches a partition holds: the task neither takes all of the room there nor that of the others.
#[tokio::test]
async fn a_task_gives_way_before_all_room_is_taken() {
    let sink = ScriptedSink::new([]);
    let builder = Buffer::builder().partitions(4).batch_size(10).capacity(160);
    let buffer = builder.build(sink.clone()).unwrap();
    for item in 0..1_000 {
        buffer.insert(item).await.unwrap();
        assert!(buffer.size().items <= 30, "{:?}", buffer.info());
    }
    assert!(sink.delivered().len() >= 970);
}

/// As far ahead of its worker as a task gets, with five items pending.
fn buffer_that_is_ahead() -> Buffer<u32> {
    let builder = Buffer::builder().partitions(1).batch_size(1).capacity(10);
    let buffer = builder.build(ScriptedSink::new([])).unwrap();
    buffer.try_insert_batch(&mut (0..5).collect()).unwrap();
    buffer
}

#[tokio::test]
async fn an_insert_that_is_never_polled_inserts_nothing() {
    let buffer = Buffer::builder().build(ScriptedSink::new([])).unwrap();
    // A batch is open, so the next item would need no look.
    buffer.insert(1).await.unwrap();
    drop(buffer.insert(2));
    assert_eq!(buffer.ledger().accepted, 1);
}

#[tokio::test]
async fn an_insert_that_is_dropped_while_it_gives_way_has_inserted_nothing() {
    let buffer = buffer_that_is_ahead();
    let mut items = vec![2, 3];
    assert_pending!(task::spawn(buffer.insert(4)).poll());
    assert_pending!(task::spawn(buffer.insert_batch(&mut items)).poll());
    assert_eq!((buffer.ledger().accepted, items), (5, vec![2, 3]));
}

/// Who blocks on an insert in the midst of a task does not go back to the scheduler, which wakes whoever has yielded.
#[tokio::test]
async fn an_insert_that_gives_way_is_woken_without_the_scheduler() {
    let buffer = buffer_that_is_ahead();
    let mut insert = task::spawn(buffer.insert(2));
    assert_pending!(insert.poll());
    assert!(insert.is_woken());
    assert_ready!(insert.poll()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_insert_whose_home_is_full_goes_to_the_next_without_giving_way() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(2).batch_size(10).capacity(120);
    let buffer = builder.build(sink.clone()).unwrap();
    buffer.try_insert_batch(&mut (0..60).collect()).unwrap();
    sink.attempted(1).await;
    for item in 60..69 {
        assert_ready!(task::spawn(buffer.insert(item)).poll()).unwrap();
    }
    // Or a rescue would wait for the sink.
    gate.open();
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_thread_stays_where_it_found_room_when_its_home_was_full() {
    stays_where_it_found_room(async |buffer, item| buffer.try_insert(item).unwrap()).await;
    stays_where_it_found_room(async |buffer, item| buffer.insert_batch(&mut vec![item]).await.unwrap()).await;
}

async fn stays_where_it_found_room(insert: impl AsyncFn(&Buffer<u32>, u32)) {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(3).batch_size(10).capacity(60);
    let buffer = builder.build(sink.clone()).unwrap();
    let pending = || {
        buffer
            .info()
            .iter()
            .map(|info| info.pending.items)
            .collect::<Vec<_>>()
    };
    for item in 0..20 {
        insert(&buffer, item).await;
    }
    let home = pending().iter().position(|items| *items == 20).unwrap();
    insert(&buffer, 20).await;
    let moved = pending().iter().position(|items| *items == 1).unwrap();
    gate.open();
    buffer.flush().await;
    insert(&buffer, 21).await;
    assert_eq!((pending()[home], pending()[moved]), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_insert_without_any_time_gets_in_while_there_is_room() {
    let buffer = buffer_that_is_ahead();
    assert_eq!(buffer.insert_timeout(2, Duration::ZERO).await, Ok(()));
}
