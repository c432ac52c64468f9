//! What a recorder holds in memory: its series, however long an outage lasts and however many there were before. Counted, not
//! timed.

mod recorded;

use buffer_core::testing::Reply;
use buffer_core::{Batch, BufferBuilder, Flush, FlushError, async_trait};
use buffer_influx::Line;
use metrics::{counter, gauge, histogram};
use peak_alloc::PeakAlloc;
use tokio::runtime::Handle;

use crate::recorded::{intervals, record, settings};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What the test runner's own threads may hold at one moment and not at another.
const NOISE: usize = 16 * 1024;

/// Answers always the same, and keeps nothing.
struct Always(Reply);

#[async_trait]
impl Flush<Line> for Always {
    async fn flush(&self, _: &mut Batch<Line>) -> Result<(), FlushError> {
        match self.0 {
            Reply::Unavailable => Err(FlushError::unavailable("scripted")),
            _ => Ok(()),
        }
    }
}

/// One test after the other, as both count the same heap.
#[tokio::test(start_paused = true)]
async fn memory_is_bounded_by_the_series_at_hand() {
    an_endless_outage_takes_no_more_memory_from_hour_to_hour().await;
    hundreds_of_thousands_of_series_leave_nothing_behind().await;
}

async fn an_endless_outage_takes_no_more_memory_from_hour_to_hour() {
    let small = |buffer: BufferBuilder<Line>| buffer.batch_size(50).capacity(50);
    let (recorder, handle) = settings()
        .buffer(small)
        .build(Always(Reply::Unavailable))
        .unwrap();
    let mut base = None;
    for hour in 0..6_u32 {
        for interval in 0..360_u32 {
            record(&recorder, || {
                for number in 0..30_u32 {
                    let label = number.to_string();
                    counter!("a", "number" => label.clone()).increment(1);
                    // From less than a nanosecond to more than a year: as many bins as there may be.
                    let value = 10_f64.powi((interval % 40) as i32 - 20) * f64::from(number + 1);
                    histogram!("h", "number" => label.clone()).record(value);
                    gauge!("g", "number" => label).set(hour);
                }
            });
            intervals(1).await;
        }
        let now = HEAP.current_usage();
        // In the first hour the histograms reach their full range.
        if hour > 0 {
            let base = *base.get_or_insert(now);
            assert!(now <= base + NOISE, "{now} bytes are live, and were {base}");
        }
        assert_eq!(
            Handle::current().metrics().num_alive_tasks(),
            2,
            "a worker and the driver"
        );
    }
    drop(recorder);
    let _ = handle.close_within(std::time::Duration::ZERO).await;
}

/// It has failed on a registry that forgets nothing, and on tables that keep the room of a burst.
async fn hundreds_of_thousands_of_series_leave_nothing_behind() {
    let (recorder, handle) = settings().build(Always(Reply::Ok)).unwrap();
    let mut base = None;
    for round in 0..20_u32 {
        for number in 0..5_000_u32 {
            let label = (round * 5_000 + number).to_string();
            record(&recorder, || {
                counter!("a", "number" => label.clone()).increment(1);
                histogram!("h", "number" => label).record(number);
            });
        }
        intervals(40).await;
        assert_eq!(handle.stats().series, 0);
        let now = HEAP.current_usage();
        let base = *base.get_or_insert(now);
        assert!(now <= base + NOISE, "{now} bytes are live, and were {base}");
    }
    assert_eq!(handle.close().await.ledger.delivered, 200_000);
}
