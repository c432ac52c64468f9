//! What the public types can be used as: sinks in boxes, copies, and handles on any thread.

use std::cell::Cell;

use buffer_core::testing::ScriptedSink;
use buffer_core::{
    Batch, Buffer, BufferBuilder, Flush, FlushError, FlushKey, KeyedBuffer, Receipt, Routing, WeakBuffer,
    async_trait,
};

/// An item that may move from thread to thread, but not be looked at from two.
type Lonely = Cell<u8>;

fn may_move<T: Send>() {}
fn may_be_shared<T: Send + Sync>() {}

/// Fails to compile when a handle is bound to its thread for the items' sake.
#[test]
fn handles_of_items_that_are_not_sync_go_to_any_thread() {
    may_be_shared::<Buffer<Lonely>>();
    may_be_shared::<WeakBuffer<Lonely>>();
    may_move::<BufferBuilder<Lonely>>();
    may_be_shared::<Receipt>();
    may_be_shared::<Routing<Lonely>>();
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_chosen_at_run_time_may_be_in_a_box() {
    let sink = ScriptedSink::<u32>::new([]);
    let chosen: Box<dyn Flush<u32>> = Box::new(sink.clone());
    let buffer = Buffer::builder().build(chosen).unwrap();
    buffer.insert(1).await.unwrap();
    assert_eq!(buffer.close().await.ledger.delivered, 1);
    assert_eq!((sink.delivered(), sink.closed()), (vec![1], 1));
}

/// Takes each key.
struct Keys;

#[async_trait]
impl FlushKey<u32, u32> for Keys {
    async fn flush(&self, _: &u32, _: &[&u32]) -> Result<(), FlushError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        Err(FlushError::transient("scripted"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_of_keys_may_be_in_a_box_and_is_closed() {
    let chosen: Box<dyn FlushKey<u32, u32>> = Box::new(Keys);
    let buffer: KeyedBuffer<u32, u32> = Buffer::builder().build_keyed(chosen).unwrap();
    buffer.insert(1, 2).await.unwrap();
    let summary = buffer.close().await;
    assert_eq!(summary.ledger.delivered, 1);
    assert!(summary.sink_error.is_some());
}

/// Sums what it gets.
struct Sum(std::sync::Arc<std::sync::atomic::AtomicU32>);

#[async_trait]
impl Flush<u32> for Sum {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        for item in &*batch {
            self.0.fetch_add(*item, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_iterated_over_and_a_routing_serves_several_buffers() {
    let routing = Routing::by_key(|item: &u32| item);
    let sum = std::sync::Arc::default();
    for _ in 0..2 {
        let builder = Buffer::builder().routing(routing.clone());
        let buffer = builder.build(Sum(std::sync::Arc::clone(&sum))).unwrap();
        buffer.insert_batch(&mut vec![1, 2]).await.unwrap();
        assert_eq!(buffer.close().await.ledger.delivered, 2);
    }
    assert_eq!(sum.load(std::sync::atomic::Ordering::Relaxed), 6);
}
