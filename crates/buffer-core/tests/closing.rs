//! Flush, close and drop: what is promised at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{
    Batch, Buffer, DropReason, Flush, FlushError, FlushErrorKind, InsertError, TryInsertError, async_trait,
};
use tokio::time::{Instant, timeout};

#[tokio::test(start_paused = true)]
async fn a_flush_returns_when_what_was_accepted_before_is_settled_and_says_what_became_of_it() {
    let sink = ScriptedSink::new([Reply::Transient, Reply::Ok, Reply::Permanent]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(10)
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..25).collect()).await.unwrap();
    let report = buffer.flush().await;
    assert_eq!(
        (
            report.delivered,
            report.dropped.count(DropReason::Permanent),
            report.returned
        ),
        (15, 10, 0)
    );
    let nothing = buffer.flush().await;
    assert_eq!((nothing.delivered, nothing.dropped.total()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_requested_flush_does_not_wait_for_the_interval() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .flush_interval(Duration::from_secs(3_600))
        .build(sink.clone())
        .unwrap();
    let before = Instant::now();
    buffer.insert(1).await.unwrap();
    buffer.request_flush();
    while sink.delivered().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_close_delivers_everything_and_closes_the_sink_once() {
    let sink = ScriptedSink::new([Reply::Transient]);
    let buffer = Buffer::builder()
        .partitions(4)
        .batch_size(7)
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..100).collect()).await.unwrap();
    let summary = buffer.close().await;
    assert_eq!(
        (
            summary.ledger.accepted,
            summary.ledger.delivered,
            summary.ledger.pending
        ),
        (100, 100, 0)
    );
    assert!(summary.undelivered.is_empty() && summary.sink_error.is_none());
    assert_eq!(sink.closed(), 1);
    assert_eq!(sink.delivered(), (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn closing_twice_is_fine_and_inserts_after_it_hand_the_item_back() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder().build(sink.clone()).unwrap();
    buffer.insert(1).await.unwrap();
    let (first, second) = tokio::join!(buffer.close(), buffer.close());
    assert_eq!(first.ledger, second.ledger);
    assert_eq!(buffer.close().await.ledger, first.ledger);
    assert_eq!(buffer.insert(2).await, Err(InsertError::Closed(2)));
    assert_eq!(buffer.try_insert(3), Err(TryInsertError::Closed(3)));
    assert_eq!(buffer.flush().await.delivered, 0);
    assert_eq!(sink.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_in_an_outage_returns_in_time_with_the_items() {
    let sink = ScriptedSink::new(std::iter::repeat_n(Reply::Unavailable, 10_000));
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(10)
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..35).collect()).await.unwrap();
    let before = Instant::now();
    let summary = buffer.close_within(Duration::from_secs(3)).await;
    assert!(
        before.elapsed() < Duration::from_millis(3_100),
        "{:?}",
        before.elapsed()
    );
    assert_eq!(summary.undelivered, (0..35).collect::<Vec<_>>());
    assert_eq!(
        (
            summary.ledger.accepted,
            summary.ledger.returned,
            summary.ledger.pending
        ),
        (35, 35, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_a_backoff_that_is_longer_than_the_drain_has_time() {
    let sink = ScriptedSink::new([Reply::RetryAfter(
        Duration::from_secs(200),
        FlushErrorKind::Transient,
    )]);
    let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
    buffer.insert(7).await.unwrap();
    buffer.request_flush();
    sink.attempted(1).await;
    let summary = buffer.close().await;
    assert_eq!((summary.ledger.delivered, summary.ledger.retried), (1, 1));
}

/// It has failed on a sink that asks for it only once the drain has begun: the drain then did nothing for all of its time.
#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_longer_than_it_has_whenever_the_sink_asks_for_it() {
    for kind in [FlushErrorKind::Transient, FlushErrorKind::Unavailable] {
        // With a random part behind it, the second would often be too long.
        for seconds in [[200; 20], [18; 20]].concat() {
            let sink = ScriptedSink::new([Reply::RetryAfter(Duration::from_secs(seconds), kind)]);
            let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
            buffer.insert(7).await.unwrap();
            let summary = buffer.close_within(Duration::from_secs(20)).await;
            assert_eq!(summary.ledger.delivered, 1, "{kind:?} {seconds}");
        }
    }
}

/// It has failed on a batch that was held when the drain began: its own delays had grown before that.
#[tokio::test(start_paused = true)]
async fn a_drain_has_short_delays_for_a_batch_that_was_held_before() {
    for _ in 0..20 {
        let is_out = Arc::new(AtomicBool::new(true));
        let (out, failed) = (Arc::clone(&is_out), AtomicBool::new(false));
        // Relaxed: set and read on one thread.
        let sink = ScriptedSink::answering(move |batch| match out.load(Relaxed) {
            // Panics hold no partition, so the batch waits for itself.
            true if batch.attempt() <= 12 => Reply::Panic,
            true => Reply::Unavailable,
            false if !failed.swap(true, Relaxed) => Reply::Panic,
            false => Reply::Ok,
        });
        let builder = Buffer::builder().partitions(1).batch_size(1).retries(100);
        let buffer = builder.build(sink.clone()).unwrap();
        buffer.insert(7).await.unwrap();
        sink.attempted(14).await;
        is_out.store(false, Relaxed);
        let summary = buffer.close().await;
        assert_eq!(summary.ledger.delivered, 1, "{summary:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_reaches_into_a_hanging_attempt_and_into_a_backoff() {
    // An attempt that hangs, the batch's own delays, and those of a hold.
    for reply in [Reply::Never, Reply::Panic, Reply::Unavailable] {
        let sink = ScriptedSink::answering(move |_| reply.clone());
        let buffer = Buffer::builder()
            .partitions(1)
            .retries(1_000)
            .backoff(Duration::from_secs(60), Duration::from_secs(60))
            .flush_timeout(Duration::from_secs(200))
            .build(sink.clone())
            .unwrap();
        buffer.insert(7).await.unwrap();
        buffer.request_flush();
        sink.attempted(1).await;
        let before = Instant::now();
        let summary = buffer.close_within(Duration::from_secs(3)).await;
        assert!(
            before.elapsed() < Duration::from_millis(3_100),
            "{:?}",
            before.elapsed()
        );
        assert_eq!(summary.undelivered, [7]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_close_can_bring_the_deadline_forward() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder()
        .flush_timeout(Duration::from_secs(900))
        .build(sink)
        .unwrap();
    buffer.insert(7).await.unwrap();
    let before = Instant::now();
    let patient = buffer.close_within(Duration::from_secs(800));
    let impatient = buffer.close_within(Duration::from_secs(2));
    let (patient, impatient) = tokio::join!(patient, impatient);
    assert!(before.elapsed() < Duration::from_secs(3));
    assert_eq!(patient.undelivered.len() + impatient.undelivered.len(), 1);
    assert_eq!(patient.ledger.returned.max(impatient.ledger.returned), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_cancelled_close_would_have_returned_is_dropped_and_counted() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder().partitions(1).build(sink).unwrap();
    buffer.insert(7).await.unwrap();
    let cancelled = timeout(
        Duration::from_secs(1),
        buffer.close_within(Duration::from_secs(3)),
    )
    .await;
    assert!(cancelled.is_err());
    let summary = buffer.close().await;
    // The second close waits for the same drain, so it gets the item.
    assert_eq!(summary.undelivered, [7]);

    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder().partitions(1).build(sink).unwrap();
    buffer.insert(7).await.unwrap();
    let cancelled = timeout(
        Duration::from_secs(1),
        buffer.close_within(Duration::from_secs(3)),
    )
    .await;
    assert!(cancelled.is_err());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::DrainTimeout), 1);
    assert_eq!((ledger.accepted, ledger.pending), (1, 0));
    assert!(buffer.close().await.undelivered.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flush_during_a_drain_that_runs_out_of_time_returns_and_counts_what_is_returned() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder().partitions(1).build(sink).unwrap();
    buffer.insert(7).await.unwrap();
    let (report, summary) = tokio::join!(buffer.flush(), buffer.close_within(Duration::from_secs(3)));
    assert_eq!(summary.undelivered, [7]);
    assert_eq!(
        (report.delivered, report.dropped.total() + report.returned),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_drains_while_the_runtime_lives() {
    let sink = ScriptedSink::new([Reply::Transient]);
    let buffer = Buffer::builder()
        .partitions(2)
        .batch_size(10)
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..25).collect()).await.unwrap();
    let clone = buffer.clone();
    drop(buffer);
    clone.insert(25).await.unwrap();
    drop(clone);
    while sink.closed() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut delivered = sink.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..26).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn last_items_join_the_drain_beyond_the_capacity() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(2)
        .batch_size(2)
        .capacity(4)
        .last_items(|| (100..150).collect())
        .build(sink.clone())
        .unwrap();
    buffer.insert(1).await.unwrap();
    let summary = buffer.close().await;
    assert_eq!((summary.ledger.accepted, summary.ledger.delivered), (51, 51));
    assert!(sink.attempts().iter().all(|attempt| attempt.items.len() <= 2));
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_sink_that_does_not_close_well_is_in_the_summary() {
    struct BadGoodbye;
    #[async_trait]
    impl Flush<u32> for BadGoodbye {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Ok(())
        }
        async fn close(&self) -> Result<(), FlushError> {
            panic!("scripted")
        }
    }
    let buffer = Buffer::builder().build(BadGoodbye).unwrap();
    buffer.insert(1).await.unwrap();
    let summary = buffer.close().await;
    assert_eq!(summary.ledger.delivered, 1);
    let error = summary.sink_error.expect("the panic is reported");
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("scripted")
    );
}

/// The drain may have hours for that.
#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_a_sink_that_closes_slowly() {
    struct Slow;

    #[async_trait]
    impl Flush<u32> for Slow {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Ok(())
        }

        async fn close(&self) -> Result<(), FlushError> {
            tokio::time::sleep(Duration::from_secs(600)).await;
            Ok(())
        }
    }

    let builder = Buffer::builder().flush_timeout(Duration::from_secs(3_600));
    let buffer = builder.build(Slow).unwrap();
    buffer.insert(1).await.unwrap();
    let mut close = tokio_test::task::spawn(buffer.close_within(Duration::from_secs(3_600)));
    assert!(close.poll().is_pending());
    while buffer.ledger().pending > 0 {
        tokio::task::yield_now().await;
    }
    let report = timeout(Duration::from_secs(1), buffer.flush()).await;
    let report = report.expect("all is settled");
    assert_eq!((report.pending, report.returned), (0, 0));
    assert!(close.poll().is_pending());
    let _ = close.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_the_end_sees_nothing_pending() {
    for _ in 0..300 {
        let sink = ScriptedSink::new(vec![Reply::Never; 4]);
        let buffer = Buffer::builder().partitions(2).batch_size(1).build(sink).unwrap();
        buffer.insert_batch(&mut vec![1, 2, 3]).await.unwrap();
        let limit = Duration::from_millis(1);
        let flush = tokio::spawn({
            let buffer = buffer.clone();
            async move { (buffer.flush().await, buffer.ledger()) }
        });
        let (one, other) = tokio::join!(buffer.close_within(limit), buffer.close_within(limit));
        for summary in [&one, &other] {
            let ledger = summary.ledger;
            assert_eq!((ledger.accepted, ledger.pending), (3, 0), "{ledger:?}");
        }
        assert_eq!(
            one.undelivered.len() + other.undelivered.len(),
            one.ledger.returned as usize
        );
        let (_, after_flush) = flush.await.unwrap();
        assert_eq!(after_flush.pending, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_with_a_limit_says_in_an_outage_what_is_still_pending() {
    let sink = ScriptedSink::new([
        Reply::Ok,
        Reply::RetryAfter(Duration::from_secs(60), FlushErrorKind::Transient),
    ]);
    let buffer = Buffer::builder().partitions(1).batch_size(2).build(sink).unwrap();
    buffer.insert_batch(&mut (0..5).collect()).await.unwrap();
    let begin = Instant::now();
    let report = buffer.flush_within(Duration::from_secs(5)).await;
    assert!(begin.elapsed() < Duration::from_secs(6));
    assert_eq!((report.delivered, report.pending), (2, 3));
    let report = buffer.flush_within(Duration::from_secs(500)).await;
    assert_eq!((report.delivered, report.pending), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_weak_handle_does_not_keep_the_buffer_open() {
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder().build(sink.clone()).unwrap();
    let weak = buffer.downgrade();
    let upgraded = weak.upgrade().expect("a handle is there");
    upgraded.insert(1).await.unwrap();
    drop(upgraded);
    assert!(!buffer.is_closed());
    drop(buffer);
    assert!(weak.upgrade().is_none());
    while sink.closed() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sink.delivered(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_a_close_cuts_off_reports_what_was_pending_when_it_was_asked_for() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder().partitions(1).batch_size(2).build(sink).unwrap();
    buffer.insert_batch(&mut vec![0, 1, 2]).await.unwrap();
    let mut flush = tokio_test::task::spawn(buffer.flush());
    assert!(flush.poll().is_pending());
    buffer.insert_batch(&mut (3..10).collect()).await.unwrap();
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!((summary.ledger.returned, flush.await.returned), (10, 3));
}

/// Fails when a close that begins in the midst of an attempt leaves the delays after it as long as they were.
#[tokio::test(start_paused = true)]
async fn a_close_during_an_attempt_shortens_the_delay_after_it() {
    const MINUTE: Duration = Duration::from_secs(60);
    const MOMENT: Duration = Duration::from_millis(100);
    // What the batch waits for by itself, and what all batches wait for once an outage has lasted.
    for (failure, attempts, first) in [(Reply::Transient, 1, MINUTE), (Reply::Unavailable, 15, MOMENT)] {
        // A delay may be drawn as short as nothing, but not so often.
        for _ in 0..10 {
            let is_out = Arc::new(AtomicBool::new(true));
            let (out, failure) = (Arc::clone(&is_out), failure.clone());
            // Relaxed: set and read on one thread.
            let sink = ScriptedSink::answering(move |_| match out.load(Relaxed) {
                true => Reply::after(Duration::from_secs(3), failure.clone()),
                false => Reply::Ok,
            });
            let builder = Buffer::builder().partitions(1).batch_size(1);
            let buffer = builder.backoff(first, MINUTE).build(sink.clone()).unwrap();
            buffer.insert(7).await.unwrap();
            sink.attempted(attempts).await;
            is_out.store(false, Relaxed);
            let summary = buffer.close_within(Duration::from_secs(10)).await;
            assert_eq!(summary.ledger.delivered, 1);
        }
    }
}
