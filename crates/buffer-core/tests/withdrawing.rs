//! Sinks that take the items of a batch back for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::testing::{ScriptedSink, TestBatch};
use buffer_core::{
    Batch, Buffer, DropReason, Flush, FlushError, FlushReport, InsertAndWaitError, NotDelivered, Outcome,
    Routing, async_trait,
};
use parking_lot::Mutex;

/// What a sink does after it withdrew the items.
#[derive(Debug, Clone, Copy)]
enum Then {
    Ok,
    Transient,
    Unavailable,
    Permanent,
    Divisible,
    Hang,
    Panic,
    /// Confirms the first, rejects the second, fails.
    MarkThenFail,
}

struct Withdrawer {
    then: Then,
    withdrawn: Arc<Mutex<Vec<u32>>>,
}

#[async_trait]
impl Flush<u32> for Withdrawer {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        self.withdrawn.lock().extend(batch.withdraw());
        assert!(batch.is_empty() && batch.withdraw().is_empty());
        match self.then {
            Then::Ok => Ok(()),
            Then::Transient => Err(FlushError::transient("scripted")),
            Then::Unavailable => Err(FlushError::unavailable("scripted")),
            Then::Permanent => Err(FlushError::permanent("scripted")),
            Then::Divisible => Err(FlushError::divisible("scripted")),
            Then::Hang => std::future::pending().await,
            Then::Panic => panic!("scripted"),
            Then::MarkThenFail => {
                batch.deliver(0..1);
                batch.reject(1, "scripted");
                Err(FlushError::transient("scripted"))
            }
        }
    }
}

/// Flushes three items; returns the report, the attempts and what the hook saw.
async fn flush_three(then: Then) -> (FlushReport, usize, Vec<(Outcome, usize, usize)>) {
    let (withdrawn, seen) = (Arc::default(), Arc::new(Mutex::new(Vec::new())));
    let cemetery = ScriptedSink::new([]);
    let sink = Withdrawer {
        then,
        withdrawn: Arc::clone(&withdrawn),
    };
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(3)
        .capacity(3)
        .weigh(|_: &u32| 1)
        .dead_letters(cemetery.clone())
        .on_outcome({
            let seen = Arc::clone(&seen);
            move |settled| {
                seen.lock()
                    .push((settled.outcome, settled.count, settled.items.len()))
            }
        })
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![7, 8, 9]).await.unwrap();
    let report = buffer.flush().await;
    assert_eq!(buffer.size(), Default::default(), "{then:?}");
    assert!(buffer.try_insert(10).is_ok(), "there is room again");
    assert!(cemetery.attempts().is_empty(), "there is nothing to bury");
    let attempts = withdrawn.lock().len() / 3;
    let seen = seen.lock().clone();
    let ledger = buffer.close().await.ledger;
    assert_eq!(
        ledger.accepted,
        ledger.delivered + ledger.dropped.total() + ledger.returned
    );
    (report, attempts, seen)
}

#[tokio::test(start_paused = true)]
async fn items_that_were_withdrawn_are_returned_whatever_the_attempt_ends_in() {
    for then in [
        Then::Ok,
        Then::Transient,
        Then::Unavailable,
        Then::Permanent,
        Then::Divisible,
        Then::Hang,
        Then::Panic,
    ] {
        let (report, attempts, seen) = flush_three(then).await;
        assert_eq!((report.returned, attempts), (3, 1), "{then:?}");
        assert_eq!((report.delivered, report.dropped.total()), (0, 0), "{then:?}");
        assert_eq!(seen, [(Outcome::Returned, 3, 0)], "{then:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn marks_on_items_that_were_withdrawn_count() {
    let (report, attempts, _) = flush_three(Then::MarkThenFail).await;
    assert_eq!((report.delivered, report.returned, attempts), (1, 1, 1));
    assert_eq!(report.dropped.count(DropReason::Rejected), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_withdrawn_when_a_deadline_cuts_the_sink_off_is_not_returned_twice() {
    let withdrawn = Arc::new(Mutex::new(Vec::new()));
    let sink = Withdrawer {
        then: Then::Hang,
        withdrawn: Arc::clone(&withdrawn),
    };
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .capacity(2)
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![7, 8]).await.unwrap();
    tokio::task::yield_now().await;
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!((&withdrawn.lock()[..], summary.undelivered), (&[7][..], vec![8]));
    assert_eq!(summary.ledger.returned, 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_item_that_was_withdrawn_has_its_answer() {
    for then in [Then::Ok, Then::Transient, Then::Hang] {
        let withdrawn = Arc::default();
        let buffer = Buffer::builder().build(Withdrawer { then, withdrawn }).unwrap();
        let answer = buffer.insert_and_wait(7).await;
        let withdrawn = matches!(
            answer,
            Err(InsertAndWaitError::NotDelivered(NotDelivered::Withdrawn))
        );
        assert!(withdrawn, "{then:?}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_batch_tells_what_was_withdrawn_from_what_was_taken() {
    for (then, marked) in [(Then::Ok, 0), (Then::Transient, 0), (Then::MarkThenFail, 2)] {
        let sink = Withdrawer {
            then,
            withdrawn: Arc::default(),
        };
        let mut batch = TestBatch::new([7, 8, 9]);
        let flushed = batch.flush(&sink).await;
        assert_eq!((flushed.withdrawn, flushed.taken), (3 - marked, 0), "{then:?}");
        assert!(batch.is_empty() && flushed.delivered.is_empty());
    }
}

/// Is down, and withdraws what is too old to be of use.
struct Gauges {
    withdraws: bool,
    writes: Arc<AtomicUsize>,
}

#[async_trait]
impl Flush<u32> for Gauges {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        if self.withdraws && batch.age() > Duration::from_secs(60) {
            drop(batch.withdraw());
            return Ok(());
        }
        // Relaxed: read on the same thread.
        self.writes.fetch_add(1, Ordering::Relaxed);
        Err(FlushError::unavailable("scripted"))
    }
}

async fn writes_in_an_hour_of_outage(withdraws: bool) -> usize {
    let writes = Arc::new(AtomicUsize::new(0));
    let gauges = Gauges {
        withdraws,
        writes: Arc::clone(&writes),
    };
    let builder = Buffer::builder().partitions(4).batch_size(1).capacity(10_000);
    let buffer = builder.routing(Routing::PerCall).build(gauges).unwrap();
    for second in 0..3_600 {
        buffer.try_insert(second).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    writes.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_withdraws_in_an_outage_is_not_taken_for_one_that_is_back() {
    let without = writes_in_an_hour_of_outage(false).await;
    assert!(writes_in_an_hour_of_outage(true).await <= 2 * without);
}
