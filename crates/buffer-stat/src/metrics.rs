//! The counters' own metrics, beside those of their buffer: their names, units and meanings, and where they are reported.
//!
//! They are reported as [`buffer_core::metrics`] says: as totals, under the buffer's name, once for each window.
//!
//! ```
//! for metric in buffer_stat::metrics::ALL {
//!     println!("{} ({}): {}", metric.name, metric.unit, metric.description);
//! }
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use buffer_core::metrics::{Kind, Metric};
use metrics::{Key, Label, Level, Metadata};
use parking_lot::Mutex;

use crate::caught::caught;

const KEYS: Metric = Metric {
    name: "buffer_stat_keys",
    kind: Kind::Gauge,
    unit: "keys",
    labels: &["buffer"],
    description: "Keys that have a place in the tables of sums; one in several tables counts for each.",
};

const MERGED_BACK: Metric = Metric {
    name: "buffer_stat_counts_merged_back_total",
    kind: Kind::Counter,
    unit: "counts",
    labels: &["buffer"],
    description: "Counts that were certainly not written, and are summed on; among the items returned, too.",
};

/// The metrics of all counters; for [`buffer_core::metrics::describe`].
pub const ALL: &[Metric] = &[KEYS, MERGED_BACK];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// What the counters of one name report together. Relaxed throughout: numbers that nothing depends on.
struct Totals {
    keys: AtomicU64,
    merged_back: AtomicU64,
    keys_key: Key,
    merged_back_key: Key,
}

/// Totals live as long as the process, as counters do.
static TOTALS: LazyLock<Mutex<HashMap<String, Arc<Totals>>>> = LazyLock::new(Mutex::default);

/// Reports counters; its drop takes their keys out of the total.
pub(crate) struct Reporter {
    totals: Arc<Totals>,
    keys: AtomicU64,
    merged_back: AtomicU64,
}

impl Reporter {
    pub(crate) fn new(buffer: &str) -> Self {
        let mut all = TOTALS.lock();
        let totals = all.entry(buffer.to_owned()).or_insert_with(|| {
            let key =
                |metric: Metric| Key::from_parts(metric.name, vec![Label::new("buffer", buffer.to_owned())]);
            Arc::new(Totals {
                keys: AtomicU64::new(0),
                merged_back: AtomicU64::new(0),
                keys_key: key(KEYS),
                merged_back_key: key(MERGED_BACK),
            })
        });
        Self {
            totals: Arc::clone(totals),
            keys: AtomicU64::new(0),
            merged_back: AtomicU64::new(0),
        }
    }

    /// Reports the present number of keys, and the number of counts merged back so far.
    pub(crate) fn report(&self, keys: u64, merged_back: u64) {
        let totals = &self.totals;
        let add = |sum: &AtomicU64, own: &AtomicU64, now: u64| {
            sum.fetch_add(now.wrapping_sub(own.swap(now, Relaxed)), Relaxed);
        };
        add(&totals.keys, &self.keys, keys);
        add(&totals.merged_back, &self.merged_back, merged_back);
        let report = || {
            metrics::with_recorder(|recorder| {
                let keys = totals.keys.load(Relaxed) as f64;
                recorder.register_gauge(&totals.keys_key, &METADATA).set(keys);
                let merged_back = totals.merged_back.load(Relaxed);
                let counter = recorder.register_counter(&totals.merged_back_key, &METADATA);
                counter.absolute(merged_back);
            });
        };
        // The recorder is user code.
        let _ = caught(report);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.report(0, self.merged_back.load(Relaxed));
    }
}
