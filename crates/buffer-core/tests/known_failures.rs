//! Ways in which buffers are known to fail, each shown not to happen here; docs/guarantees.md lists them with those that other
//! files show.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, Buffer, Flush, FlushError, FlushErrorKind, Trigger, TryInsertError, async_trait};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Takes its time for each attempt, and counts those that run side by side.
#[derive(Default)]
struct Slow {
    running: AtomicUsize,
    most_running: AtomicUsize,
    attempts: AtomicUsize,
}

#[async_trait]
impl Flush<u32> for Slow {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        // Relaxed: all of it is on one thread.
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        sleep(9 * SECOND).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_timer_and_no_request_starts_a_flush_beside_one_that_runs() {
    let sink = Arc::new(Slow::default());
    let builder = Buffer::builder().partitions(1).batch_size(10);
    let buffer = builder
        .flush_interval(SECOND)
        .flush_timeout(10 * SECOND)
        .build(Arc::clone(&sink))
        .unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|item| {
            let buffer = buffer.clone();
            tokio::spawn(async move { buffer.insert_and_wait(item).await })
        })
        .collect();
    for item in 20..60 {
        buffer.insert(item).await.unwrap();
        buffer.request_flush();
        buffer.flush_within(Duration::from_millis(300)).await;
    }
    for one in waiting {
        one.await.unwrap().unwrap();
    }
    let ledger = buffer.close_within(1_000 * SECOND).await.ledger;
    // Each attempt ends shortly before its own limit: that of the one before must not reach into it.
    assert_eq!((ledger.delivered, ledger.retried), (60, 0));
    assert_eq!(sink.most_running.load(Ordering::Relaxed), 1);
    assert!(sink.attempts.load(Ordering::Relaxed) > 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_an_outage_waits_for_days_and_is_answered_after_it() {
    let begin = Instant::now();
    let well_again = begin + 3 * 24 * 3_600 * SECOND;
    struct Out(Instant);
    #[async_trait]
    impl Flush<u32> for Out {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            match Instant::now() < self.0 {
                true => Err(FlushError::unavailable("no connection")),
                false => Ok(()),
            }
        }
    }
    let builder = Buffer::builder().partitions(1).batch_size(2).capacity(4);
    let buffer = builder.build(Out(well_again)).unwrap();
    buffer.insert_batch(&mut (0..4).collect()).await.unwrap();
    let report = async {
        let report = buffer.flush().await;
        assert!(
            Instant::now() >= well_again,
            "a flush is no answer while nothing is delivered"
        );
        report
    };
    let (mut nine, ten) = ((0..9).collect(), 10);
    let (report, inserted, many, waited) = tokio::join!(
        report,
        buffer.insert(ten),
        buffer.insert_batch(&mut nine),
        buffer.insert_and_wait(ten)
    );
    assert!(inserted.is_ok() && many.is_ok() && waited.is_ok());
    assert_eq!((report.delivered, report.dropped.total()), (4, 0));
    assert_eq!(buffer.close().await.ledger.delivered, 15);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_next_attempt_counts_against_the_capacity() {
    for reply in [
        Reply::Unavailable,
        Reply::Transient,
        Reply::Never,
        Reply::RetryAfter(40 * SECOND, FlushErrorKind::Transient),
    ] {
        let sink = ScriptedSink::new(vec![reply; 10_000]);
        let builder = Buffer::builder().partitions(1).batch_size(2).capacity(6);
        let buffer = builder.retries(10_000).build(sink.clone()).unwrap();
        for item in 0..6 {
            buffer.try_insert(item).unwrap();
        }
        for _ in 0..1_000 {
            sleep(SECOND).await;
            assert_eq!(buffer.try_insert(6), Err(TryInsertError::Full(6)));
        }
        assert!(sink.attempts().len() > 10, "{} attempts", sink.attempts().len());
        assert_eq!(buffer.close_within(SECOND).await.undelivered.len(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_tried_again_though_nothing_new_arrives() {
    for reply in [Reply::Transient, Reply::Unavailable, Reply::Never, Reply::Panic] {
        let sink = ScriptedSink::new(vec![reply; 4]);
        let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
        buffer.insert(1).await.unwrap();
        // Nobody inserts, asks or waits.
        sleep(600 * SECOND).await;
        assert_eq!(sink.delivered(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_counts_as_delivered_before_the_sink_has_answered() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let told = Arc::new(AtomicUsize::new(0));
    let hook = {
        let told = Arc::clone(&told);
        move |settled: &buffer_core::Settled<'_, u32>| {
            told.fetch_add(settled.items.len(), Ordering::Relaxed);
        }
    };
    let builder = Buffer::builder().partitions(1).batch_size(3).on_outcome(hook);
    let buffer = builder.flush_timeout(900 * SECOND).build(sink).unwrap();
    buffer.insert_batch(&mut vec![1, 2, 3]).await.unwrap();
    sleep(60 * SECOND).await;
    let ledger = buffer.ledger();
    assert_eq!((ledger.delivered, ledger.pending), (0, 3));
    assert_eq!(told.load(Ordering::Relaxed), 0);
    gate.let_through(1);
    sleep(SECOND).await;
    let ledger = buffer.ledger();
    assert_eq!((ledger.delivered, ledger.pending), (3, 0));
    assert_eq!(told.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn the_interval_of_a_batch_that_was_flushed_on_request_does_not_cut_the_next_one_short() {
    let sink = ScriptedSink::new([]);
    let builder = Buffer::builder().partitions(1).flush_jitter(Duration::ZERO);
    let buffer = builder.flush_interval(10 * SECOND).build(sink.clone()).unwrap();
    buffer.insert(1).await.unwrap();
    sleep(5 * SECOND).await;
    buffer.flush().await;
    sleep(SECOND).await;
    let first_item = Instant::now();
    buffer.insert(2).await.unwrap();
    sleep(20 * SECOND).await;
    let attempts = sink.attempts();
    let triggers: Vec<_> = attempts.iter().map(|attempt| attempt.trigger).collect();
    assert_eq!(triggers, [Trigger::Request, Trigger::Interval]);
    assert!(attempts[1].at >= first_item + 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn one_thread_fills_one_batch_and_not_one_in_each_partition() {
    let sink = ScriptedSink::new([]);
    let builder = Buffer::builder().partitions(8).batch_size(100);
    let buffer = builder.build(sink.clone()).unwrap();
    for item in 0..300 {
        buffer.insert(item).await.unwrap();
    }
    let _ = buffer.close().await;
    let sizes: Vec<_> = sink
        .attempts()
        .iter()
        .map(|attempt| attempt.items.len())
        .collect();
    assert_eq!(sizes, [100, 100, 100]);
}
