//! `insert_and_wait` answers with the outcome of the very item, and never sits out the interval; a receipt does.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{
    Buffer, DropReason, FlushError, FlushErrorKind, InsertAndWaitError, NotDelivered, Trigger,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

type Answer = Result<(), InsertAndWaitError<u32>>;

fn buffer(sink: &ScriptedSink<u32>) -> Buffer<u32> {
    let builder = Buffer::builder().partitions(1).batch_size(10).retries(1);
    let long = Duration::from_secs(3_600);
    builder.flush_interval(long).build(sink.clone()).unwrap()
}

fn wait_for(buffer: &Buffer<u32>, items: impl Iterator<Item = u32>) -> Vec<JoinHandle<Answer>> {
    let wait = |item| {
        let buffer = buffer.clone();
        tokio::spawn(async move { buffer.insert_and_wait(item).await })
    };
    items.map(wait).collect()
}

async fn answers(waiting: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for one in waiting {
        answers.push(one.await.unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_alone_is_answered_at_once() {
    let sink = ScriptedSink::new([]);
    let buffer = buffer(&sink);
    let begin = Instant::now();
    buffer.insert_and_wait(1).await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!(sink.attempts()[0].trigger, Trigger::Request);
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_takes_along_what_waited_for_the_interval() {
    let sink = ScriptedSink::new([]);
    let buffer = buffer(&sink);
    let begin = Instant::now();
    buffer.try_insert(1).unwrap();
    // The worker goes to sleep until the interval is over.
    tokio::task::yield_now().await;
    buffer.insert_and_wait(2).await.unwrap();
    assert_eq!((sink.delivered(), begin.elapsed()), (vec![1, 2], Duration::ZERO));
}

/// On one thread of a runtime that runs whoever was woken last first: the worker comes right behind the task that woke it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn those_who_are_about_to_insert_share_the_batch_of_the_first() {
    let sink = ScriptedSink::new([]);
    let buffer = buffer(&sink);
    let all = tokio::spawn(async move { answers(wait_for(&buffer, 0..9)).await });
    assert!(all.await.unwrap().iter().all(Result::is_ok));
    assert_eq!(sink.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn those_who_come_while_a_flush_is_in_flight_share_the_next_batch() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = buffer(&sink);
    let mut waiting = wait_for(&buffer, 0..1);
    // The worker takes the first one before the others come.
    sink.attempted(1).await;
    waiting.extend(wait_for(&buffer, 1..9));
    while buffer.ledger().accepted < 9 {
        tokio::task::yield_now().await;
    }
    gate.open();
    assert!(answers(waiting).await.iter().all(Result::is_ok));
    let batches: Vec<_> = sink.attempts().into_iter().map(|attempt| attempt.items).collect();
    assert_eq!(batches, [vec![0], (1..9).collect::<Vec<_>>()]);
}

#[tokio::test(start_paused = true)]
async fn each_learns_what_became_of_its_own_item() {
    let rejected = Err(Some(DropReason::Rejected));
    let exhausted = Err(Some(DropReason::RetriesExhausted));
    let permanent = Err(Some(DropReason::Permanent));
    let cases = [
        (vec![Reply::Transient], [Ok(()), Ok(()), Ok(())]),
        (vec![Reply::Permanent], [permanent; 3]),
        (vec![Reply::reject(1, Reply::Ok)], [Ok(()), rejected, Ok(())]),
        (
            vec![
                Reply::deliver(0..1, Reply::Transient),
                Reply::reject(0, Reply::Ok),
            ],
            [Ok(()), rejected, Ok(())],
        ),
        (
            vec![Reply::reject(2, Reply::Transient), Reply::Transient],
            [exhausted, exhausted, rejected],
        ),
        (
            vec![Reply::deliver(0..2, Reply::Never), Reply::Panic, Reply::Panic],
            [Ok(()), Ok(()), exhausted],
        ),
    ];
    for (script, expected) in cases {
        // The first batch keeps the worker busy until all three wait.
        let (sink, gate) = ScriptedSink::new(std::iter::once(Reply::Ok).chain(script.clone())).gated();
        let buffer = buffer(&sink);
        buffer.insert(9).await.unwrap();
        buffer.request_flush();
        sink.attempted(1).await;
        let waiting = wait_for(&buffer, 0..3);
        while buffer.ledger().accepted < 4 {
            tokio::task::yield_now().await;
        }
        gate.open();
        let reason = |answer: Answer| match answer {
            Err(InsertAndWaitError::NotDelivered(why)) => Err(why.drop_reason()),
            other => {
                other.unwrap();
                Ok(())
            }
        };
        let learned: Vec<_> = answers(waiting).await.into_iter().map(reason).collect();
        assert_eq!(learned, expected, "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_buffer_hands_the_item_back_and_a_drain_that_runs_out_of_time_says_so() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = buffer(&sink);
    let waiting = wait_for(&buffer, 0..1);
    sink.attempted(1).await;
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!(summary.undelivered, [0]);
    assert!(matches!(
        answers(waiting).await[..],
        [Err(InsertAndWaitError::NotDelivered(NotDelivered::LeftOver))]
    ));
    let refused = buffer.insert_and_wait(1).await;
    assert!(matches!(refused, Err(InsertAndWaitError::Closed(1))));
    assert_eq!(refused.unwrap_err().into_item(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_for_room_first_is_answered_too_and_one_who_gives_up_leaves_the_item_accepted() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .capacity(1)
        .build(sink)
        .unwrap();
    buffer.insert(0).await.unwrap();
    let waiting = wait_for(&buffer, 1..4);
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(buffer.ledger().accepted, 1);
    gate.let_through(1);
    while buffer.ledger().accepted < 2 {
        tokio::task::yield_now().await;
    }
    waiting[0].abort();
    gate.open();
    let mut delivered = 0;
    for one in waiting {
        delivered += usize::from(one.await.is_ok_and(|answer| answer.is_ok()));
    }
    assert_eq!(delivered, 2);
    assert_eq!(buffer.close().await.ledger.delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn an_item_with_a_receipt_leaves_when_its_batch_does() {
    let sink = ScriptedSink::new([]);
    let buffer = buffer(&sink);
    let begin = Instant::now();
    let mut receipts = vec![buffer.insert_with_receipt(0).await.unwrap()];
    // The worker goes to sleep until the interval is over, and is not woken by the next one.
    tokio::task::yield_now().await;
    receipts.push(buffer.try_insert_with_receipt(1).unwrap());
    for receipt in receipts {
        receipt.await.unwrap();
    }
    // The first batch is due at a random moment of its interval.
    assert!(begin.elapsed() > Duration::ZERO);
    assert_eq!(sink.attempts()[0].trigger, Trigger::Interval);
    // Unless somebody comes who does not sit out the interval.
    let (begin, receipt) = (Instant::now(), buffer.insert_with_receipt(2).await.unwrap());
    buffer.insert_and_wait(3).await.unwrap();
    receipt.await.unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_can_be_asked_again_and_dropping_it_costs_nothing() {
    let (sink, gate) = ScriptedSink::new([Reply::reject(0, Reply::Ok)]).gated();
    let buffer = buffer(&sink);
    let mut first = buffer.insert_with_receipt(0).await.unwrap();
    let mut second = buffer.insert_with_receipt(1).await.unwrap();
    drop(buffer.insert_with_receipt(2).await.unwrap());
    buffer.request_flush();
    sink.attempted(1).await;
    let limit = Duration::from_secs(1);
    assert!(timeout(limit, &mut first).await.is_err());
    assert!(timeout(limit, &mut second).await.is_err());
    gate.open();
    let why = first.await.unwrap_err();
    assert_eq!(why.drop_reason(), Some(DropReason::Rejected));
    assert_eq!(why.source().unwrap().to_string(), "scripted");
    second.await.unwrap();
    assert_eq!(buffer.close().await.ledger.delivered, 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_drain_leaves_over_is_told_by_its_receipt() {
    let buffer = buffer(&ScriptedSink::new([Reply::Never]));
    let receipt = buffer.insert_with_receipt(0).await.unwrap();
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!(summary.undelivered, [0]);
    assert!(matches!(receipt.await, Err(NotDelivered::LeftOver)));
}

/// Notes what is pending in the moment of the answer.
struct Looks {
    buffer: Buffer<u32>,
    pending: AtomicU64,
}

impl Wake for Looks {
    fn wake(self: Arc<Self>) {
        // Relaxed: the test looks at it on the same thread.
        self.pending
            .store(self.buffer.ledger().pending, Ordering::Relaxed);
    }
}

/// Fails when an item's waiter is answered before the item is counted.
#[tokio::test(start_paused = true)]
async fn whoever_is_answered_finds_the_item_in_the_ledger() {
    for script in [vec![], vec![Reply::Permanent], vec![Reply::reject(0, Reply::Ok)]] {
        let buffer = Buffer::builder()
            .partitions(1)
            .build(ScriptedSink::new(script))
            .unwrap();
        let looks = Arc::new(Looks {
            buffer: buffer.clone(),
            pending: AtomicU64::new(u64::MAX),
        });
        let waker = Waker::from(Arc::clone(&looks));
        let mut waiting = pin!(buffer.insert_and_wait(1));
        assert!(
            waiting
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        buffer.flush().await;
        assert_eq!(looks.pending.load(Ordering::Relaxed), 0);
    }
}

/// Fails when the cause shows as the pointer that it is shared by.
#[tokio::test(start_paused = true)]
async fn the_sink_s_own_error_is_found_behind_an_answer() {
    let sink = ScriptedSink::new([Reply::Permanent]);
    let buffer = Buffer::builder().build(sink).unwrap();
    let error = buffer.insert_and_wait(1).await.unwrap_err();
    let first: &(dyn Error + 'static) = &error;
    let mut causes = std::iter::successors(Some(first), |error| (*error).source());
    let own = causes.find_map(|error| error.downcast_ref::<FlushError>());
    assert_eq!(own.map(FlushError::kind), Some(FlushErrorKind::Permanent));
    let _ = buffer.close().await;
}
