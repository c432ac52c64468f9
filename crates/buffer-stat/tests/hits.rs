//! What an increment of a key that is there already does not do: it allocates nothing. Counted, not timed.

use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use peak_alloc::PeakAlloc;
use tokio::time::sleep;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What the test runner's own threads may allocate at one moment and not at another; less than so many keys.
const NOISE: usize = 16 * 1024;
const KEYS: usize = 2_000;

struct Nowhere;

#[async_trait]
impl Flush<Count<String>> for Nowhere {
    async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        Ok(())
    }
}

/// How far the heap has grown at any moment while `run` ran.
fn growth(run: impl FnOnce()) -> usize {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    run();
    HEAP.peak_usage() - before
}

/// Fails when a hit clones its key, though it drops it at once; and when a busy key loses its place with the window.
#[tokio::test(start_paused = true)]
async fn a_hit_allocates_nothing_in_any_window() {
    let stats = StatBuffer::builder().partitions(2).build(Nowhere).unwrap();
    let keys: Vec<String> = (0..KEYS)
        .map(|key| format!("views/page/number/{key:09}"))
        .collect();
    let pairs: Vec<(&str, i64)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    let hit_all = || {
        for key in &keys {
            stats.increment(key.as_str(), 1).unwrap();
        }
        stats.increment_many(&pairs).unwrap();
    };
    assert!(growth(hit_all) > 27 * KEYS, "the keys are new");
    for _ in 0..3 {
        // The runner is not at it each time.
        assert_eq!((0..10).map(|_| growth(hit_all)).min(), Some(0));
        // The window ends.
        sleep(Duration::from_secs(2)).await;
        assert_eq!(stats.count(keys[0].as_str()), 0);
        assert!(growth(hit_all) < NOISE, "the keys have kept their places");
    }
    assert_eq!(stats.close().await.ledger.delivered, 4 * KEYS as u64);
}
