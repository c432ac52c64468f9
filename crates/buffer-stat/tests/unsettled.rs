//! How much is on its way while the sink does not settle it: one batch for each partition, and the rest goes on summing.

use std::collections::HashMap;
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_stat::{Count, StatBuffer};
use tokio::time::sleep;

const WINDOWS: i64 = 20;

/// Fails when a partition takes a second batch because it has room for its counts.
#[tokio::test(start_paused = true)]
async fn a_partition_has_one_batch_that_is_not_settled_and_increments_go_on() {
    let (sink, gate) = ScriptedSink::<Count<String>>::new([]).gated();
    let stats = StatBuffer::builder()
        .partitions(3)
        .batch_size(10)
        .build(sink.clone())
        .unwrap();
    for window in 0..WINDOWS {
        // Two keys of its own, far fewer than a batch may have, and one that all windows have.
        for key in [format!("{window} a"), format!("{window} b"), "all".to_owned()] {
            stats.increment(key.as_str(), 1).unwrap();
        }
        sleep(Duration::from_secs(60)).await;
        let mut batches = HashMap::new();
        for attempt in sink.attempts() {
            let id = *batches.entry(attempt.partition).or_insert(attempt.id);
            assert_eq!(
                id, attempt.id,
                "a second batch in partition {}",
                attempt.partition
            );
        }
        // The first window has three counts, the others have two: `all` is on its way.
        let on_their_way = [3, 5, 7][(window as usize).min(2)];
        assert_eq!(stats.ledger().accepted, on_their_way);
        assert_eq!(stats.outstanding("all"), window + 1);
    }
    gate.open();
    let ledger = stats.close().await.ledger;
    assert_eq!(ledger.accepted, ledger.delivered);
    let mut sums = HashMap::new();
    for count in sink.delivered() {
        *sums.entry(count.key).or_insert(0) += count.delta;
    }
    assert_eq!(sums.remove("all"), Some(WINDOWS));
    assert!(sums.len() == 2 * WINDOWS as usize && sums.values().all(|sum| *sum == 1));
}
