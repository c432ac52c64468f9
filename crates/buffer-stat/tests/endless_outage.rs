//! What counters hold in memory through an endless outage: the keys, and not the windows. Counted, not timed.

use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use peak_alloc::PeakAlloc;
use tokio::time::sleep;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What moves between two looks: the batches in hand, and the room that tables grow by.
const NOISE: usize = 64 * 1024;

/// A sink that is never well again; it keeps nothing of what it is asked.
#[derive(Debug, Clone, Copy)]
enum Outage {
    Transient,
    Uncertain,
    Unavailable,
    Hanging,
}

#[async_trait]
impl Flush<Count<String>> for Outage {
    async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        Err(match self {
            Self::Transient => FlushError::transient("scripted"),
            Self::Uncertain => FlushError::uncertain("scripted"),
            Self::Unavailable => FlushError::unavailable("scripted"),
            Self::Hanging => std::future::pending().await,
        })
    }
}

/// Fails when an outage keeps every window by itself.
#[tokio::test(start_paused = true)]
async fn an_outage_holds_the_keys_and_not_the_windows() {
    for outage in [
        Outage::Transient,
        Outage::Uncertain,
        Outage::Unavailable,
        Outage::Hanging,
    ] {
        let stats = StatBuffer::builder()
            .partitions(2)
            .batch_size(100)
            .build(outage)
            .unwrap();
        let mut after_a_while = 0;
        for hour in 0..40 {
            for key in 0..1_000 {
                stats.increment(format!("key {key}").as_str(), 1).unwrap();
            }
            sleep(Duration::from_secs(600)).await;
            match hour {
                0..10 => after_a_while = HEAP.current_usage().max(after_a_while),
                _ => assert!(HEAP.current_usage() <= after_a_while + NOISE),
            }
        }
        for key in 0..1_000 {
            assert_eq!(stats.outstanding(format!("key {key}").as_str()), 40);
        }
        let returned = stats.close_within(Duration::ZERO).await.undelivered;
        assert_eq!(returned.iter().map(|count| count.delta).sum::<i64>(), 40_000);
    }
}
