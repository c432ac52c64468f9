//! Sinks that never let go of their thread in a rescue: they cost what they have, and no other buffer its last items.
//!
//! A program of its own, as all buffers of a process share the threads of its rescues.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{Batch, Buffer, Flush, FlushError, Routing, async_trait};

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

/// Fails when a rescue that is out of time is not given up, and when tasks are stuck behind a thread that is blocked.
#[test]
fn a_sink_that_blocks_its_thread_keeps_no_open_buffer_from_its_last_items() {
    // The handle of the buffer that blocks is dropped, or lives on as in a static.
    for (place, is_open) in [
        (Where::InAttempts, false),
        (Where::InItsDestructor, false),
        (Where::InAttempts, true),
    ] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let sink = ScriptedSink::new([]);
        let open = Buffer::builder()
            .runtime(runtime.handle().clone())
            .partitions(1)
            .last_items(|| vec![1])
            .build(sink.clone())
            .unwrap();
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        // It never ends, so its time is up soon.
        let blocks = Buffer::builder()
            .runtime(runtime.handle().clone())
            .partitions(BLOCKED)
            .drain_timeout(Duration::from_millis(100))
            .routing(Routing::by_key(|item| item))
            .build(Blocks { place, released })
            .unwrap();
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
