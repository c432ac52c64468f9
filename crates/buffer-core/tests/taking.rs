//! Sinks that take the items out of their batch.

use std::sync::Arc;
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, Ledger, Outcome, async_trait};
use parking_lot::Mutex;

/// What a sink does after it took the items.
#[derive(Debug, Clone, Copy)]
enum Then {
    Ok,
    Transient,
    Permanent,
    Divisible,
    Hang,
    Panic,
    /// Confirms the first, rejects the second, fails.
    MarkThenFail,
}

struct Taker {
    then: Then,
    taken: Arc<Mutex<Vec<u32>>>,
}

#[async_trait]
impl Flush<u32> for Taker {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        self.taken.lock().extend(batch.take());
        assert!(batch.is_empty() && batch.take().is_empty());
        match self.then {
            Then::Ok => Ok(()),
            Then::Transient => Err(FlushError::transient("scripted")),
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

/// Flushes three items; returns the ledger, the attempts and what the hook saw.
async fn flush_three(then: Then) -> (Ledger, usize, Vec<(Outcome, usize)>) {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let cemetery = ScriptedSink::new([]);
    let sink = Taker {
        then,
        taken: Arc::clone(&taken),
    };
    let buffer = Buffer::builder()
        .partitions(1)
        .weigh(|_: &u32| 1)
        .dead_letters(cemetery.clone())
        .on_outcome({
            let seen = Arc::clone(&seen);
            move |settled| seen.lock().push((settled.outcome, settled.count))
        })
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![7, 8, 9]).await.unwrap();
    buffer.flush().await;
    assert_eq!(buffer.size(), Default::default(), "{then:?}");
    assert!(cemetery.delivered().is_empty(), "there is nothing to bury");
    let attempts = taken.lock().len() / 3;
    let seen = seen.lock().clone();
    (buffer.close().await.ledger, attempts, seen)
}

#[tokio::test(start_paused = true)]
async fn items_that_were_taken_are_delivered_by_an_ok() {
    let (ledger, attempts, seen) = flush_three(Then::Ok).await;
    assert_eq!((ledger.delivered, attempts), (3, 1));
    assert_eq!(seen, [(Outcome::Delivered, 3)]);
}

#[tokio::test(start_paused = true)]
async fn items_that_were_taken_and_not_confirmed_are_dropped_and_counted_and_not_tried_again() {
    for then in [
        Then::Transient,
        Then::Permanent,
        Then::Divisible,
        Then::Hang,
        Then::Panic,
    ] {
        let (ledger, attempts, seen) = flush_three(then).await;
        assert_eq!(ledger.dropped.count(DropReason::Unconfirmed), 3, "{then:?}");
        assert_eq!((ledger.delivered, attempts), (0, 1), "{then:?}");
        assert_eq!(seen, [(Outcome::Dropped(DropReason::Unconfirmed), 3)]);
    }
}

#[tokio::test(start_paused = true)]
async fn marks_on_items_that_were_taken_count() {
    let (ledger, attempts, _) = flush_three(Then::MarkThenFail).await;
    assert_eq!((ledger.delivered, attempts), (1, 1));
    assert_eq!(ledger.dropped.count(DropReason::Rejected), 1);
    assert_eq!(ledger.dropped.count(DropReason::Unconfirmed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cuts_a_taker_off_leaves_nothing_to_return() {
    let sink = Taker {
        then: Then::Hang,
        taken: Arc::default(),
    };
    let buffer = Buffer::builder().partitions(1).build(sink).unwrap();
    buffer.insert(7).await.unwrap();
    buffer.request_flush();
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert!(summary.undelivered.is_empty());
    assert_eq!(summary.ledger.dropped.count(DropReason::Unconfirmed), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_item_that_was_taken_has_its_answer() {
    for (then, expected) in [
        (Then::Ok, Ok(())),
        (Then::Panic, Err(Some(DropReason::Unconfirmed))),
    ] {
        let taken = Arc::default();
        let buffer = Buffer::builder().build(Taker { then, taken }).unwrap();
        let answer = buffer.insert_with_receipt(7).await.unwrap().await;
        assert_eq!(answer.map_err(|why| why.drop_reason()), expected);
    }
}
