//! Those who wait for room stand in line: first come, first served.

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use buffer_core::testing::{Gate, Reply, ScriptedSink};
use buffer_core::{Buffer, Routing, TryInsertBatchError, TryInsertError};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::timeout;
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};

/// A buffer of one partition that is full with as many batches of one, and whose sink waits at a gate.
fn full(capacity: usize) -> (Buffer<u32>, Gate) {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(1).batch_size(1);
    let buffer = builder.capacity(capacity).build(sink).unwrap();
    while buffer.try_insert(0).is_ok() {}
    (buffer, gate)
}

/// Lets so many batches through, until so many items are settled.
async fn settle(buffer: &Buffer<u32>, gate: &Gate, batches: usize, items: u64) {
    let before = buffer.ledger().delivered;
    gate.let_through(batches);
    while buffer.ledger().delivered < before + items {
        yield_now().await;
    }
}

fn waiting<F: Future<Output: Debug>>(insert: F) -> Spawn<F> {
    let mut insert = task::spawn(insert);
    assert_pending!(insert.poll());
    insert
}

#[tokio::test(start_paused = true)]
async fn whoever_came_first_gets_in_first() {
    let (buffer, gate) = full(2);
    let mut inserts: Vec<_> = (1..=3).map(|item| waiting(buffer.insert(item))).collect();
    for came in 0..3 {
        assert!(inserts.iter().all(|insert| !insert.is_woken()));
        settle(&buffer, &gate, 1, 1).await;
        assert!(inserts[0].is_woken(), "the one that came as number {came}");
        assert_ready!(inserts.remove(0).poll()).unwrap();
    }
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn room_is_for_as_many_at_once_as_it_holds() {
    let (buffer, gate) = full(4);
    let mut inserts: Vec<_> = (1..=4).map(|item| waiting(buffer.insert(item))).collect();
    settle(&buffer, &gate, 3, 3).await;
    let woken: Vec<bool> = inserts.iter().map(Spawn::is_woken).collect();
    assert_eq!(woken, [true, true, true, false]);
    // In any order.
    assert_pending!(inserts[3].poll());
    for insert in inserts[..3].iter_mut().rev() {
        assert_ready!(insert.poll()).unwrap();
    }
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_whoever_waits() {
    let (buffer, gate) = full(2);
    let mut first = waiting(buffer.insert(1));
    settle(&buffer, &gate, 1, 1).await;
    // The room is kept, though nobody has come for it yet.
    assert_eq!(buffer.try_insert(2), Err(TryInsertError::Full(2)));
    assert_eq!(
        buffer.try_insert_batch(&mut vec![2]),
        Err(TryInsertBatchError::Full)
    );
    let mut second = waiting(buffer.insert(2));
    assert_ready!(first.poll()).unwrap();
    assert_pending!(second.poll());
    assert_eq!(buffer.size().items, 2);
    gate.open();
}

/// As when one branch of a `select!` inserts while the loop that polls the others does, too.
#[tokio::test(start_paused = true)]
async fn an_insert_that_is_kept_and_not_polled_has_only_its_own_room() {
    let (buffer, gate) = full(2);
    let mut kept = waiting(buffer.insert(1));
    gate.open();
    timeout(Duration::from_secs(1), async {
        for item in 2..100 {
            buffer.insert(item).await.unwrap();
        }
    })
    .await
    .expect("there is room beside what is kept");
    buffer.flush().await;
    assert_ready!(kept.poll()).unwrap();
}

/// With what is kept, no batch ever has its full size.
#[tokio::test(start_paused = true)]
async fn an_open_batch_beside_room_that_nobody_comes_for_does_not_wait_for_its_interval() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(1).batch_size(10).capacity(10);
    let builder = builder.flush_interval(Duration::from_secs(3_600));
    let buffer = builder.build(sink.clone()).unwrap();
    buffer.insert_batch(&mut vec![0; 10]).await.unwrap();
    let kept = waiting(buffer.insert(1));
    gate.open();
    timeout(Duration::from_secs(60), async {
        for item in 2..32 {
            buffer.insert(item).await.unwrap();
        }
    })
    .await
    .expect("whoever is in line has the batch flushed");
    // All but what is kept.
    assert!(
        sink.attempts()[1..]
            .iter()
            .all(|attempt| attempt.items.len() == 9)
    );
    drop(kept);
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn many_items_that_are_kept_and_not_polled_have_half_of_the_room_at_most() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(1).batch_size(100).capacity(100);
    let buffer = builder.build(sink).unwrap();
    buffer.insert_batch(&mut vec![0; 100]).await.unwrap();
    let mut items = vec![1; 200];
    let kept = waiting(buffer.insert_batch(&mut items));
    gate.open();
    buffer.flush().await;
    for _ in 0..50 {
        buffer.try_insert(2).unwrap();
    }
    assert_eq!(buffer.try_insert(2), Err(TryInsertError::Full(2)));
    drop(kept);
    buffer.try_insert(2).unwrap();
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn room_that_is_kept_is_not_pending_and_goes_when_the_insert_is_dropped() {
    let (buffer, gate) = full(2);
    let kept = waiting(buffer.insert(1));
    gate.open();
    buffer.flush().await;
    assert_eq!((buffer.size().items, buffer.ledger().pending), (0, 0));
    // A batch that must be the only one has no place beside what is kept.
    let mut items = vec![2];
    assert_eq!(
        buffer.try_insert_batch_when_idle(&mut items),
        Err(TryInsertBatchError::Full)
    );
    drop(kept);
    buffer.try_insert_batch_when_idle(&mut items).unwrap();
    assert_eq!(buffer.close().await.ledger.accepted, 3);
}

/// Otherwise the first that comes would be flushed alone.
#[tokio::test(start_paused = true)]
async fn those_who_get_in_together_share_a_batch_though_others_stand_behind_them() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(1).batch_size(10).capacity(10);
    let buffer = builder.build(sink.clone()).unwrap();
    buffer.insert_batch(&mut vec![0; 10]).await.unwrap();
    let mut inserts: Vec<_> = (1..=12).map(|item| waiting(buffer.insert(item))).collect();
    settle(&buffer, &gate, 1, 10).await;
    for insert in &mut inserts[..10] {
        assert_ready!(insert.poll()).unwrap();
    }
    gate.open();
    while sink.delivered().len() < 20 {
        yield_now().await;
    }
    assert_eq!(sink.attempts()[1].items.len(), 10);
}

/// The rest comes behind those who wait by then.
#[tokio::test(start_paused = true)]
async fn many_at_once_get_all_the_room_that_there_is_at_their_turn() {
    let (buffer, gate) = full(6);
    let mut items = vec![1; 5];
    let mut many = waiting(buffer.insert_batch(&mut items));
    let mut one = waiting(buffer.insert(2));
    settle(&buffer, &gate, 3, 3).await;
    assert_pending!(many.poll());
    settle(&buffer, &gate, 2, 2).await;
    assert_ready!(one.poll()).unwrap();
    assert_pending!(many.poll());
    settle(&buffer, &gate, 1, 1).await;
    assert_ready!(many.poll()).unwrap();
    drop(many);
    assert!(items.is_empty());
    gate.open();
}

#[tokio::test(start_paused = true)]
async fn by_key_each_partition_has_its_own_line() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(2).batch_size(1).capacity(4);
    let buffer = builder
        .routing(Routing::by_key(|item: &u32| item))
        .build(sink)
        .unwrap();
    let partition_of = |item: u32| {
        let before = buffer.info();
        let inserted = buffer.try_insert(item);
        let after = buffer.info();
        let grown = (0..2).find(|index| after[*index].pending.items > before[*index].pending.items);
        (inserted.is_ok(), grown)
    };
    let (_, first) = partition_of(0);
    // Fills the partition of the first key, and finds another key.
    while buffer.try_insert(0).is_ok() {}
    let other = (1..).find(|item| partition_of(*item).1.is_some()).unwrap();
    let mut insert = waiting(buffer.insert(0));
    // Whoever goes to the other partition does not stand behind it.
    buffer.try_insert(other).unwrap();
    let mut beside = waiting(buffer.insert(other));
    gate.open();
    while buffer.ledger().pending > 0 {
        yield_now().await;
    }
    assert!(first.is_some() && insert.is_woken() && beside.is_woken());
    assert_ready!(beside.poll()).unwrap();
    assert_ready!(insert.poll()).unwrap();
    let _ = buffer.close().await;
}

