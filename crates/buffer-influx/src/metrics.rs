//! The sink's own metrics, beside those of its buffer: their names, units and meanings, and where they are counted.
//!
//! They are reported as [`buffer_core::metrics`] says: as totals, under the buffer's name, once for each attempt.
//!
//! ```
//! for metric in buffer_influx::metrics::ALL {
//!     println!("{} ({}): {}", metric.name, metric.unit, metric.description);
//! }
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use buffer_core::metrics::{Kind, Metric};
use metrics::{Key, Label, Level, Metadata, SharedString};
use parking_lot::Mutex;

use crate::caught::caught;
use crate::response::refusal::RefusalKind;

const BYTES: Metric = Metric {
    name: "buffer_influx_bytes_total",
    kind: Kind::Counter,
    unit: "bytes",
    labels: &["buffer"],
    description: "Bytes of lines that a server took, before they are compressed.",
};

const REJECTED: Metric = Metric {
    name: "buffer_influx_points_rejected_total",
    kind: Kind::Counter,
    unit: "points",
    labels: &["buffer", "class"],
    description: "Points that a server refused for good, by its kind of refusal.",
};

/// The metrics of every [`InfluxSink`](crate::InfluxSink); for [`buffer_core::metrics::describe`].
pub const ALL: &[Metric] = &[BYTES, REJECTED];

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The kinds of refusals that cost a point, and their names in the label `class`.
const CLASSES: [(RefusalKind, &str); 4] = [
    (RefusalKind::PartialWrite, "partial_write"),
    (RefusalKind::Unreadable, "unreadable"),
    (RefusalKind::TooLarge, "too_large"),
    (RefusalKind::Rejected, "rejected"),
];

/// What the sinks of all buffers of one name have counted. Relaxed throughout: numbers that nothing depends on.
struct Totals {
    bytes: AtomicU64,
    rejected: [AtomicU64; CLASSES.len()],
    bytes_key: Key,
    rejected_keys: [Key; CLASSES.len()],
}

/// Totals live as long as the process, as counters do.
static TOTALS: LazyLock<Mutex<HashMap<String, Arc<Totals>>>> = LazyLock::new(Mutex::default);

/// Counts what one attempt does, and reports it on drop, so a time-out reports it, too.
pub(crate) struct Attempt(Arc<Totals>);

impl Attempt {
    pub(crate) fn of(buffer: &str) -> Self {
        let mut all = TOTALS.lock();
        let totals = match all.get(buffer) {
            Some(totals) => Arc::clone(totals),
            None => Arc::clone(
                all.entry(buffer.to_owned())
                    .or_insert_with(|| Arc::new(Totals::new(buffer))),
            ),
        };
        Self(totals)
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn rejected(&self, kind: RefusalKind) {
        if let Some(class) = CLASSES.iter().position(|(own, _)| *own == kind) {
            self.0.rejected[class].fetch_add(1, Relaxed);
        }
    }
}

impl Totals {
    fn new(buffer: &str) -> Self {
        let buffer: Arc<str> = buffer.into();
        let label = || Label::new("buffer", SharedString::from_shared(Arc::clone(&buffer)));
        Self {
            bytes: AtomicU64::new(0),
            rejected: Default::default(),
            bytes_key: Key::from_parts(BYTES.name, vec![label()]),
            rejected_keys: CLASSES.map(|(_, class)| {
                let class = Label::from_static_parts(REJECTED.labels[1], class);
                Key::from_parts(REJECTED.name, vec![label(), class])
            }),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let totals = &self.0;
        let report = || {
            metrics::with_recorder(|recorder| {
                let counter = |key: &Key, total: &AtomicU64| {
                    // A total shows once there is something to count.
                    let total = total.load(Relaxed);
                    if total > 0 {
                        recorder.register_counter(key, &METADATA).absolute(total);
                    }
                };
                counter(&totals.bytes_key, &totals.bytes);
                for (key, rejected) in totals.rejected_keys.iter().zip(&totals.rejected) {
                    counter(key, rejected);
                }
            });
        };
        // The recorder is user code, and its panic must not meet another one.
        caught(report);
    }
}
