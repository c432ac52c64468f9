//! User code that panics or hangs in unusual places: nothing is lost without a count, and nothing hangs.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, async_trait};
use tokio::time::{Instant, timeout};

/// Its futures never answer, and panic when they are dropped, for the first so many attempts.
struct DropBombs(AtomicUsize);

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("scripted");
    }
}

#[async_trait]
impl Flush<u32> for DropBombs {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        // Relaxed: only the number matters.
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_when_it_is_cut_off_is_tried_again() {
    let builder = Buffer::builder().partitions(1).batch_size(1);
    let buffer = builder.build(DropBombs(AtomicUsize::new(2))).unwrap();
    buffer.insert_batch(&mut vec![1, 2, 3]).await.unwrap();
    assert_eq!(buffer.flush().await.delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_close_returns_in_time_when_the_last_attempt_panics_as_it_is_cut_off() {
    let builder = Buffer::builder()
        .partitions(1)
        .flush_timeout(Duration::from_secs(900));
    let buffer = builder.build(DropBombs(AtomicUsize::new(usize::MAX))).unwrap();
    buffer.insert(1).await.unwrap();
    let closed = timeout(
        Duration::from_secs(9),
        buffer.close_within(Duration::from_secs(2)),
    );
    assert_eq!(closed.await.unwrap().undelivered, [1]);
}

/// A cause that panics when it is shown, and when it is dropped.
struct BadCause;

impl fmt::Debug for BadCause {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("scripted")
    }
}

impl fmt::Display for BadCause {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("scripted")
    }
}

impl Error for BadCause {}

impl Drop for BadCause {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("scripted");
        }
    }
}

/// Fails in one way with the first item of a batch, delivers the others.
struct BadCauses;

