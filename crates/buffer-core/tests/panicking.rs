//! Wakers and causes that panic where the buffer calls or drops them: it goes on.

mod bomb;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use bomb::Bomb;
use buffer_core::testing::{Gate, Reply, ScriptedSink};
use buffer_core::{
    Batch, Buffer, BufferBuilder, DropReason, Flush, FlushError, FlushKey, Overflow, Routing, async_trait,
};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep, timeout};

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

/// Polls once with a waker that panics.
fn wait_with_a_panicking_waker(future: &mut (impl Future + Unpin)) {
    let waker = Waker::from(Arc::new(Panicking));
    let polled = pin!(future).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
}

/// What a task answers that need not wait for long.
async fn ended<R>(task: JoinHandle<R>) -> R {
    timeout(Duration::from_secs(3_600), task)
        .await
        .expect("it ends")
        .unwrap()
}

/// A buffer whose one item waits for the gate.
fn gated(builder: BufferBuilder<u32>) -> (Buffer<u32>, Gate) {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = builder.partitions(1).batch_size(1).build(sink).unwrap();
    buffer.try_insert(1).unwrap();
    (buffer, gate)
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_room_behind_a_waker_that_panics_gets_in() {
    let by_bytes = Buffer::builder().weigh(|_| 1).batch_bytes(1).capacity_bytes(1);
    for builder in [by_bytes, Buffer::builder().capacity(1)] {
        let (buffer, gate) = gated(builder);
        yield_now().await;
        let mut panicking = Box::pin(buffer.insert(2));
        wait_with_a_panicking_waker(&mut panicking);
        let [behind, last] = [3, 4].map(|item| {
            let buffer = buffer.clone();
            tokio::spawn(async move { buffer.insert(item).await })
        });
        yield_now().await;
        gate.open();
        // Its wake-up goes to the next one.
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(panicking);
        ended(behind).await.unwrap();
        ended(last).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_flushes_beside_wakers_that_panic_has_an_answer() {
    let (buffer, gate) = gated(Buffer::builder());
    yield_now().await;
    let mut panicking = [0; 4].map(|_| Box::pin(buffer.flush()));
    panicking.iter_mut().for_each(wait_with_a_panicking_waker);
    let others = [0; 64].map(|_| {
        let buffer = buffer.clone();
        tokio::spawn(async move { buffer.flush().await })
    });
    yield_now().await;
    gate.open();
    for other in others {
        assert_eq!(ended(other).await.delivered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_closes_beside_a_waker_that_panics_has_an_answer() {
    let (buffer, _gate) = gated(Buffer::builder().flush_timeout(Duration::from_secs(600)));
    yield_now().await;
    let mut panicking = Box::pin(buffer.close_within(Duration::from_secs(500)));
    wait_with_a_panicking_waker(&mut panicking);
    let others = [0; 4].map(|_| {
        let buffer = buffer.clone();
        tokio::spawn(async move { buffer.close().await })
    });
    yield_now().await;
    // A limit that is brought forward reaches the worker, too.
    let begun = Instant::now();
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(summary.ledger.returned, 1);
    for other in others {
        assert_eq!(ended(other).await.ledger.returned, 1);
    }
}

/// Fails, and ends the process, when the waiters of one batch are dropped as one: a panic meets another then.
#[tokio::test(start_paused = true)]
async fn wakers_that_panic_together_as_their_items_are_left_over_do_not_abort_the_process() {
    let waker = Waker::from(Arc::new(Panicking));
    let mut panicking = Context::from_waker(&waker);
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = Buffer::builder().partitions(1).batch_size(2).build(sink).unwrap();
    // Two in the sink's hands, and two behind them.
    let mut waiting: Vec<_> = (0..4)
        .map(|item| Box::pin(buffer.insert_and_wait(item)))
        .collect();
    for waiting in &mut waiting {
        assert!(waiting.as_mut().poll(&mut panicking).is_pending());
        yield_now().await;
    }
    let summary = buffer.close_within(Duration::from_millis(10)).await;
    assert_eq!(
        (summary.undelivered, summary.ledger.pending),
        (vec![0, 1, 2, 3], 0)
    );
}

/// Is down for the first attempts at a batch, and divides what is larger than one item.
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

/// What a sink panics with, which panics itself when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::panic_any(Self);
        }
    }
}

/// Fails, and ends the process, when what a panic brings is dropped unguarded.
#[tokio::test(start_paused = true)]
async fn panics_whose_payload_panics_when_dropped_cost_one_batch() {
    struct Panics;
    #[async_trait]
    impl Flush<u32> for Panics {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            match batch[0] {
                0 => std::panic::panic_any(Payload),
                _ => Ok(()),
            }
        }
    }
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .build(Panics)
        .unwrap();
    buffer.insert_batch(&mut vec![0, 1]).await.unwrap();
    let report = buffer.flush().await;
    assert_eq!(
        (
            report.delivered,
            report.dropped.count(DropReason::RetriesExhausted)
        ),
        (1, 1)
    );
    assert!(!buffer.is_closed());
}

/// Fails with the first keys, and does this with the fourth, and writes the last.
struct Keys(Fourth);

#[derive(Debug, Clone, Copy)]
enum Fourth {
    IsWritten,
    FindsTheSinkOut,
    Hangs,
}

#[async_trait]
impl FlushKey<u32, u32> for Keys {
    async fn flush(&self, key: &u32, _: &[&u32]) -> Result<(), FlushError> {
        match (key, self.0) {
            (..3, _) => Err(FlushError::transient(Bomb)),
            (3, Fourth::FindsTheSinkOut) => Err(FlushError::unavailable("scripted")),
            (3, Fourth::Hangs) => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

/// Fails, and ends the process, when the errors of an attempt's keys are dropped as one.
#[tokio::test(start_paused = true)]
async fn causes_of_keys_that_panic_together_do_not_abort_the_process() {
    for fourth in [Fourth::IsWritten, Fourth::FindsTheSinkOut, Fourth::Hangs] {
        let builder = Buffer::builder().partitions(1).retries(1);
        let buffer = builder.build_keyed(Keys(fourth)).unwrap();
        for key in 0..5 {
            buffer.insert(key, key).await.unwrap();
        }
        let ledger = buffer.buffer().close_within(Duration::from_secs(60)).await.ledger;
        assert_eq!((ledger.accepted, ledger.pending), (5, 0), "{fourth:?}");
    }
}

/// Rejects every item of a batch, and does not close well.
struct Rejects(Arc<AtomicU32>);

#[async_trait]
impl Flush<u32> for Rejects {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        (0..batch.len()).for_each(|index| batch.reject(index, Bomb));
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        // Relaxed: only the number matters.
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(FlushError::permanent(Bomb))
    }
}

/// Fails, and ends the process, when the marks on dead letters are dropped as one.
#[tokio::test(start_paused = true)]
async fn causes_on_dead_letters_that_panic_together_do_not_abort_the_process() {
    let builder = Buffer::builder().partitions(1).batch_size(2);
    let builder = builder.dead_letters(Rejects(Arc::default()));
    let buffer = builder.build(ScriptedSink::new([Reply::Permanent])).unwrap();
    buffer.insert_batch(&mut vec![1, 2]).await.unwrap();
    assert_eq!(buffer.flush().await.dropped.count(DropReason::Permanent), 2);
}

/// Fails when the one of two errors that is not reported is dropped unguarded: the sinks are closed again and again then.
#[tokio::test(start_paused = true)]
async fn two_sinks_that_do_not_close_well_are_closed_once() {
    let (closes, others) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let builder = Buffer::builder().dead_letters(Rejects(Arc::clone(&others)));
    let buffer = builder.build(Rejects(Arc::clone(&closes))).unwrap();
    let summary = buffer.close().await;
    assert_eq!(
        (closes.load(Ordering::Relaxed), others.load(Ordering::Relaxed)),
        (1, 1)
    );
    // Its destructor panics, too.
    std::mem::forget(summary.sink_error.expect("it is reported"));
}

/// Whatever holds it panics when it is dropped; so does the error of its close.
struct HoldsABomb(Bomb);

#[async_trait]
impl Flush<u32> for HoldsABomb {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        Err(FlushError::permanent(Bomb))
    }
}

/// Aborts when sinks, or functions, are dropped by the compiler, one after the other.
#[tokio::test(start_paused = true)]
async fn destructors_that_panic_together_do_not_abort_the_process() {
    let builder = Buffer::builder().partitions(1).dead_letters(HoldsABomb(Bomb));
    let sinks = builder.build(HoldsABomb(Bomb)).unwrap();
    sinks.insert(1).await.unwrap();
    drop(sinks);
    sleep(Duration::from_secs(60)).await;

    let bombs = [(); 3].map(|()| HoldsABomb(Bomb));
    let [keys, weighs, sees] = bombs;
    let builder = Buffer::builder()
        .partitions(1)
        .routing(Routing::by_key(move |item: &u32| {
            let _ = &keys;
            item
        }));
    let builder = builder.weigh(move |_| {
        let _ = &weighs;
        1
    });
    let builder = builder.on_outcome(move |_| {
        let _ = &sees;
    });
    let functions = builder.build(ScriptedSink::new([])).unwrap();
    functions.insert(1).await.unwrap();
    assert_eq!(functions.close().await.ledger.delivered, 1);
    // The workers go first, so that the functions go with the handle.
    sleep(Duration::from_secs(1)).await;
    drop(functions);
}

/// Fails with a cause that panics when it is dropped.
struct Refuses;

#[async_trait]
impl Flush<u32> for Refuses {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        Err(FlushError::permanent(Bomb))
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_of_a_dead_letter_sink_that_panics_when_dropped_cuts_off_no_attempt() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let builder = Buffer::builder().partitions(1).batch_size(1).capacity(2);
    let builder = builder.overflow(Overflow::DropOldest).dead_letters(Refuses);
    let buffer = builder.build(sink.clone()).unwrap();
    buffer.insert(0).await.unwrap();
    sink.attempted(1).await;
    for item in 1..10 {
        buffer.insert(item).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    gate.open();
    let ledger = buffer.close().await.ledger;
    assert_eq!((ledger.delivered, ledger.dropped.total()), (2, 8));
    assert_eq!(sink.attempts().len(), 2, "one for each batch");
}
