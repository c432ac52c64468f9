//! The buffers' own metrics: their names, units and meanings.
//!
//! Every buffer reports itself through the [`metrics`](https://docs.rs/metrics) facade, under its name in the label `buffer`;
//! buffers of one name are summed up. It reports with each attempt and with each settled batch, but not with each item, except
//! for items that waited for room and those that it refuses because it is closed. Counters are reported as totals, so that a
//! recorder that is installed late, or that forgets idle series, still gets everything.
//!
//! `docs/metrics.md` in the repository lists what is in [`ALL`], and says what to alert on.
//!
//! ```
//! for metric in buffer_core::metrics::ALL {
//!     println!("{} ({}): {}", metric.name, metric.unit, metric.description);
//! }
//! ```

use metrics::Unit;

// Complete, as the crates that build on this one make their own.
/// One metric.
///
/// # Examples
///
/// ```
/// use buffer_core::metrics::{ALL, Kind};
///
/// let dropped = ALL.iter().find(|metric| metric.name == "buffer_items_dropped_total");
/// assert!(dropped.is_some_and(|metric| metric.kind == Kind::Counter && metric.labels == ["buffer", "reason"]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The unit that it counts or measures in: `items`, `bytes`, `batches`, `seconds` or another noun.
    pub unit: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in one sentence.
    pub description: &'static str,
}

// Complete: these are the facade's.
/// The kind of a metric.
///
/// # Examples
///
/// ```
/// use buffer_core::metrics::{ALL, Kind};
///
/// assert!(ALL.iter().any(|metric| metric.kind == Kind::Histogram));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A total that only grows.
    Counter,
    /// A current value.
    Gauge,
    /// A distribution.
    Histogram,
}

const fn counter(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    description: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Counter,
        unit,
        labels,
        description,
    }
}

const fn gauge(name: &'static str, unit: &'static str, description: &'static str) -> Metric {
    Metric {
        name,
        kind: Kind::Gauge,
        unit,
        labels: &["buffer"],
        description,
    }
}

const fn histogram(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    description: &'static str,
) -> Metric {
    Metric {
        name,
        kind: Kind::Histogram,
        unit,
        labels,
        description,
    }
}

const BUFFER: &[&str] = &["buffer"];

pub(crate) const ACCEPTED: Metric = counter(
    "buffer_items_accepted_total",
    "items",
    BUFFER,
    "Items that an insert accepted.",
);
pub(crate) const REFUSED: Metric = counter(
    "buffer_items_refused_total",
    "items",
    &["buffer", "reason"],
    "Items that were handed back, as the buffer was full or closed or the item too heavy.",
);
pub(crate) const DELIVERED: Metric = counter(
    "buffer_items_delivered_total",
    "items",
    BUFFER,
    "Items that the sink delivered.",
);
pub(crate) const DROPPED: Metric = counter(
    "buffer_items_dropped_total",
    "items",
    &["buffer", "reason"],
    "Items that were given up.",
);
pub(crate) const RETURNED: Metric = counter(
    "buffer_items_returned_total",
    "items",
    BUFFER,
    "Items that were handed back, by a close or to a sink that withdrew them.",
);
pub(crate) const RETRIED: Metric = counter(
    "buffer_items_retried_total",
    "items",
    BUFFER,
    "Items that were offered to the sink again, counted once for each attempt after the first.",
);
pub(crate) const DEAD_LETTERED: Metric = counter(
    "buffer_items_dead_lettered_total",
    "items",
    BUFFER,
    "Dropped items that the dead-letter sink took.",
);
pub(crate) const SEALED: Metric = counter(
    "buffer_batches_sealed_total",
    "batches",
    &["buffer", "trigger"],
    "Batches, by what sealed them.",
);
pub(crate) const ATTEMPTS: Metric = counter(
    "buffer_attempts_total",
    "attempts",
    &["buffer", "result"],
    "Calls of the sink's flush that ended.",
);
pub(crate) const PANICS: Metric = counter(
    "buffer_panics_total",
    "panics",
    BUFFER,
    "Attempts that ended in a panic of the sink.",
);
pub(crate) const PENDING: Metric = gauge(
    "buffer_items_pending",
    "items",
    "Items that are accepted and not settled.",
);
pub(crate) const PENDING_BYTES: Metric = gauge(
    "buffer_bytes_pending",
    "bytes",
    "What the pending items weigh, as `weigh` says.",
);
pub(crate) const CAPACITY: Metric = gauge(
    "buffer_items_capacity",
    "items",
    "Items that the buffer can hold.",
);
pub(crate) const OLDEST: Metric = gauge(
    "buffer_oldest_item_age_seconds",
    "seconds",
    "The age of the oldest pending item's batch.",
);
pub(crate) const IN_FLIGHT: Metric = gauge(
    "buffer_attempts_in_flight",
    "attempts",
    "Calls of the sink's flush that are under way.",
);
pub(crate) const HELD: Metric = gauge(
    "buffer_held",
    "buffers",
    "How many buffers of this name are held, as their sink is down.",
);
pub(crate) const INSERT_WAIT: Metric = histogram(
    "buffer_insert_wait_seconds",
    "seconds",
    BUFFER,
    "How long an insert waited for room, if it had to; each part of an `insert_batch` by itself.",
);
pub(crate) const FLUSH_DURATION: Metric = histogram(
    "buffer_flush_duration_seconds",
    "seconds",
    &["buffer", "outcome"],
    "How long an attempt took, by what became of its batch.",
);
pub(crate) const BATCH_ITEMS: Metric = histogram(
    "buffer_batch_items",
    "items",
    BUFFER,
    "The number of items in a sealed batch.",
);
pub(crate) const BATCH_BYTES: Metric = histogram(
    "buffer_batch_bytes",
    "bytes",
    BUFFER,
    "What a sealed batch weighs, as `weigh` says.",
);

/// The metrics of every buffer.
pub const ALL: &[Metric] = &[
    ACCEPTED,
    REFUSED,
    DELIVERED,
    DROPPED,
    RETURNED,
    RETRIED,
    DEAD_LETTERED,
    SEALED,
    ATTEMPTS,
    PANICS,
    PENDING,
    PENDING_BYTES,
    CAPACITY,
    OLDEST,
    IN_FLIGHT,
    HELD,
    INSERT_WAIT,
    FLUSH_DURATION,
    BATCH_ITEMS,
    BATCH_BYTES,
];

/// Describes `metrics` to the recorder. Each buffer does so for [`ALL`] when it is built; call this for a recorder that is
/// installed later.
///
/// # Examples
///
/// ```
/// buffer_core::metrics::describe(buffer_core::metrics::ALL);
/// ```
pub fn describe(metrics: &[Metric]) {
    ::metrics::with_recorder(|recorder| {
        for metric in metrics {
            let Metric {
                name,
                kind,
                unit,
                labels: _,
                description,
            } = *metric;
            let unit = Some(match unit {
                "seconds" => Unit::Seconds,
                "bytes" => Unit::Bytes,
                _ => Unit::Count,
            });
            match kind {
                Kind::Counter => recorder.describe_counter(name.into(), unit, description.into()),
                Kind::Gauge => recorder.describe_gauge(name.into(), unit, description.into()),
                Kind::Histogram => recorder.describe_histogram(name.into(), unit, description.into()),
            }
        }
    });
}
