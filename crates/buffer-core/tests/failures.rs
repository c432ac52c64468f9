//! What the ledger says when the sink fails, and that the next batch goes through.

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Buffer, DropReason, FlushErrorKind, Routing};

/// A buffer of one partition with batches of ten items.
fn buffer_on(sink: &ScriptedSink<u32>, retries: u32) -> Buffer<u32> {
    Buffer::builder()
        .partitions(1)
        .batch_size(10)
        .retries(retries)
        .build(sink.clone())
        .unwrap()
}

/// Inserts ten items for a first batch and ten for a second, and flushes.
async fn two_batches(buffer: &Buffer<u32>) {
    buffer.insert_batch(&mut (0..20).collect()).await.unwrap();
    buffer.flush().await;
}

const FIRST: std::ops::Range<u32> = 0..10;
const SECOND: std::ops::Range<u32> = 10..20;

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_sink_is_tried_again_and_costs_nothing() {
    let sink = ScriptedSink::new([Reply::Panic]);
    let buffer = buffer_on(&sink, 1);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(
        (ledger.accepted, ledger.delivered, ledger.retried, ledger.pending),
        (20, 20, 10, 0)
    );
    assert_eq!(sink.delivered(), FIRST.chain(SECOND).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_keeps_panicking_costs_the_batch_and_not_the_next() {
    let sink = ScriptedSink::new([Reply::Panic, Reply::Panic, Reply::Panic]);
    let buffer = buffer_on(&sink, 2);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::RetriesExhausted), 10);
    assert_eq!(
        (ledger.accepted, ledger.delivered, ledger.retried, ledger.pending),
        (20, 10, 20, 0)
    );
    assert_eq!(sink.delivered(), SECOND.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_past_the_time_out_is_tried_again_with_the_same_items() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = buffer_on(&sink, 1);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!((ledger.delivered, ledger.retried, ledger.pending), (20, 10, 0));
    let attempts = sink.attempts();
    assert!(
        attempts[1].at - attempts[0].at >= Duration::from_secs(10),
        "the time-out is 10 s"
    );
    assert_eq!(attempts[0].items, attempts[1].items);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_always_hangs_costs_the_batch_and_not_the_next() {
    let sink = ScriptedSink::new([Reply::Never, Reply::Never]);
    let buffer = buffer_on(&sink, 1);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::RetriesExhausted), 10);
    assert_eq!(
        (ledger.delivered, ledger.dropped.total(), ledger.pending),
        (10, 10, 0)
    );
    assert_eq!(sink.delivered(), SECOND.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_permanent_error_drops_the_batch_at_once_and_not_the_next() {
    let sink = ScriptedSink::new([Reply::Permanent]);
    let buffer = buffer_on(&sink, 5);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::Permanent), 10);
    assert_eq!(
        (ledger.accepted, ledger.delivered, ledger.retried, ledger.pending),
        (20, 10, 0, 0)
    );
    assert_eq!(sink.delivered(), SECOND.collect::<Vec<_>>());
    assert_eq!(sink.attempts().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_transient_error_is_tried_as_often_as_retries_says() {
    let sink = ScriptedSink::new([
        Reply::Transient,
        Reply::Uncertain,
        Reply::Transient,
        Reply::Transient,
    ]);
    let buffer = buffer_on(&sink, 3);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::RetriesExhausted), 10);
    assert_eq!((ledger.delivered, ledger.retried), (10, 30));
    assert_eq!(sink.attempts().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_out_holds_the_items_at_no_cost_to_their_retries() {
    let sink = ScriptedSink::new(std::iter::repeat_n(Reply::Unavailable, 200));
    let buffer = buffer_on(&sink, 0);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(
        (ledger.delivered, ledger.dropped.total(), ledger.pending),
        (20, 0, 0)
    );
    assert_eq!(sink.attempts().len(), 202);
}

#[tokio::test(start_paused = true)]
async fn a_requested_delay_is_kept() {
    let sink = ScriptedSink::new([Reply::RetryAfter(
        Duration::from_secs(77),
        FlushErrorKind::Transient,
    )]);
    let buffer = buffer_on(&sink, 1);
    two_batches(&buffer).await;
    let attempts = sink.attempts();
    assert!(attempts[1].at - attempts[0].at >= Duration::from_secs(77));
    assert_eq!(buffer.ledger().delivered, 20);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_item_costs_itself_alone() {
    let sink = ScriptedSink::new([Reply::reject(3, Reply::Ok)]);
    let buffer = buffer_on(&sink, 5);
    two_batches(&buffer).await;
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::Rejected), 1);
    assert_eq!(
        (ledger.delivered, ledger.dropped.total(), ledger.pending),
        (19, 1, 0)
    );
    assert_eq!(
        sink.delivered(),
        (0..20).filter(|item| *item != 3).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_before_an_error_is_not_sent_again_and_the_rest_has_a_new_id() {
    let sink = ScriptedSink::new([
        Reply::deliver(0..4, Reply::Transient),
        Reply::reject(0, Reply::Transient),
    ]);
    let buffer = buffer_on(&sink, 5);
    two_batches(&buffer).await;
    let attempts = sink.attempts();
    assert_eq!(attempts[1].items, [4, 5, 6, 7, 8, 9]);
    assert_eq!(attempts[2].items, [5, 6, 7, 8, 9]);
    assert_eq!(attempts[1].parent, Some(attempts[0].id));
    assert_eq!(attempts[2].parent, Some(attempts[1].id));
    let ledger = buffer.ledger();
    assert_eq!(
        (ledger.delivered, ledger.dropped.count(DropReason::Rejected)),
        (19, 1)
    );
    assert_eq!(
        sink.delivered(),
        (0..20).filter(|item| *item != 4).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_delivered_before_a_time_out_is_not_sent_again_and_the_rest_spends_no_retry() {
    let sink = ScriptedSink::new([Reply::deliver(0..9, Reply::Never)]);
    let buffer = buffer_on(&sink, 0);
    two_batches(&buffer).await;
    assert_eq!(sink.attempts()[1].items, [9]);
    assert_eq!(sink.delivered(), FIRST.chain(SECOND).collect::<Vec<_>>());
    assert_eq!(buffer.ledger().delivered, 20);
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_sink_hangs_does_not_hold_up_the_others() {
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder()
        .partitions(2)
        .batch_size(1)
        .routing(Routing::PerCall)
        .flush_timeout(Duration::from_secs(1_000))
        .build(sink.clone())
        .unwrap();
    for item in 0..2 {
        buffer.try_insert(item).unwrap();
    }
    while buffer.ledger().delivered == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!((buffer.ledger().delivered, buffer.ledger().pending), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_item_whose_destructor_panics_takes_nothing_with_it() {
    #[derive(Clone)]
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("scripted");
            }
        }
    }
    struct Nowhere;
    #[buffer_core::async_trait]
    impl buffer_core::Flush<Explosive> for Nowhere {
        async fn flush(&self, _: &mut buffer_core::Batch<Explosive>) -> Result<(), buffer_core::FlushError> {
            Ok(())
        }
    }
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .build(Nowhere)
        .unwrap();
    for _ in 0..3 {
        buffer
            .insert(Explosive)
            .await
            .unwrap_or_else(|_| unreachable!("the buffer is open"));
    }
    buffer.flush().await;
    assert_eq!(buffer.ledger().delivered, 3);
}
