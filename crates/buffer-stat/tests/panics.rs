//! Keys whose own code panics: it costs the increment in which it happens, and no sum.

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use tokio::time::sleep;

/// A key whose code panics while its switch is on.
struct Touchy {
    name: u32,
    hash: Arc<AtomicBool>,
    clone: Arc<AtomicBool>,
}

// Relaxed throughout: all on one thread.
fn trip(switch: &AtomicBool) {
    assert!(!switch.load(Ordering::Relaxed), "scripted");
}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        trip(&self.hash);
        self.name.hash(state);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Touchy {}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        trip(&self.clone);
        Self {
            name: self.name,
            hash: Arc::clone(&self.hash),
            clone: Arc::clone(&self.clone),
        }
    }
}

struct Sum(Arc<AtomicI64>);

#[async_trait]
impl Flush<Count<Touchy>> for Sum {
    async fn flush(&self, batch: &mut Batch<Count<Touchy>>) -> Result<(), FlushError> {
        let deltas = batch.iter().map(|count| count.delta);
        self.0.fetch_add(deltas.sum(), Ordering::Relaxed);
        Ok(())
    }
}

/// Fails when a sum is reset before its key was copied.
#[tokio::test(start_paused = true)]
async fn a_key_whose_hash_or_clone_panics_loses_no_sum() {
    let (hash, clone, sum) = (Arc::default(), Arc::default(), Arc::default());
    let stats = StatBuffer::builder().build(Sum(Arc::clone(&sum))).unwrap();
    let key = |name| Touchy {
        name,
        hash: Arc::clone(&hash),
        clone: Arc::clone(&clone),
    };
    let on = |switch: &AtomicBool, on| switch.store(on, Ordering::Relaxed);
    for name in 0..10 {
        stats.increment(&key(name), 1).unwrap();
    }
    for switch in [&hash, &clone] {
        on(switch, true);
        assert!(catch_unwind(AssertUnwindSafe(|| stats.increment(&key(11), 1))).is_err());
        // Windows end, and callers ask.
        sleep(Duration::from_secs(60)).await;
        let _ = catch_unwind(AssertUnwindSafe(|| stats.request_flush()));
        on(switch, false);
        stats.increment(&key(1), 1).unwrap();
    }
    stats.increment(&key(11), 1).unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(sum.load(Ordering::Relaxed), 13);
    for name in 0..12 {
        assert_eq!(stats.outstanding(&key(name)), 0);
    }
    stats.close().await;
    assert_eq!(sum.load(Ordering::Relaxed), 13);
}
