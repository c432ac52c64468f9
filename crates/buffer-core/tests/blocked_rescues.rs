//! Sinks that never let go of their thread in a rescue, or take all of its time: they cost what they have, and no other buffer its last
//! items.
//!
//! A program of its own, as all buffers of a process share the threads of its rescues, and wait for each other's end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, Buffer, DropReason, Flush, FlushError, Outcome, Routing, async_trait};
use tokio::runtime::{Handle, Id, Runtime};
use tokio::time::{Instant, sleep_until};

/// The tests would wait for each other's rescues.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn current_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    InAttempts,
    InItsDestructor,
}

/// Blocks its thread until the other end of the channel is dropped.
struct Blocks {
    place: Where,
    released: Mutex<mpsc::Receiver<()>>,
}

impl Blocks {
    fn new(place: Where) -> (mpsc::Sender<()>, Self) {
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        (release, Self { place, released })
    }

    fn block_in(&self, place: Where) {
        if self.place == place {
            // Nothing is ever sent.
            let _ = self.released.lock().unwrap().recv();
        }
    }
}

#[async_trait]
impl Flush<u32> for Blocks {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        self.block_in(Where::InAttempts);
        Ok(())
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.block_in(Where::InItsDestructor);
    }
}

/// More threads than the runtime of the rescues has of its own.
const BLOCKED: usize = 20;

fn builder(runtime: &Runtime, partitions: usize) -> buffer_core::BufferBuilder<u32> {
    let builder = Buffer::builder().runtime(runtime.handle().clone());
    builder.partitions(partitions)
}

/// Fails when a rescue that is out of time is not given up, and when tasks are stuck behind a thread that is blocked.
#[test]
fn a_sink_that_blocks_its_thread_keeps_no_open_buffer_from_its_last_items() {
    let _alone = ONE_AT_A_TIME.lock();
    // The handle of the buffer that blocks is dropped, or lives on as in a static.
    for (place, is_open) in [
        (Where::InAttempts, false),
        (Where::InItsDestructor, false),
        (Where::InAttempts, true),
    ] {
        let runtime = current_thread();
        let sink = ScriptedSink::new([]);
        // Its turn comes when the others are given up, or never.
        let open = builder(&runtime, 1)
            .drain_timeout(Duration::from_secs(3_600))
            .last_items(|| vec![1])
            .build(sink.clone())
            .unwrap();
        let (release, sink_that_blocks) = Blocks::new(place);
        // It never ends, so its time is up soon.
        let blocks = builder(&runtime, BLOCKED).drain_timeout(Duration::from_millis(100));
        let blocks = blocks.routing(Routing::by_key(|item| item));
        let blocks = blocks.build(sink_that_blocks).unwrap();
        for item in 0..100 {
            blocks.try_insert(item).unwrap();
        }
        let kept = is_open.then(|| blocks.clone());
        drop(blocks);
        drop(runtime);
        assert_eq!(sink.delivered(), [1], "{place:?}, {is_open}");
        assert_eq!(open.ledger().pending, 0);
        drop((kept, release));
    }
}

/// Blocks its thread in attempts, but never answers on one runtime.
struct BlocksElsewhere {
    patient_on: Option<Id>,
    asked: mpsc::Sender<()>,
    blocks: Blocks,
}

#[async_trait]
impl Flush<u32> for BlocksElsewhere {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        self.asked.send(()).map_err(FlushError::permanent)?;
        if self.patient_on == Some(Handle::current().id()) {
            std::future::pending::<()>().await;
        }
        self.blocks.flush(batch).await
    }
}

/// A rescue that blocks its thread for three seconds, until it is given up, while its runtime has a task that never ends. Returns what
/// lets it go on.
fn a_rescue_that_blocks() -> Vec<mpsc::Sender<()>> {
    let gone = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (asked, attempts) = mpsc::channel();
    let (mut releases, mut buffers) = (Vec::new(), Vec::new());
    // One has a thread of the runtime for good, so that its worker is never dropped; the other is rescued, and blocks there.
    for patient_on in [None, Some(gone.handle().id())] {
        let (release, blocks) = Blocks::new(Where::InAttempts);
        let sink = BlocksElsewhere {
            patient_on,
            asked: asked.clone(),
            blocks,
        };
        let builder = builder(&gone, 1).drain_timeout(Duration::from_secs(1));
        let buffer = builder.batch_size(1).build(sink).unwrap();
        buffer.try_insert(1).unwrap();
        attempts.recv().unwrap();
        releases.push(release);
        buffers.push(buffer);
    }
    drop(buffers);
    gone.shutdown_background();
    // The second attempt at it, in the rescue.
    attempts.recv().unwrap();
    releases
}

