//! Wakers and causes that panic where the buffer calls or drops them: it goes on.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{Batch, Buffer, Flush, FlushError, Routing, async_trait};
use tokio::task::yield_now;

struct Panicking;

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("scripted")
    }
}

/// Fails when a close, or a batch that is settled, wakes those who wait for room unguarded.
#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_as_it_waits_for_room_keeps_nobody_else_waiting() {
    let waker = Waker::from(Arc::new(Panicking));
    let mut panicking = Context::from_waker(&waker);
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(2).batch_size(1).capacity(2);
    let buffer = builder.routing(Routing::PerCall).build(sink).unwrap();
    let mut answered = Box::pin(buffer.insert_and_wait(0));
    let polled = answered.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    buffer.insert(1).await.unwrap();
    // Where one may be settled, and where none is.
    let mut waiting = [2, 3, 4, 5].map(|item| Box::pin(buffer.insert(item)));
    for waiting in &mut waiting {
        assert!(waiting.as_mut().poll(&mut panicking).is_pending());
    }
    yield_now().await;
    gate.let_through(1);
    assert!(answered.await.is_ok());
    let summary = buffer.close_within(Duration::from_millis(10)).await;
    assert_eq!((summary.undelivered, summary.ledger.pending), (vec![1], 0));
}

/// A cause that panics when it is dropped.
#[derive(Debug)]
struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scripted")
    }
}

impl Error for Bomb {}

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("scripted");
        }
    }
}

/// Is out for the first attempts at a batch, and divides what is larger than one item.
struct Bombs;

#[async_trait]
impl Flush<u32> for Bombs {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        match (batch.len(), batch.attempt()) {
            (1, 20..) => Ok(()),
            (1, _) => Err(FlushError::unavailable(Bomb)),
            _ => Err(FlushError::divisible(Bomb)),
        }
    }
}

/// Fails when the error of an attempt that is not a batch's last is dropped unguarded: that ends the worker.
#[tokio::test(start_paused = true)]
async fn causes_that_panic_when_dropped_keep_no_batch_from_its_next_attempt() {
    let buffer = Buffer::builder().partitions(1).build(Bombs).unwrap();
    buffer.insert_batch(&mut (0..20).collect()).await.unwrap();
    assert_eq!(buffer.flush().await.delivered, 20);
}
