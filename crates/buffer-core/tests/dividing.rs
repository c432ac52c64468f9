//! A sink that refuses a batch as a whole: the guilty items are found by halves, and cost themselves alone.

use std::collections::BTreeSet;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, Ledger, async_trait};

/// A sink that refuses every batch with a guilty item in it, and does not say which.
fn strict(guilty: impl IntoIterator<Item = u32>) -> ScriptedSink<u32> {
    let guilty: BTreeSet<u32> = guilty.into_iter().collect();
    ScriptedSink::answering(
        move |batch| match batch.iter().any(|item| guilty.contains(item)) {
            true => Reply::Divisible,
            false => Reply::Ok,
        },
    )
}

const BATCH: u32 = 5_000;
/// The halvings that bring a batch down to one item.
const DEPTH: usize = 13;

/// Flushes a batch with the guilty items in it, and an innocent one after it.
async fn flush_with(guilty: impl IntoIterator<Item = u32>) -> (Ledger, ScriptedSink<u32>) {
    let strict = strict(guilty);
    let builder = Buffer::builder().partitions(1).batch_size(BATCH as usize);
    let buffer = builder.build(strict.clone()).unwrap();
    buffer.insert_batch(&mut (0..2 * BATCH).collect()).await.unwrap();
    let ledger = buffer.close().await.ledger;
    assert_eq!((ledger.accepted, ledger.pending), (u64::from(2 * BATCH), 0));
    (ledger, strict)
}

#[tokio::test(start_paused = true)]
async fn one_guilty_item_costs_itself_wherever_it_stands() {
    for guilty in [0, 1, 2_499, 2_500, 3_333, BATCH - 1] {
        let (ledger, strict) = flush_with([guilty]).await;
        assert_eq!(ledger.dropped.count(DropReason::Rejected), 1);
        assert_eq!(ledger.delivered, u64::from(2 * BATCH) - 1);
        let requests = strict.attempts().len();
        let innocent: Vec<u32> = (0..2 * BATCH).filter(|item| *item != guilty).collect();
        assert_eq!(strict.delivered(), innocent, "in order");
        assert!(requests <= 2 * DEPTH + 2, "{requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn eight_guilty_items_cost_themselves_wherever_they_stand() {
    let clusters: [Vec<u32>; 3] = [
        (0..8).map(|index| index * BATCH / 8 + 300).collect(),
        (2_496..2_504).collect(),
        vec![0, 1, 1_250, 2_499, 2_500, 3_750, 4_998, 4_999],
    ];
    for guilty in clusters {
        let (ledger, strict) = flush_with(guilty.clone()).await;
        assert_eq!(ledger.dropped.count(DropReason::Rejected), 8, "{guilty:?}");
        assert_eq!(ledger.dropped.total(), 8);
        let requests = strict.attempts().len();
        assert!(requests <= 8 * 2 * DEPTH + 2, "{requests} requests");
    }
}

/// Fails when the splits are not counted.
#[tokio::test(start_paused = true)]
async fn the_requests_for_a_batch_full_of_guilty_items_are_bounded_and_the_rest_is_dropped_undivided() {
    let (ledger, strict) = flush_with(0..BATCH).await;
    let requests = strict.attempts().len();
    assert!(requests <= 8 * 2 * DEPTH + 2, "{requests} requests");
    let (rejected, undivided) = (
        ledger.dropped.count(DropReason::Rejected),
        ledger.dropped.count(DropReason::Undivided),
    );
    assert!(rejected > 0 && undivided > 0);
    assert_eq!(rejected + undivided, u64::from(BATCH));
    assert_eq!(ledger.delivered, u64::from(BATCH), "the next batch is delivered");
}

/// Fails when an item is taken for guilty that was refused together with marked ones.
#[tokio::test(start_paused = true)]
async fn what_was_refused_together_with_a_rejected_item_is_tried_alone_before_it_is_judged() {
    /// Names the guilty item and refuses the batch, and then takes the rest.
    struct Names;
    #[async_trait]
    impl Flush<u32> for Names {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            let Some(guilty) = batch.iter().position(|item| *item == 1) else {
                return Ok(());
            };
            batch.reject(guilty, "named");
            Err(FlushError::divisible("refused as a whole"))
        }
    }
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .build(Names)
        .unwrap();
    buffer.insert_batch(&mut vec![0, 1]).await.unwrap();
    let ledger = buffer.close().await.ledger;
    let rejected = ledger.dropped.count(DropReason::Rejected);
    assert_eq!((ledger.delivered, rejected), (1, 1));
}
