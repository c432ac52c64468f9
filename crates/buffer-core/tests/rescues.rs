//! What a buffer's rescue does when the runtime dies: with bad batches, sinks that block, and buffers that feed each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, async_trait};
use tokio_test::task;

/// Tries every batch in vain that holds a zero.
struct OneBadBatch;

#[async_trait]
impl Flush<u32> for OneBadBatch {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        match batch.contains(&0) {
            true => Err(FlushError::transient("scripted")),
            false => Ok(()),
        }
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn in_a_rescue_a_bad_batch_costs_itself_and_not_the_ones_behind_it() {
    let runtime = current_thread();
    let short = Duration::from_millis(1);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .backoff(short, short)
        .runtime(runtime.handle().clone())
        .build(OneBadBatch)
        .unwrap();
    for item in 0..10 {
        buffer.try_insert(item).unwrap();
    }
    drop(runtime);
    let ledger = buffer.ledger();
    assert_eq!(ledger.dropped.count(DropReason::RetriesExhausted), 1);
    assert_eq!((ledger.delivered, ledger.pending), (9, 0));
}

#[test]
fn a_rescue_has_its_full_time_when_the_runtime_dies_after_the_deadline() {
    let runtime = current_thread();
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .runtime(runtime.handle().clone())
        .build(sink.clone())
        .unwrap();
    buffer.try_insert(1).unwrap();
    // Its deadline has passed at once. Nothing drives the runtime, so no worker has seen it.
    let mut close = task::spawn(buffer.close_within(Duration::ZERO));
    assert!(close.poll().is_pending());
    drop(close);
    drop(buffer);
    drop(runtime);
    assert_eq!(sink.delivered(), [1]);
}

/// Fails when a rescue has all the time of a close that somebody waits for.
#[test]
fn the_end_of_a_runtime_does_not_sit_out_a_close_that_has_longer_than_the_drain() {
    let runtime = current_thread();
    let builder = Buffer::builder().runtime(runtime.handle().clone());
    let builder = builder.drain_timeout(Duration::from_millis(100));
    let buffer = builder.build(ScriptedSink::answering(|_| Reply::Never)).unwrap();
    buffer.try_insert(1).unwrap();
    // In whatever order the runtime drops its tasks, one of these outlives the worker.
    for _ in 0..64 {
        let buffer = buffer.clone();
        runtime.spawn(async move { buffer.close_within(Duration::from_secs(3_600)).await });
    }
    runtime.block_on(tokio::task::yield_now());
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        ended.send(())
    });
    assert!(end.recv_timeout(Duration::from_secs(10)).is_ok());
    assert_eq!(buffer.ledger().pending, 0);
}

/// Fails when only a drain that nobody waits for ends while the end of its runtime waits for it.
#[test]
fn a_close_that_begins_in_a_rescue_has_no_longer_than_that() {
    let runtime = current_thread();
    let (asked, attempts) = std::sync::mpsc::channel();
    let builder = || {
        let builder = Buffer::builder().runtime(runtime.handle().clone());
        builder.partitions(1).drain_timeout(Duration::from_millis(500))
    };
    // It drains, so the turn of the other is not at once.
    let drains = builder()
        .build(ScriptedSink::answering(|_| Reply::Never))
        .unwrap();
    drains.try_insert(1).unwrap();
    drop(drains);
    let sink = ScriptedSink::answering(move |_| {
        let _ = asked.send(());
        Reply::Never
    });
    let buffer = builder().build(sink).unwrap();
    buffer.try_insert(1).unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        attempts.recv().unwrap();
        let summary = current_thread().block_on(buffer.close_within(Duration::from_secs(3_600)));
        // The test may have given up on it.
        let _ = ended.send(summary);
    });
    drop(runtime);
    let summary = end.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((summary.ledger.pending, summary.undelivered), (0, vec![1]));
}