/// Inserts without end, and counts in the item who it was.
fn inserting(buffer: &Buffer<u32>, item: u32) -> JoinHandle<Infallible> {
    let buffer = buffer.clone();
    tokio::spawn(async move {
        loop {
            buffer.insert(item).await.unwrap();
        }
    })
}

/// Those who find the buffer full again and again share its room: what is kept for nobody goes to another one of them each time.
#[tokio::test(start_paused = true)]
async fn tasks_that_insert_without_end_all_get_in() {
    let sink = ScriptedSink::answering(|_| Reply::after(Duration::from_millis(10), Reply::Ok));
    let builder = Buffer::builder().partitions(1).batch_size(100).capacity(100);
    let buffer = builder.build(sink.clone()).unwrap();
    let tasks: Vec<_> = (0..4).map(|item| inserting(&buffer, item)).collect();
    let late = timeout(Duration::from_secs(60), buffer.insert(9)).await;
    late.expect("it has its turn").unwrap();
    while buffer.ledger().delivered < 20_000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tasks.iter().for_each(JoinHandle::abort);
    let delivered = sink.delivered();
    for item in 0..4 {
        // A quarter of the batches go to each, more or less.
        let share = delivered.iter().filter(|delivered| **delivered == item).count();
        assert!(
            share >= delivered.len() / 20,
            "{item}: {share} of {}",
            delivered.len()
        );
    }
}

/// A thread takes long to wake, and those that never wait would be there before it each time.
#[test]
fn a_thread_that_waits_gets_in_beside_those_that_try_without_end() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
    let sink = ScriptedSink::new([]);
    let builder = Buffer::builder().partitions(1).batch_size(1).capacity(2);
    let buffer = builder
        .runtime(runtime.handle().clone())
        .build(sink.clone())
        .unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Relaxed) {
                    let _ = buffer.try_insert(0);
                }
            });
        }
        for _ in 0..200 {
            buffer.insert_blocking(1).unwrap();
        }
        ended.store(true, Relaxed);
    });
    let summary = runtime.block_on(buffer.close());
    assert_eq!(summary.ledger.accepted, summary.ledger.delivered);
    assert_eq!(sink.delivered().iter().filter(|item| **item == 1).count(), 200);
}
