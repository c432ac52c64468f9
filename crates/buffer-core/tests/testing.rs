//! The kit for tests of one's own: it does to a sink what a buffer would, and a scripted sink does what its script says.

use std::time::Duration;

use buffer_core::testing::{Flushed, Reply, ScriptedSink, TestBatch};
use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, FlushErrorKind, async_trait};
use tokio::time::Instant;

const LONG: Duration = Duration::from_secs(60);

/// Makes one attempt at the items 0 to 3 at a sink that replies so; shows what is left.
async fn flush(reply: Reply) -> (Flushed<u32>, Vec<u32>) {
    let mut batch = TestBatch::new([0, 1, 2, 3]);
    let flushed = batch.flush(&ScriptedSink::new([reply])).await;
    (flushed, batch.to_vec())
}

#[tokio::test(start_paused = true)]
async fn each_error_of_a_script_has_its_kind_and_leaves_every_item() {
    use FlushErrorKind::{Divisible, Permanent, Transient, Unavailable, Uncertain};
    for (reply, kind, delay) in [
        (Reply::Transient, Transient, None),
        (Reply::Uncertain, Uncertain, None),
        (Reply::Unavailable, Unavailable, None),
        (Reply::Divisible, Divisible, None),
        (Reply::Permanent, Permanent, None),
        (Reply::RetryAfter(LONG, Uncertain), Uncertain, Some(LONG)),
        // The time limit is 10 s.
        (Reply::Never, Uncertain, None),
        (Reply::after(LONG, Reply::Ok), Uncertain, None),
    ] {
        let (flushed, left) = flush(reply.clone()).await;
        let error = flushed.error.expect("it fails");
        assert_eq!(
            (error.kind(), error.requested_delay()),
            (kind, delay),
            "{reply:?}"
        );
        assert_eq!((flushed.delivered, left), (vec![], vec![0, 1, 2, 3]), "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_script_marks_items_before_its_end_and_the_rest_follows_the_end() {
    let both = |end| Reply::deliver(1..3, Reply::reject(0, end));
    for (reply, kind, delivered, left) in [
        (both(Reply::Ok), None, vec![1, 2, 3], vec![]),
        (
            both(Reply::Transient),
            Some(FlushErrorKind::Transient),
            vec![1, 2],
            vec![3],
        ),
        (
            both(Reply::Never),
            Some(FlushErrorKind::Uncertain),
            vec![1, 2],
            vec![3],
        ),
    ] {
        let (flushed, still_left) = flush(reply).await;
        assert_eq!(flushed.kind(), kind);
        assert_eq!((&flushed.delivered, still_left), (&delivered, left));
        let rejected: Vec<_> = flushed.rejected.iter().map(|rejected| rejected.item).collect();
        assert_eq!(rejected, [0]);
        assert_eq!(flushed.rejected[0].cause.to_string(), "scripted");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scripted_sink_believes_delivered_what_the_buffer_counts() {
    let sink = ScriptedSink::new([
        Reply::deliver(2..3, Reply::reject(0, Reply::Transient)),
        Reply::deliver(1..2, Reply::Ok),
    ]);
    let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
    buffer.insert_batch(&mut vec![0, 1, 2, 3]).await.unwrap();
    let ledger = buffer.close().await.ledger;
    assert_eq!((ledger.delivered, ledger.dropped.total()), (3, 1));
    assert_eq!(sink.delivered(), [2, 3, 1]);
    assert_eq!(sink.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_at_a_test_batch_are_counted_and_keep_its_id_until_something_is_settled() {
    let sink = ScriptedSink::new([
        Reply::Transient,
        Reply::deliver(0..1, Reply::Transient),
        Reply::Ok,
    ]);
    let mut batch = TestBatch::new([0, 1]).after_attempts(4);
    for _ in 0..3 {
        batch.flush(&sink).await;
    }
    assert!(batch.is_empty());
    let attempts = sink.attempts();
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [5, 6, 7]);
    assert_eq!(attempts[0].id, attempts[1].id);
    assert_eq!(attempts[2].parent, Some(attempts[0].id));
}

#[tokio::test(start_paused = true)]
async fn marks_of_an_attempt_that_the_test_cuts_off_are_told_by_the_next() {
    let sink = ScriptedSink::new([Reply::deliver(0..1, Reply::Never), Reply::Transient]);
    let mut batch = TestBatch::new([0, 1]);
    let cut_off = tokio::time::timeout(Duration::from_secs(1), batch.flush(&sink)).await;
    assert!(cut_off.is_err());
    assert_eq!(batch.flush(&sink).await.delivered, [0]);
    assert_eq!(batch[..], [1]);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "scripted")]
async fn a_panic_of_the_sink_is_the_test_s() {
    flush(Reply::Panic).await;
}

#[tokio::test(start_paused = true)]
async fn dead_letters_carry_their_reason_and_cause() {
    let cemetery = ScriptedSink::new([]);
    let error = FlushError::permanent("no such table");
    let text = format!("{error}: no such table");
    let mut dead = TestBatch::new([1, 2]).dropped(DropReason::Permanent, error);
    assert_eq!(dead.flush(&cemetery).await.delivered, [1, 2]);
    let [attempt] = &cemetery.attempts()[..] else {
        panic!("one attempt")
    };
    assert_eq!(attempt.drop_reason, Some(DropReason::Permanent));
    assert_eq!(attempt.drop_causes, [text.clone(), text]);
}

#[tokio::test(start_paused = true)]
async fn a_gate_lets_as_many_attempts_through_as_the_test_says_and_then_all() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(3).batch_size(1).capacity(9);
    let buffer = builder.flush_timeout(LONG * 60).build(sink.clone()).unwrap();
    for item in 0..9 {
        buffer.try_insert(item).unwrap();
    }
    sink.attempted(3).await;
    assert_eq!(sink.delivered(), []);
    gate.let_through(2);
    // As two are through, two more have come.
    sink.attempted(5).await;
    assert_eq!((sink.attempts().len(), sink.delivered().len()), (5, 2));
    gate.open();
    assert_eq!(buffer.close().await.ledger.delivered, 9);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_attempt_lets_the_clock_run_to_it() {
    let sink = ScriptedSink::new([Reply::Transient]);
    let builder = Buffer::builder().partitions(1).flush_jitter(Duration::ZERO);
    let buffer = builder.flush_interval(LONG).build(sink.clone()).unwrap();
    let began = Instant::now();
    buffer.insert(1).await.unwrap();
    sink.attempted(1).await;
    assert_eq!(sink.attempts()[0].at - began, LONG);
    sink.attempted(2).await;
    assert_eq!(sink.attempts()[1].number, 2);
}

#[tokio::test(start_paused = true)]
async fn a_test_batch_has_the_time_limit_that_it_was_given() {
    struct Slow;
    #[async_trait]
    impl Flush<u32> for Slow {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            tokio::time::sleep(LONG).await;
            Ok(())
        }
    }
    let mut batch = TestBatch::new([1]).flush_timeout(LONG - Duration::from_secs(1));
    assert_eq!(batch.flush(&Slow).await.kind(), Some(FlushErrorKind::Uncertain));
    let mut batch = TestBatch::new([1]).flush_timeout(LONG + Duration::from_secs(1));
    assert_eq!(batch.flush(&Slow).await.delivered, [1]);
}
