//! What has a time limit keeps it outside of any runtime, too: the buffer's own keeps the time.

use std::task::Poll;
use std::time::Duration;

use buffer_core::testing::{Gate, ScriptedSink};
use buffer_core::{Buffer, InsertTimeoutError};
use tokio::runtime::{Builder, Runtime};

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3_600);

/// Drives a future on this thread, without a runtime.
fn drive<F: Future>(future: F) -> F::Output {
    let mut task = tokio_test::task::spawn(future);
    loop {
        if let Poll::Ready(output) = task.poll() {
            return output;
        }
        std::thread::yield_now();
    }
}

/// A buffer that is full with one item.
fn full() -> (Runtime, Buffer<u32>, Gate) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(1).batch_size(1).capacity(1);
    let buffer = builder.runtime(runtime.handle().clone()).build(sink).unwrap();
    buffer.try_insert(1).unwrap();
    (runtime, buffer, gate)
}

#[test]
fn insert_timeout_hands_the_item_back_where_no_runtime_keeps_the_time() {
    let (_runtime, buffer, gate) = full();
    let refused = drive(buffer.insert_timeout(2, SHORT));
    assert_eq!(refused, Err(InsertTimeoutError::TimedOut(2)));
    // Inside of one without a timer.
    let timeless = Builder::new_current_thread().build().unwrap();
    let refused = timeless.block_on(buffer.insert_timeout(3, SHORT));
    assert_eq!(refused, Err(InsertTimeoutError::TimedOut(3)));
    gate.open();
    assert_eq!(drive(buffer.insert_timeout(4, LONG)), Ok(()));
    assert_eq!(drive(buffer.close()).ledger.delivered, 2);
}

#[test]
fn flush_within_says_what_is_pending_where_no_runtime_keeps_the_time() {
    let (_runtime, buffer, gate) = full();
    let report = drive(buffer.flush_within(SHORT));
    assert_eq!((report.delivered, report.pending), (0, 1));
    gate.open();
    let report = drive(buffer.flush_within(LONG));
    assert_eq!((buffer.ledger().delivered, report.pending), (1, 0));
}