#[test]
fn a_sink_may_block_in_place_in_a_rescue_too() {
    struct Blocking(ScriptedSink<u32>);
    #[async_trait]
    impl Flush<u32> for Blocking {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            tokio::task::block_in_place(|| ());
            self.0.flush(batch).await
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .runtime(runtime.handle().clone())
        .build(Blocking(sink.clone()))
        .unwrap();
    buffer.try_insert(1).unwrap();
    drop(runtime);
    assert_eq!(sink.delivered(), [1]);
}

#[test]
fn the_sink_s_own_drop_belongs_to_the_rescue() {
    struct Keeper(Arc<AtomicBool>);
    #[async_trait]
    impl Flush<u32> for Keeper {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Ok(())
        }
    }
    impl Drop for Keeper {
        fn drop(&mut self) {
            for _ in 0..1_000 {
                std::thread::yield_now();
            }
            self.0.store(true, Ordering::Release);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let runtime = current_thread();
    let buffer = Buffer::builder()
        .runtime(runtime.handle().clone())
        .build(Keeper(Arc::clone(&dropped)))
        .unwrap();
    buffer.try_insert(1).unwrap();
    drop(buffer);
    drop(runtime);
    // Pairs with the release in the drop.
    assert!(dropped.load(Ordering::Acquire));
}

/// Hands everything on to another buffer.
struct Forward(Buffer<u32>);

#[async_trait]
impl Flush<u32> for Forward {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        for item in batch.iter() {
            self.0.insert(*item).await.map_err(FlushError::permanent)?;
        }
        Ok(())
    }
}

/// A chain of three buffers on `runtime`: the first, those behind it, and the sink at the end.
fn chain(runtime: &tokio::runtime::Runtime) -> (Buffer<u32>, [Buffer<u32>; 2], ScriptedSink<u32>) {
    let sink = ScriptedSink::new([]);
    let on =
        |builder: buffer_core::BufferBuilder<u32>| builder.partitions(2).runtime(runtime.handle().clone());
    let last = on(Buffer::builder()).build(sink.clone()).unwrap();
    let middle = on(Buffer::builder()).build(Forward(last.clone())).unwrap();
    let first = on(Buffer::builder()).build(Forward(middle.clone())).unwrap();
    (first, [middle, last], sink)
}

#[test]
fn a_chain_of_buffers_is_rescued_from_its_front_to_its_end() {
    for _ in 0..20 {
        let runtime = current_thread();
        let (first, behind, sink) = chain(&runtime);
        first.try_insert(1).unwrap();
        drop((first, behind));
        drop(runtime);
        assert_eq!(sink.delivered(), [1]);
    }
}

/// As in a static: nothing but the order in which they were built says which feeds which.
#[test]
fn a_chain_of_buffers_whose_handles_live_on_is_rescued_too() {
    for _ in 0..20 {
        let runtime = current_thread();
        let (first, [middle, last], sink) = chain(&runtime);
        first.try_insert(1).unwrap();
        middle.try_insert(2).unwrap();
        last.try_insert(3).unwrap();
        drop(runtime);
        let mut delivered = sink.delivered();
        delivered.sort_unstable();
        assert_eq!(delivered, [1, 2, 3]);
        assert!(first.is_closed() && middle.is_closed() && last.is_closed());
    }
}

#[test]
fn a_rescue_does_not_count_what_a_dead_letter_sink_took_and_lost() {
    struct TakesAndHangs(AtomicBool);
    #[async_trait]
    impl Flush<u32> for TakesAndHangs {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            drop(batch.take());
            if !self.0.swap(true, Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
    }
    let runtime = current_thread();
    let buffer = Buffer::builder()
        .partitions(1)
        .drain_timeout(Duration::from_secs(1))
        .dead_letters(TakesAndHangs(AtomicBool::new(false)))
        .runtime(runtime.handle().clone())
        .build(ScriptedSink::new([Reply::Permanent]))
        .unwrap();
    buffer.try_insert(1).unwrap();
    drop(runtime);
    let ledger = buffer.ledger();
    assert_eq!((ledger.dropped.total(), ledger.dead_lettered), (1, 0));
}

/// Longer than the rescue waits for a guard that does not go.
#[test]
fn a_chain_whose_front_is_slow_is_rescued_to_its_end() {
    struct SlowForward(Buffer<u32>);
    #[async_trait]
    impl Flush<u32> for SlowForward {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            tokio::time::sleep(Duration::from_millis(600)).await;
            let inserted = self.0.insert_batch(&mut batch.to_vec()).await;
            inserted.map_err(FlushError::permanent)
        }
    }
    for keeps_handle in [false, true] {
        let runtime = current_thread();
        let sink = ScriptedSink::new([]);
        // Its own time is up before the front is through.
        let last = Buffer::builder()
            .partitions(1)
            .drain_timeout(Duration::from_millis(2_500))
            .runtime(runtime.handle().clone())
            .build(sink.clone())
            .unwrap();
        let first = Buffer::builder()
            .partitions(1)
            .batch_size(1)
            .runtime(runtime.handle().clone())
            .build(SlowForward(last.clone()))
            .unwrap();
        (0..5).for_each(|item| first.try_insert(item).unwrap());
        drop(last);
        let kept = keeps_handle.then(|| first.clone());
        drop(first);
        drop(runtime);
        assert_eq!(sink.delivered(), [0, 1, 2, 3, 4], "{keeps_handle}");
        drop(kept);
    }
}

#[test]
fn a_sink_that_panics_in_its_destructor_does_not_hold_up_a_chain() {
    struct PanicsInItsDestructor;
    #[async_trait]
    impl Flush<u32> for PanicsInItsDestructor {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Ok(())
        }
    }
    impl Drop for PanicsInItsDestructor {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }
    let runtime = current_thread();
    let (first, behind, sink) = chain(&runtime);
    let panics = Buffer::builder()
        .runtime(runtime.handle().clone())
        .build(PanicsInItsDestructor)
        .unwrap();
    panics.try_insert(1).unwrap();
    first.try_insert(1).unwrap();
    drop((panics, first, behind));
    drop(runtime);
    assert_eq!(sink.delivered(), [1]);
}

#[test]
fn the_end_of_a_chain_on_a_runtime_of_its_own_waits_for_its_front() {
    struct SignalAndForward(std::sync::mpsc::Sender<()>, Buffer<u32>);
    #[async_trait]
    impl Flush<u32> for SignalAndForward {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            self.0.send(()).map_err(FlushError::permanent)?;
            tokio::time::sleep(Duration::from_millis(200)).await;
            let inserted = self.1.insert_batch(&mut batch.to_vec()).await;
            inserted.map_err(FlushError::permanent)
        }
    }
    let (front, back) = (current_thread(), current_thread());
    let (sender, begun) = std::sync::mpsc::channel();
    let sink = ScriptedSink::new([]);
    let last = Buffer::builder()
        .runtime(back.handle().clone())
        .build(sink.clone())
        .unwrap();
    let first = Buffer::builder()
        .runtime(front.handle().clone())
        .build(SignalAndForward(sender, last))
        .unwrap();
    first.try_insert(1).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(front));
        // Nothing drives the runtimes, so this comes from the rescue.
        begun.recv().unwrap();
        drop(back);
    });
    assert_eq!(sink.delivered(), [1]);
}
