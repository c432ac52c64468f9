//! When batches are sealed, in which order they arrive, and what they know of themselves.

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Buffer, Trigger};
use tokio::time::{Instant, advance};

/// Lets the workers run until they have nothing to do at this moment of the paused clock.
async fn settle_down() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sealed_when_it_reaches_its_size() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(3)
        .build(sink.clone())
        .unwrap();
    for item in 0..7 {
        buffer.insert(item).await.unwrap();
    }
    settle_down().await;
    let batches: Vec<_> = sink
        .attempts()
        .into_iter()
        .map(|a| (a.items, a.trigger))
        .collect();
    assert_eq!(
        batches,
        [(vec![0, 1, 2], Trigger::Size), (vec![3, 4, 5], Trigger::Size)]
    );
    assert_eq!(buffer.ledger().pending, 1);
}

#[tokio::test(start_paused = true)]
async fn a_partial_batch_is_flushed_when_the_interval_passes_after_its_first_item() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(1)
        .flush_interval(Duration::from_secs(10))
        .flush_jitter(Duration::ZERO)
        .build(sink.clone())
        .unwrap();
    advance(Duration::from_secs(7)).await;
    buffer.insert(1).await.unwrap();
    let first_item = Instant::now();
    settle_down().await;
    advance(Duration::from_millis(9_990)).await;
    buffer.insert(2).await.unwrap();
    settle_down().await;
    assert!(sink.attempts().is_empty());
    advance(Duration::from_millis(20)).await;
    settle_down().await;
    let attempts = sink.attempts();
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (&attempts[0].items[..], attempts[0].trigger),
        (&[1, 2][..], Trigger::Interval)
    );
    assert!(attempts[0].at - first_item >= Duration::from_secs(10));

    // A second batch, with nothing after its one item, is not stuck either.
    buffer.insert(3).await.unwrap();
    settle_down().await;
    advance(Duration::from_millis(10_010)).await;
    settle_down().await;
    assert_eq!(sink.delivered(), [1, 2, 3]);
}

/// Fails when less than a batch does not wake a worker that sleeps without a timer.
#[tokio::test(start_paused = true)]
async fn a_few_items_at_once_are_flushed_when_their_interval_passes() {
    for waits in [true, false] {
        let sink = ScriptedSink::new([]);
        let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
        // The worker falls asleep.
        settle_down().await;
        let mut items = vec![1, 2];
        match waits {
            true => buffer.insert_batch(&mut items).await.unwrap(),
            false => buffer.try_insert_batch(&mut items).unwrap(),
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(sink.delivered(), [1, 2], "{waits}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_interval_still_fires_after_a_size_flush() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .build(sink.clone())
        .unwrap();
    for item in 0..3 {
        buffer.insert(item).await.unwrap();
    }
    settle_down().await;
    assert_eq!(sink.delivered(), [0, 1]);
    advance(Duration::from_millis(1_300)).await;
    settle_down().await;
    assert_eq!(sink.delivered(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_due_during_a_flush_is_offered_when_that_flush_ends() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .flush_timeout(Duration::from_secs(1_000))
        .build(sink.clone())
        .unwrap();
    for item in 0..3 {
        buffer.insert(item).await.unwrap();
    }
    settle_down().await;
    advance(Duration::from_secs(60)).await;
    settle_down().await;
    assert!(sink.delivered().is_empty());
    gate.let_through(2);
    settle_down().await;
    assert_eq!(sink.delivered(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn items_of_one_partition_keep_their_order_across_retries() {
    let sink = ScriptedSink::new([
        Reply::Transient,
        Reply::Ok,
        Reply::Uncertain,
        Reply::Panic,
        Reply::Ok,
    ]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(10)
        .build(sink.clone())
        .unwrap();
    for item in 0..95 {
        buffer.insert(item).await.unwrap();
    }
    buffer.flush().await;
    assert_eq!(sink.delivered(), (0..95).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn every_attempt_at_the_same_items_has_the_same_id_and_a_batch_of_its_own_another() {
    let sink = ScriptedSink::new([Reply::Transient, Reply::Never, Reply::Ok]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .build(sink.clone())
        .unwrap();
    buffer.insert('a').await.unwrap();
    buffer.insert('b').await.unwrap();
    buffer.flush().await;
    let attempts = sink.attempts();
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 1]);
    assert!(attempts[0].id == attempts[1].id && attempts[1].id == attempts[2].id);
    assert_ne!(attempts[2].id, attempts[3].id);
}

#[tokio::test(start_paused = true)]
async fn threads_at_home_in_different_partitions_fill_different_batches() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder().partitions(2).build(sink.clone()).unwrap();
    // Threads of other tests, which run beside this one, get homes in between.
    for thread in 0..64 {
        let buffer = buffer.clone();
        std::thread::spawn(move || buffer.try_insert(thread).unwrap())
            .join()
            .unwrap();
    }
    buffer.flush().await;
    let mut partitions: Vec<usize> = sink.attempts().iter().map(|attempt| attempt.partition).collect();
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1]);
}

/// Gives way once for each batch.
struct Yields;

#[buffer_core::async_trait]
impl buffer_core::Flush<u32> for Yields {
    async fn flush(&self, _: &mut buffer_core::Batch<u32>) -> Result<(), buffer_core::FlushError> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[tokio::test]
async fn a_sink_that_gives_way_gives_others_a_turn() {
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .capacity(100)
        .build(Yields)
        .unwrap();
    for item in 0..100 {
        buffer.try_insert(item).unwrap();
    }
    let mut turns = 0;
    while buffer.ledger().pending > 0 {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(turns >= 99, "{turns}");
}
