//! A sink that is cut off at any of its awaits, by the time-out, by a deadline or by the end of its runtime: each item is
//! written once, and what was not delivered is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
use parking_lot::Mutex;
use tokio::task::yield_now;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Attempts,
    Close,
}

/// Hangs for good at its await number so many: in its first attempts, or in its close.
struct Steps {
    place: Place,
    hangs_at: usize,
    /// Says after each step what is delivered, or says nothing.
    marks: bool,
    hanging: AtomicUsize,
    written: Arc<Mutex<Vec<u32>>>,
}

impl Steps {
    async fn step(&self, place: Place, number: usize) {
        // Relaxed: attempts of one partition never overlap.
        if (place, number) == (self.place, self.hangs_at) && self.hanging.load(Ordering::Relaxed) > 0 {
            self.hanging.fetch_sub(1, Ordering::Relaxed);
            std::future::pending().await
        }
        yield_now().await;
    }
}

#[async_trait]
impl Flush<u32> for Steps {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        for index in 0..batch.len() {
            self.step(Place::Attempts, index).await;
            if self.marks {
                self.written.lock().push(batch[index]);
                batch.deliver(index..index + 1);
            }
        }
        self.step(Place::Attempts, batch.len()).await;
        if !self.marks {
            self.written.lock().extend_from_slice(batch);
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        for number in 0..3 {
            self.step(Place::Close, number).await;
        }
        Ok(())
    }
}

const STEPS: u32 = 5;

fn steps(hangs_at: usize, marks: bool, hanging: usize) -> (Buffer<u32>, Arc<Mutex<Vec<u32>>>) {
    steps_in(Place::Attempts, hangs_at, marks, hanging)
}

fn steps_in(
    place: Place,
    hangs_at: usize,
    marks: bool,
    hanging: usize,
) -> (Buffer<u32>, Arc<Mutex<Vec<u32>>>) {
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Steps {
        place,
        hangs_at,
        marks,
        hanging: AtomicUsize::new(hanging),
        written: Arc::clone(&written),
    };
    let buffer = Buffer::builder().partitions(1).batch_size(STEPS as usize);
    (buffer.build(sink).unwrap(), written)
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_its_time_out_cuts_off_at_any_of_its_awaits_writes_each_item_once() {
    for hangs_at in 0..=STEPS as usize {
        for marks in [true, false] {
            for hanging in 1..3 {
                let (buffer, written) = steps(hangs_at, marks, hanging);
                buffer.insert_batch(&mut (0..2 * STEPS).collect()).await.unwrap();
                let report = buffer.flush().await;
                assert_eq!((report.delivered, report.pending), (u64::from(2 * STEPS), 0));
                assert_eq!(*written.lock(), (0..2 * STEPS).collect::<Vec<_>>());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_a_deadline_cuts_off_at_any_of_its_awaits_leaves_what_it_did_not_deliver() {
    for hangs_at in 0..=STEPS as usize {
        for marks in [true, false] {
            let (buffer, written) = steps(hangs_at, marks, 1_000);
            buffer.insert_batch(&mut (0..STEPS).collect()).await.unwrap();
            let summary = buffer.close_within(Duration::from_secs(1)).await;
            let mut all = written.lock().clone();
            assert_eq!(all.len(), if marks { hangs_at } else { 0 });
            assert_eq!(summary.ledger.delivered, all.len() as u64);
            all.extend(summary.undelivered);
            assert_eq!(all, (0..STEPS).collect::<Vec<_>>());
        }
    }
}

/// Fails when the marks of an attempt that was cut off are not settled before the next.
#[test]
fn a_sink_that_the_death_of_its_runtime_cuts_off_at_any_of_its_awaits_writes_each_item_once() {
    for hangs_at in 0..=STEPS as usize {
        for marks in [true, false] {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            let (buffer, written) = runtime.block_on(async {
                let (buffer, written) = steps(hangs_at, marks, 1);
                buffer.insert_batch(&mut (0..2 * STEPS).collect()).await.unwrap();
                // More turns than the sink has steps.
                for _ in 0..100 {
                    yield_now().await;
                }
                (buffer, written)
            });
            let reached = if marks { hangs_at } else { 0 };
            assert_eq!(written.lock().len(), reached, "it hangs");
            drop(runtime);
            let ledger = buffer.ledger();
            assert_eq!((ledger.delivered, ledger.pending), (u64::from(2 * STEPS), 0));
            assert_eq!(*written.lock(), (0..2 * STEPS).collect::<Vec<_>>());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_s_close_that_is_cut_off_at_any_of_its_awaits_is_reported_and_costs_nothing() {
    for hangs_at in 0..3 {
        let (buffer, written) = steps_in(Place::Close, hangs_at, true, 1_000);
        buffer.insert_batch(&mut (0..STEPS).collect()).await.unwrap();
        let summary = buffer.close_within(Duration::from_secs(1)).await;
        assert!(summary.sink_error.is_some());
        assert_eq!(
            (summary.ledger.delivered, summary.ledger.pending),
            (u64::from(STEPS), 0)
        );
        assert!(summary.undelivered.is_empty());
        assert_eq!(*written.lock(), (0..STEPS).collect::<Vec<_>>());
    }
}
