//! A function is a sink like any other: it borrows the batch, marks items, fails, panics and is cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use buffer_core::testing::TestBatch;
use buffer_core::{Batch, Buffer, DropReason, FlushError, FlushErrorKind, sink_fn};
use tokio::task::yield_now;

#[tokio::test(start_paused = true)]
async fn a_function_marks_items_across_its_awaits_and_fails() {
    async fn one_by_one(batch: &mut Batch<u32>) -> Result<(), FlushError> {
        for index in 0..batch.len() {
            yield_now().await;
            match batch[index] {
                2 => batch.reject(index, "two is bad"),
                4 => return Err(FlushError::transient("four is too many")),
                _ => batch.deliver(index..index + 1),
            }
        }
        Ok(())
    }
    let sink = sink_fn(|batch| Box::pin(one_by_one(batch)));
    let mut batch = TestBatch::new([0, 1, 2, 3, 4, 5]);
    let flushed = batch.flush(&sink).await;
    assert_eq!(flushed.delivered, [0, 1, 3]);
    assert_eq!(flushed.rejected[0].item, 2);
    assert_eq!(flushed.kind(), Some(FlushErrorKind::Transient));
    assert_eq!(batch[..], [4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_before_or_in_its_future_or_hangs_costs_its_retries() {
    let calls = Arc::new(AtomicU32::new(0));
    let sink = sink_fn({
        let calls = Arc::clone(&calls);
        move |batch: &mut Batch<u32>| {
            // Relaxed: one partition calls it, one call after the other.
            let call = calls.fetch_add(1, Ordering::Relaxed);
            assert!(call != 0, "scripted");
            let first = batch[0];
            Box::pin(async move {
                assert!(call != 1, "scripted");
                if first == 0 {
                    std::future::pending::<()>().await;
                }
                Ok(())
            })
        }
    });
    let builder = Buffer::builder().partitions(1).batch_size(2).retries(3);
    let buffer = builder.build(sink).unwrap();
    buffer.insert_batch(&mut vec![0, 1, 2, 3]).await.unwrap();
    buffer.flush().await;
    let ledger = buffer.ledger();
    assert_eq!(
        (
            ledger.delivered,
            ledger.dropped.count(DropReason::RetriesExhausted)
        ),
        (2, 2)
    );
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}
