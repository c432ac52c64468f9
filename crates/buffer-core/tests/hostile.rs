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
struct PanicsWhenDropped(AtomicUsize);

struct PanicsWhenCutOff;

impl Drop for PanicsWhenCutOff {
    fn drop(&mut self) {
        panic!("scripted");
    }
}

#[async_trait]
impl Flush<u32> for PanicsWhenDropped {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        // Relaxed: only the number matters.
        let left = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_ok() {
            let _panics = PanicsWhenCutOff;
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_panics_when_it_is_cut_off_is_tried_again() {
    let builder = Buffer::builder().partitions(1).batch_size(1);
    let buffer = builder.build(PanicsWhenDropped(AtomicUsize::new(2))).unwrap();
    buffer.insert_batch(&mut vec![1, 2, 3]).await.unwrap();
    assert_eq!(buffer.flush().await.delivered, 3);
}

#[tokio::test(start_paused = true)]
async fn a_close_returns_in_time_when_the_last_attempt_panics_as_it_is_cut_off() {
    let builder = Buffer::builder()
        .partitions(1)
        .flush_timeout(Duration::from_secs(900));
    let buffer = builder
        .build(PanicsWhenDropped(AtomicUsize::new(usize::MAX)))
        .unwrap();
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
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn last_items_that_come_after_the_deadline_are_returned_with_the_rest() {
    let (begun, cut_off) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (late, closed) = (Arc::clone(&cut_off), Arc::new(AtomicBool::new(false)));
    let closed_before = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed_before);
    let sink = CutOff {
        begun: Arc::clone(&begun),
        cut_off,
        closed: Arc::clone(&closed),
    };
    let runtime = tokio::runtime::Handle::current();
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .last_items(move || {
            // Pairs with the releases in the sink: the deadline has passed, and the worker has noticed.
            while !late.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            // The runtime's one thread has come as far as it gets: a worker that went on from there would have closed the sink.
            for _ in 0..100 {
                let (tell, told) = std::sync::mpsc::channel();
                runtime.spawn(async move { tell.send(()) });
                told.recv().unwrap();
            }
            seen.store(closed.load(Ordering::Acquire), Ordering::Release);
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
    // The sink is there for them, even if there is no time for a batch.
    assert!(!closed_before.load(Ordering::Acquire));
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
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "scripted");
        }
    }
    struct Hangs;
    #[async_trait]
    impl Flush<Explosive> for Hangs {
        async fn flush(&self, _: &mut Batch<Explosive>) -> Result<(), FlushError> {
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
            buffer.insert(Explosive).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let summary = buffer.close_within(Duration::from_secs(1)).await;
        let undelivered = summary.undelivered;
        std::mem::forget(undelivered);
    });
    drop(runtime);
    drop(buffer);
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
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