#[async_trait]
impl Flush<u32> for BadCauses {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        match (batch.first(), batch.attempt()) {
            (Some(0), _) => Err(FlushError::permanent(BadCause)),
            (Some(10), 1) => Err(FlushError::transient(BadCause)),
            (Some(20), _) => {
                (0..batch.len()).for_each(|index| batch.reject(index, BadCause));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn causes_that_panic_when_shown_or_dropped_cost_no_item_its_count() {
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(10)
        .build(BadCauses)
        .unwrap();
    buffer.insert_batch(&mut (0..40).collect()).await.unwrap();
    let ledger = buffer.close().await.ledger;
    assert_eq!(ledger.dropped.count(DropReason::Permanent), 10);
    assert_eq!(ledger.dropped.count(DropReason::Rejected), 10);
    assert_eq!((ledger.delivered, ledger.pending), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn panics_while_the_sink_is_out_are_backed_off_like_any_others() {
    let script = std::iter::once(Reply::Unavailable).chain(vec![Reply::Panic; 3]);
    let sink = ScriptedSink::new(script);
    let builder = Buffer::builder().partitions(1).batch_size(1).retries(9);
    let backoff = Duration::from_secs(10);
    let buffer = builder.backoff(backoff, backoff).build(sink.clone()).unwrap();
    buffer.insert(1).await.unwrap();
    assert_eq!(buffer.flush().await.delivered, 1);
    let attempts = sink.attempts();
    assert_eq!(attempts.len(), 5);
    let spread = attempts[4].at - attempts[1].at;
    assert!(
        spread > Duration::from_millis(100),
        "three delays of up to 10 s each: {spread:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_at_its_close_does_not_hold_up_the_buffer_s() {
    struct HangsAtClose;
    #[async_trait]
    impl Flush<u32> for HangsAtClose {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Ok(())
        }
        async fn close(&self) -> Result<(), FlushError> {
            std::future::pending().await
        }
    }
    let buffer = Buffer::builder()
        .flush_timeout(Duration::from_secs(900))
        .build(HangsAtClose)
        .unwrap();
    buffer.insert(1).await.unwrap();
    let begin = Instant::now();
    let summary = buffer.close_within(Duration::from_secs(2)).await;
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    assert_eq!(summary.ledger.delivered, 1);
    assert!(summary.sink_error.is_some());
}

/// Never answers, and tells when its attempt began and when it was cut off.
struct CutOff {
    begun: Arc<AtomicBool>,
    cut_off: Arc<AtomicBool>,
    closed: Arc<AtomicBool>,
}

#[async_trait]
impl Flush<u32> for CutOff {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        struct Tell(Arc<AtomicBool>);
        impl Drop for Tell {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let _tell = Tell(Arc::clone(&self.cut_off));
        self.begun.store(true, Ordering::Release);
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

/// Fails when a worker that is out of time does not wait until its partition is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_items_that_come_after_the_deadline_are_returned_with_the_rest() {
    let (begun, cut_off) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (late, closed) = (Arc::clone(&cut_off), Arc::new(AtomicBool::new(false)));
    let sink = CutOff {
        begun: Arc::clone(&begun),
        cut_off,
        closed: Arc::clone(&closed),
    };
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .last_items(move || {
            // Pairs with the releases in the sink: the deadline has passed, and the worker has noticed. A worker that went
            // on from there would soon close the sink.
            while !late.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            for _ in 0..10_000 {
                if closed.load(Ordering::Acquire) {
                    break;
                }
                std::thread::yield_now();
            }
            vec![2, 3, 4]
        })
        .build(sink)
        .unwrap();
    buffer.insert(1).await.unwrap();
    // Pairs with the release at the attempt's begin.
    while !begun.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    let summary = buffer.close_within(Duration::from_millis(1)).await;
    assert_eq!(summary.undelivered, [1, 2, 3, 4]);
    assert_eq!((summary.ledger.accepted, summary.ledger.returned), (4, 4));
}

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
fn a_rescue_has_its_full_time_when_the_runtime_dies_long_after_the_last_handle() {
    let runtime = current_thread();
    let sink = ScriptedSink::new([]);
    let drain_timeout = Duration::from_millis(100);
    let buffer = Buffer::builder()
        .drain_timeout(drain_timeout)
        .runtime(runtime.handle().clone())
        .build(sink.clone())
        .unwrap();
    buffer.try_insert(1).unwrap();
    drop(buffer);
    let begin = std::time::Instant::now();
    while begin.elapsed() < 2 * drain_timeout {
        std::hint::spin_loop();
    }
    drop(runtime);
    assert_eq!(sink.delivered(), [1]);
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
    let on = |builder: buffer_core::Builder<u32>| builder.partitions(2).runtime(runtime.handle().clone());
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

/// Wakers run outside of the partition's lock.
#[test]
fn a_waker_may_look_at_the_buffer() {
    struct Looks(Buffer<u32>, std::sync::mpsc::SyncSender<u64>);
    impl std::task::Wake for Looks {
        fn wake(self: Arc<Self>) {
            // A second wake finds the channel full, which says nothing new.
            let _ = self.1.try_send(self.0.size().items);
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = Buffer::builder()
        .partitions(1)
        .runtime(runtime.handle().clone())
        .build(sink)
        .unwrap();
    buffer.try_insert(1).unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let waker = std::task::Waker::from(Arc::new(Looks(buffer.clone(), sender)));
    let mut flush = std::pin::pin!(buffer.flush());
    let mut context = std::task::Context::from_waker(&waker);
    assert!(flush.as_mut().poll(&mut context).is_pending());
    gate.let_through(1);
    assert_eq!(receiver.recv_timeout(Duration::from_secs(30)), Ok(0));
}

#[test]
fn items_left_in_the_slot_that_panic_in_their_destructor_do_not_hurt_whoever_drops_the_last_handle() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "scripted");
        }
    }
    struct Hangs;
    #[async_trait]
    impl Flush<Bomb> for Hangs {
        async fn flush(&self, _: &mut Batch<Bomb>) -> Result<(), FlushError> {
            std::future::pending().await
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .capacity(2)
        .overflow(buffer_core::Overflow::DropOldest)
        .dead_letters(Hangs)
        .runtime(runtime.handle().clone())
        .build(Hangs)
        .unwrap();
    runtime.block_on(async {
        for _ in 0..6 {
            buffer.insert(Bomb).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let summary = buffer.close_within(Duration::from_secs(1)).await;
        let undelivered = summary.undelivered;
        std::mem::forget(undelivered);
    });
    drop(runtime);
    drop(buffer);
}

/// Longer than the rescue waits for a guard that does not go.
#[test]
fn a_chain_whose_front_is_slow_is_rescued_to_its_end() {
    struct SlowForward(Buffer<u32>);
    #[async_trait]
    impl Flush<u32> for SlowForward {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            tokio::time::sleep(Duration::from_millis(300)).await;
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
            .drain_timeout(Duration::from_secs(1))
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
    struct Bomb;
    #[async_trait]
    impl Flush<u32> for Bomb {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            Ok(())
        }
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("scripted");
        }
    }
    let runtime = current_thread();
    let (first, behind, sink) = chain(&runtime);
    let bomb = Buffer::builder()
        .runtime(runtime.handle().clone())
        .build(Bomb)
        .unwrap();
    bomb.try_insert(1).unwrap();
    first.try_insert(1).unwrap();
    drop((bomb, first, behind));
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

#[test]
fn a_waker_that_panics_costs_no_item() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("scripted")
        }
    }
    let waker = std::task::Waker::from(Arc::new(Panics));
    let mut context = std::task::Context::from_waker(&waker);
    let runtime = current_thread();
    runtime.block_on(async {
        // At a barrier in front of a batch.
        let sink = ScriptedSink::new([]);
        let buffer = Buffer::builder()
            .partitions(1)
            .batch_size(2)
            .build(sink.clone())
            .unwrap();
        buffer.try_insert(0).unwrap();
        // As many as show that one panic may come upon another.
        let mut flushes: Vec<_> = (0..16).map(|_| Box::pin(buffer.flush())).collect();
        for flush in &mut flushes {
            assert!(flush.as_mut().poll(&mut context).is_pending());
        }
        buffer.insert_batch(&mut vec![1, 2]).await.unwrap();
        assert_eq!(buffer.close().await.ledger.delivered, 3);

        // With items that are left over.
        let sink = ScriptedSink::new([Reply::Never]);
        let buffer = Buffer::builder().partitions(1).batch_size(1).build(sink).unwrap();
        buffer.try_insert(0).unwrap();
        // The worker takes it in hand.
        tokio::task::yield_now().await;
        let mut waiting = Box::pin(buffer.insert_and_wait(1));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        tokio::task::yield_now().await;
        let summary = buffer.close_within(Duration::from_millis(10)).await;
        assert_eq!((summary.undelivered, summary.ledger.pending), (vec![0, 1], 0));

        // At a barrier that the worker does not reach.
        let sink = ScriptedSink::new([Reply::Never]);
        let buffer = Buffer::builder().partitions(1).batch_size(1).build(sink).unwrap();
        buffer.try_insert(0).unwrap();
        tokio::task::yield_now().await;
        let mut flush = Box::pin(buffer.flush());
        assert!(flush.as_mut().poll(&mut context).is_pending());
        buffer.try_insert(1).unwrap();
        let summary = buffer.close_within(Duration::from_millis(10)).await;
        assert_eq!((summary.undelivered, summary.ledger.pending), (vec![0, 1], 0));
    });
}
