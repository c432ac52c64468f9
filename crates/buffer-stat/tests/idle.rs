//! Idle counters wake nothing up. Counted, not timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use tokio::time::sleep;

struct Nowhere;

#[async_trait]
impl Flush<Count<String>> for Nowhere {
    async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        Ok(())
    }
}

#[test]
fn idle_counters_have_no_timer() {
    let parks = Arc::new(AtomicUsize::new(0));
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).on_thread_park({
        let parks = Arc::clone(&parks);
        // Relaxed: only the number matters, and it is read on the same thread.
        move || {
            parks.fetch_add(1, Ordering::Relaxed);
        }
    });
    builder.build().unwrap().block_on(async {
        let stats = StatBuffer::builder().build(Nowhere).unwrap();
        stats.increment("a", 1).unwrap();
        sleep(Duration::from_secs(60)).await;
        let before = parks.load(Ordering::Relaxed);
        sleep(Duration::from_secs(1_000 * 60 * 60)).await;
        // The sleep's own timer moves from wheel to wheel, which takes a few; one of an hour would take a thousand.
        let woken = parks.load(Ordering::Relaxed) - before;
        assert!(woken <= 20, "{woken}");
        assert_eq!(stats.close().await.ledger.delivered, 1);
    });
}
