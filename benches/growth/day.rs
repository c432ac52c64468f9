//! How often a buffer wakes the runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use buffer_benches::Total;
use buffer_core::Buffer;
use tokio::runtime::Builder;
use tokio::time::sleep;

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

/// How often the thread of a runtime has gone to sleep; the clock stands still while it works.
#[derive(Clone, Default)]
struct Parks(Arc<AtomicU64>);

impl Parks {
    fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn run<R>(&self, work: impl Future<Output = R>) -> R {
        let parks = self.clone();
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true);
        // Relaxed: only the number matters, and it is read on the same thread.
        builder.on_thread_park(move || {
            parks.0.fetch_add(1, Relaxed);
        });
        builder.build().expect("a runtime can be built").block_on(work)
    }
}

pub(crate) fn wake_ups_of_nobody() -> f64 {
    let parks = Parks::default();
    parks.run(async {
        let before = parks.count();
        sleep(24 * HOUR).await;
        (parks.count() - before) as f64
    })
}

/// It has delivered an item before.
pub(crate) fn wake_ups_of_an_idle_buffer() -> f64 {
    let (parks, total) = (Parks::default(), Arc::new(Total::default()));
    let wake_ups = parks.run(async {
        let buffer = Buffer::builder()
            .build(Arc::clone(&total))
            .expect("the settings make sense");
        buffer.insert(0).await.expect("open");
        buffer.flush().await;
        let before = parks.count();
        sleep(24 * HOUR).await;
        let wake_ups = parks.count() - before;
        let _ = buffer.close().await;
        wake_ups
    });
    total.check(1);
    wake_ups as f64
}

/// Those of one hour, after others like it.
pub(crate) fn wake_ups_of_the_hour(hour: u64) -> f64 {
    let (parks, total) = (Parks::default(), Arc::new(Total::default()));
    let wake_ups = parks.run(async {
        let buffer = Buffer::builder()
            .build(Arc::clone(&total))
            .expect("the settings make sense");
        let mut before = 0;
        for minute in 0..hour * 60 {
            if minute == (hour - 1) * 60 {
                before = parks.count();
            }
            buffer.insert(minute).await.expect("open");
            sleep(MINUTE).await;
        }
        let wake_ups = parks.count() - before;
        let _ = buffer.close().await;
        wake_ups
    });
    total.check(hour * 60);
    wake_ups as f64
}