/// Fails when only whoever waits for a runtime gives up what is rescued from it.
#[test]
fn a_rescue_that_blocks_is_given_up_even_where_its_runtime_has_a_task_that_never_ends() {
    let _alone = ONE_AT_A_TIME.lock();
    let releases = a_rescue_that_blocks();
    let runtime = current_thread();
    let sink = ScriptedSink::new([]);
    let open = builder(&runtime, 1).last_items(|| vec![1]);
    let open = open.build(sink.clone()).unwrap();
    drop(runtime);
    assert_eq!(sink.delivered(), [1]);
    drop((open, releases));
}

/// Fails when an open buffer's turn may come after its runtime's end has stopped waiting for it.
#[test]
fn an_open_buffer_closes_before_its_end_is_no_longer_waited_for() {
    let _alone = ONE_AT_A_TIME.lock();
    let releases = a_rescue_that_blocks();
    let runtime = current_thread();
    let open = builder(&runtime, 1).drain_timeout(Duration::from_millis(600));
    let open = open.last_items(|| vec![1]).build(ScriptedSink::new([])).unwrap();
    drop(runtime);
    let ledger = open.ledger();
    assert_eq!((ledger.accepted, ledger.pending), (1, 0));
    drop((open, releases));
}

/// Fails when a turn that comes shortly before its runtime's end stops waiting has no time of its own.
#[test]
fn an_open_buffer_whose_turn_comes_late_ends_while_it_is_waited_for() {
    let _alone = ONE_AT_A_TIME.lock();
    let releases = a_rescue_that_blocks();
    let runtime = current_thread();
    // The turn comes after three seconds, and the wait for this one ends a fifth of a second later.
    let open = builder(&runtime, 1).drain_timeout(Duration::from_millis(1_200));
    let open = open.last_items(|| vec![1]);
    let open = open.build(ScriptedSink::answering(|_| Reply::Never)).unwrap();
    drop(runtime);
    let ledger = open.ledger();
    assert_eq!((ledger.accepted, ledger.pending), (1, 0));
    drop((open, releases));
}

/// Fails when a buffer whose last handle is dropped in the midst of the rescue has its whole time from then on.
#[test]
fn a_drain_that_begins_late_in_a_rescue_ends_while_it_is_waited_for() {
    let _alone = ONE_AT_A_TIME.lock();
    /// Takes three seconds, over however many attempts, and owns the last handle of another buffer.
    struct Slow(
        OnceLock<Instant>,
        #[expect(dead_code, reason = "dropped with it")] Buffer<u32>,
    );
    #[async_trait]
    impl Flush<u32> for Slow {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            let begun = self.0.get_or_init(Instant::now);
            sleep_until(*begun + Duration::from_secs(3)).await;
            Ok(())
        }
    }
    let runtime = current_thread();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let builder = || {
        let builder = Buffer::builder().partitions(1).batch_size(1);
        let builder = builder.drain_timeout(Duration::from_secs(4));
        builder.runtime(runtime.handle().clone())
    };
    // Relaxed: only the number matters, and whoever reads it has waited for the rescue.
    let hangs = builder().on_outcome(move |settled| {
        assert_eq!(settled.outcome, Outcome::Dropped(DropReason::DrainTimeout));
        count.fetch_add(settled.count, Ordering::Relaxed);
    });
    let hangs = hangs.build(ScriptedSink::answering(|_| Reply::Never)).unwrap();
    hangs.try_insert(1).unwrap();
    let slow = builder().build(Slow(OnceLock::new(), hangs)).unwrap();
    slow.try_insert(1).unwrap();
    drop(slow);
    drop(runtime);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}
