//! What can be seen of a buffer without touching it.

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Buffer, Trigger};

#[tokio::test(start_paused = true)]
async fn every_pending_item_is_open_sealed_or_in_hand() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .weigh(|_: &u32| 3)
        .build(sink)
        .unwrap();
    assert_eq!((buffer.size().items, buffer.oldest()), (0, None));
    buffer.insert_batch(&mut (0..7).collect()).await.unwrap();
    while buffer.info()[0].in_hand == 0 {
        tokio::task::yield_now().await;
    }
    let info = buffer.info();
    let [partition] = &info[..] else {
        unreachable!("there is one")
    };
    assert_eq!((partition.in_hand, partition.sealed, partition.open), (2, 4, 1));
    assert_eq!((partition.pending.items, partition.pending.bytes), (7, 21));
    assert_eq!(buffer.size(), partition.pending);
    gate.let_through(9);
    buffer.flush().await;
    assert_eq!((buffer.size().items, buffer.oldest()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_item_s_age_is_that_of_its_batch_wherever_it_is() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .flush_timeout(Duration::from_secs(3_600))
        .build(sink)
        .unwrap();
    buffer.insert(0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    buffer.insert(1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(buffer.oldest(), Some(Duration::from_secs(7)));
    gate.let_through(1);
    while buffer.ledger().delivered < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(buffer.oldest(), Some(Duration::from_secs(4)));
    gate.let_through(1);
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_pending_nothing_has_an_age() {
    let sink = ScriptedSink::new([Reply::Permanent, Reply::Never]);
    let cemetery = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .dead_letters(cemetery)
        .build(sink)
        .unwrap();
    buffer.insert(0).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    // It is settled, and still being buried.
    assert_eq!((buffer.size().items, buffer.oldest()), (0, None));
    tokio::time::sleep(Duration::from_secs(60)).await;
    buffer.insert(1).await.unwrap();
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!(summary.undelivered, [1]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((buffer.size().items, buffer.oldest()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_dump_copies_what_waits_and_moves_nothing() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..7).collect()).await.unwrap();
    while buffer.info()[0].in_hand == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        let dump = buffer.dump();
        assert_eq!((dump.items, dump.in_hand), (vec![2, 3, 4, 5, 6], 2));
    }
    gate.let_through(9);
    let _ = buffer.close().await;
    assert_eq!(sink.delivered(), [0, 1, 2, 3, 4, 5, 6]);
    assert!(buffer.dump().items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_item_that_panics_when_it_is_copied_is_left_out_of_the_dump_alone() {
    #[derive(Debug, PartialEq)]
    struct Fragile(u32);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            assert_ne!(self.0, 1, "scripted");
            Self(self.0)
        }
    }
    struct Nowhere;
    #[buffer_core::async_trait]
    impl buffer_core::Flush<Fragile> for Nowhere {
        async fn flush(&self, _: &mut buffer_core::Batch<Fragile>) -> Result<(), buffer_core::FlushError> {
            Ok(())
        }
    }
    let buffer = Buffer::builder().build(Nowhere).unwrap();
    buffer
        .insert_batch(&mut (0..3).map(Fragile).collect())
        .await
        .unwrap();
    assert_eq!(buffer.dump().items, [Fragile(0), Fragile(2)]);
    assert_eq!(buffer.close().await.ledger.delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn the_stats_count_attempts_and_what_sealed_the_batches() {
    let sink = ScriptedSink::new([Reply::Ok, Reply::Transient, Reply::Panic, Reply::Never]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .weigh(|item: &u32| *item as usize)
        .batch_bytes(10)
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![1, 2, 10, 3]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    buffer.insert(1).await.unwrap();
    buffer.flush().await;
    buffer.insert(1).await.unwrap();
    let _ = buffer.close().await;
    let stats = buffer.stats();
    assert_eq!((stats.attempts, stats.failed_attempts), (8, 3));
    assert_eq!(stats.ledger, buffer.ledger());
    let sealed: Vec<u64> = Trigger::ALL
        .iter()
        .map(|trigger| stats.sealed_by(*trigger))
        .collect();
    assert_eq!(sealed, [1, 1, 1, 1, 1], "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn two_ledgers_say_what_was_settled_between_them() {
    let sink = ScriptedSink::new([Reply::Ok, Reply::Permanent, Reply::Ok]);
    let buffer = Buffer::builder().partitions(1).build(sink).unwrap();
    let mut ledgers = vec![buffer.ledger()];
    for item in 0..3 {
        buffer.insert(item).await.unwrap();
        buffer.flush().await;
        ledgers.push(buffer.ledger());
    }
    let between = |from: usize, to: usize| {
        let report = ledgers[to].since(&ledgers[from]);
        (report.delivered, report.dropped.total())
    };
    assert_eq!(
        (between(0, 3), between(1, 2), between(2, 2)),
        ((2, 1), (0, 1), (0, 0))
    );
}

/// Fails when it is one partition's, or what was set though that can't be divided.
#[tokio::test(start_paused = true)]
async fn a_full_buffer_holds_its_capacity() {
    let (sink, gate) = ScriptedSink::<u32>::new([]).gated();
    let builder = Buffer::builder().partitions(3).batch_size(2).capacity(10);
    let buffer = builder.build(sink.clone()).unwrap();
    while buffer.try_insert(1).is_ok() {}
    let capacity = buffer.capacity();
    assert_eq!(
        (capacity.items, capacity.items, capacity.bytes),
        (9, buffer.size().items, u64::MAX)
    );
    let weighing = Buffer::builder()
        .partitions(3)
        .weigh(|_: &u32| 1)
        .batch_bytes(2)
        .capacity_bytes(10);
    let weighing = weighing.build(sink).unwrap();
    while weighing.try_insert(1).is_ok() {}
    assert_eq!(weighing.capacity().bytes, weighing.size().bytes);
    gate.open();
}
