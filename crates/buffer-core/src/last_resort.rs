//! Tests of what becomes of a buffer with a worker that can't go on. No user code can cause that, so they break it from inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::buffer::Buffer;
use crate::builder::BufferBuilder;
use crate::flush::Flush;
use crate::flush::batch::Batch;
use crate::outcome::Outcome;
use crate::outcome::flush_error::FlushError;
use crate::outcome::reason::DropReason;
use crate::routing::Routing;

/// A buffer whose workers panic whenever the sink is down: the end of so long a patience, which no builder takes, overflows.
fn breakable(builder: BufferBuilder<u32>, sink: impl Flush<u32>) -> Buffer<u32> {
    let mut checked = builder.settings.check(false).expect("these settings make sense");
    checked.policy.give_up_after = Some(Duration::MAX);
    builder.build_on(&Handle::current(), checked, sink)
}

struct IsDown;

#[async_trait]
impl Flush<u32> for IsDown {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        Err(FlushError::unavailable("scripted"))
    }
}

/// Fails when such a worker leaves the others, and whoever waits for it, behind.
#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_again_and_again_closes_the_buffer() {
    let builder = Buffer::builder().partitions(2).routing(Routing::PerCall);
    let buffer = breakable(builder, IsDown);
    buffer.insert(1).await.unwrap();
    let report = timeout(Duration::from_secs(3_600), buffer.flush()).await;
    let report = report.expect("nobody waits for a worker that is gone");
    assert!(buffer.is_closed());
    assert_eq!(report.dropped.count(DropReason::DrainTimeout), 1);
    assert_eq!(buffer.ledger().pending, 0);
}

/// A sink that is down once the last items were asked for. It tells when it is dropped, as it is with the last worker.
struct OutlivedByTheClose {
    asked: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
}

#[async_trait]
impl Flush<u32> for OutlivedByTheClose {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        // Pairs with the release in the last items.
        while !self.asked.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        Err(FlushError::unavailable("scripted"))
    }
}

impl Drop for OutlivedByTheClose {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// A buffer with one item, whose two last items come when its worker has given up.
async fn with_late_last_items(builder: BufferBuilder<u32>) -> Buffer<u32> {
    let (asked, gone) = (Arc::default(), Arc::default());
    let sink = OutlivedByTheClose {
        asked: Arc::clone(&asked),
        gone: Arc::clone(&gone),
    };
    let last_items = move || {
        asked.store(true, Ordering::Release);
        // Pairs with the release in the sink's drop.
        while !gone.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        vec![2, 3]
    };
    let builder = builder.partitions(1).batch_size(1).last_items(last_items);
    let buffer = breakable(builder, sink);
    buffer.insert(1).await.expect("the buffer is open");
    buffer
}

/// Fails when a partition that is closed takes no last items.
#[tokio::test]
async fn last_items_that_come_when_their_worker_has_given_up_are_returned() {
    let buffer = with_late_last_items(Buffer::builder()).await;
    let closed = spawn_blocking(move || Handle::current().block_on(buffer.close()));
    let summary = closed.await.unwrap();
    assert_eq!(summary.undelivered, [1, 2, 3]);
    assert_eq!((summary.ledger.returned, summary.ledger.pending), (3, 0));
}

#[tokio::test]
async fn last_items_that_come_when_nobody_is_left_are_dropped_and_counted() {
    let dropped = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&dropped);
    // Relaxed: whoever looks has waited for the thread that counts.
    let builder = Buffer::builder().on_outcome(move |settled| {
        assert_eq!(settled.outcome, Outcome::Dropped(DropReason::DrainTimeout));
        count.fetch_add(settled.count as u64, Ordering::Relaxed);
    });
    let buffer = with_late_last_items(builder).await;
    spawn_blocking(move || drop(buffer)).await.unwrap();
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}
