//! Reports a buffer through the `metrics` facade.
//!
//! Invariants
//! 1. Counters go out as totals, never as differences: a recorder that is installed late, or has forgotten an idle series, has
//!    everything after the next report.
//! 2. No recorder runs under a lock, so reports may overtake each other. Whoever has reported checks whether something has changed
//!    since, and if so reports again: what is reported last is the latest.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder, SharedString};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::caught::caught;
use crate::flusher::hold::Health;
use crate::metrics::{
    ACCEPTED, ALL, ATTEMPTS, BATCH_BYTES, BATCH_ITEMS, CAPACITY, DEAD_LETTERED, DELIVERED, DROPPED,
    FLUSH_DURATION, HELD, IN_FLIGHT, INSERT_WAIT, Metric, OLDEST, PANICS, PENDING, PENDING_BYTES, REFUSED,
    RETRIED, RETURNED, SEALED, describe,
};
use crate::outcome::attempt::{AttemptResult, BatchOutcome, RefusalReason};
use crate::outcome::reason::DropReason;
use crate::partition::info::{Reading, Stats};
use crate::partition::trigger::Trigger;

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// What one buffer reports.
pub(crate) struct Meter {
    named: Arc<Named>,
    capacity: u64,
    /// What was reported about each partition, and whether the buffer was held.
    reported: Mutex<Reported>,
}

struct Reported {
    partitions: Vec<Reading>,
    /// When its oldest batch was opened.
    oldest: Option<Instant>,
    is_held: bool,
    is_retired: bool,
}

/// What the buffers of one name report together.
struct Named {
    keys: Keys,
    sum: Mutex<Sum>,
    /// When each buffer's oldest batch was opened, with the number of buffers. It is locked under `sum`.
    opened: Mutex<BTreeMap<Instant, usize>>,
    // Relaxed: nothing else depends on these numbers.
    refused: [AtomicU64; RefusalReason::ALL.len()],
    in_flight: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Counts the changes.
    version: u64,
    stats: Stats,
    pending: u64,
    // Wide, as weights and capacities can be any number.
    pending_bytes: u128,
    capacity: u128,
    held: u64,
    oldest: Duration,
}

/// Sums stay until the process ends, as counters do.
static NAMED: LazyLock<Mutex<HashMap<Arc<str>, Arc<Named>>>> = LazyLock::new(Mutex::default);

impl Meter {
    pub(crate) fn new(buffer: &Arc<str>, partitions: usize, capacity: u64) -> Self {
        // The recorder is user code.
        let _ = caught(|| describe(ALL));
        let named = Arc::clone(
            NAMED
                .lock()
                .entry(Arc::clone(buffer))
                .or_insert_with(|| Arc::new(Named::new(buffer))),
        );
        {
            let mut sum = named.sum.lock();
            sum.capacity += u128::from(capacity);
            sum.version += 1;
        }
        // Whoever watches a counter sees a change from zero, and nothing where it begins with its first count.
        named.publish(Zeros::Shown);
        Self {
            named,
            capacity,
            reported: Mutex::new(Reported {
                partitions: vec![Default::default(); partitions],
                oldest: None,
                is_held: false,
                is_retired: false,
            }),
        }
    }

    /// Items were handed back.
    pub(crate) fn refused(&self, reason: RefusalReason, items: usize) {
        let items = items as u64;
        let total = self.named.refused[reason as usize].fetch_add(items, Relaxed) + items;
        // The others go out with the next report. After the end there may be none.
        if reason == RefusalReason::Closed {
            self.named.record(|recorder, keys| {
                let counter = recorder.register_counter(&keys.refused[reason as usize], &METADATA);
                counter.absolute(total);
            });
        }
    }

    /// An insert waited this long for room.
    pub(crate) fn waited(&self, waited: Duration) {
        self.named.record(|recorder, keys| {
            let histogram = recorder.register_histogram(&keys.insert_wait, &METADATA);
            histogram.record(waited.as_secs_f64());
        });
    }

    /// An attempt begins; it is in flight until the guard is dropped.
    pub(crate) fn begin_attempt(&self) -> InFlight {
        self.named.in_flight.fetch_add(1, Relaxed);
        InFlight(Arc::clone(&self.named))
    }

    /// A batch was taken in hand.
    pub(crate) fn batch(&self, items: usize, bytes: u64) {
        self.named.record(|recorder, keys| {
            let histogram = |key| recorder.register_histogram(key, &METADATA);
            histogram(&keys.batch_items).record(items as f64);
            if bytes > 0 {
                histogram(&keys.batch_bytes).record(bytes as f64);
            }
        });
    }

    /// An attempt took this long.
    pub(crate) fn attempt(&self, outcome: BatchOutcome, took: Duration) {
        self.named.record(|recorder, keys| {
            let histogram = recorder.register_histogram(&keys.flush_duration[outcome as usize], &METADATA);
            histogram.record(took.as_secs_f64());
        });
    }

    /// Reports the buffer: what was read from partitions, whether it is held, and the age of its oldest item as far as that is
    /// known. Says how it is if it is held now and was not before, or the other way round.
    pub(crate) fn report(
        &self,
        readings: impl Iterator<Item = (usize, Reading)>,
        health: impl FnOnce() -> Health,
        now: Instant,
    ) -> Option<Health> {
        let mut reported = self.reported.lock();
        // Asked under the lock, or an older answer might be the last to be reported.
        let health = health();
        // A buffer that is through holds nothing back.
        let is_retired = reported.is_retired;
        let (held_before, is_held) = (reported.is_held, health != Health::Well && !is_retired);
        let mut sum = self.named.sum.lock();
        for (index, read) in readings {
            // A report of later numbers came first.
            if read.number < reported.partitions[index].number {
                continue;
            }
            let before = std::mem::replace(&mut reported.partitions[index], read);
            sum.stats.advance(&before.stats, &read.stats);
            sum.pending = sum.pending + read.pending.items - before.pending.items;
            sum.pending_bytes =
                sum.pending_bytes + u128::from(read.pending.bytes) - u128::from(before.pending.bytes);
        }
        let oldest = reported.partitions.iter().filter_map(|read| read.oldest).min();
        reported.is_held = is_held;
        sum.held = sum.held + u64::from(is_held) - u64::from(held_before);
        let oldest_before = std::mem::replace(&mut reported.oldest, oldest);
        let oldest = self.named.oldest(oldest_before, oldest);
        sum.oldest = oldest.map_or(Duration::ZERO, |opened| now.saturating_duration_since(opened));
        sum.version += 1;
        drop(sum);
        drop(reported);
        self.named.publish(Zeros::LeftOut);
        (is_held != held_before && !is_retired).then_some(health)
    }

    /// The buffer is through.
    pub(crate) fn retire(&self) {
        let mut reported = self.reported.lock();
        if !std::mem::replace(&mut reported.is_retired, true) {
            let mut sum = self.named.sum.lock();
            sum.capacity -= u128::from(self.capacity);
            sum.version += 1;
        }
    }
}

/// Whether a report has the values of labels for which nothing was counted yet.
#[derive(Clone, Copy, PartialEq)]
enum Zeros {
    /// As a buffer is built.
    Shown,
    /// They were shown, or a recorder that is installed late goes without them: most stay zero for good.
    LeftOut,
}

/// Counts an attempt as in flight.
pub(crate) struct InFlight(Arc<Named>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl Named {
    fn new(buffer: &Arc<str>) -> Self {
        Self {
            keys: Keys::new(buffer),
            sum: Mutex::default(),
            opened: Mutex::default(),
            refused: Default::default(),
            in_flight: AtomicU64::new(0),
        }
    }

    fn record(&self, record: impl FnOnce(&dyn Recorder, &Keys)) {
        // The recorder is user code.
        let _ = caught(|| metrics::with_recorder(|recorder| record(recorder, &self.keys)));
    }

    /// A buffer's oldest batch may be another one now; returns when the oldest batch of all buffers was opened.
    fn oldest(&self, before: Option<Instant>, now: Option<Instant>) -> Option<Instant> {
        let mut opened = self.opened.lock();
        if let Some(now) = now {
            *opened.entry(now).or_default() += 1;
        }
        if let Some(before) = before
            && let Some(buffers) = opened.get_mut(&before)
        {
            *buffers -= 1;
            if *buffers == 0 {
                opened.remove(&before);
            }
        }
        opened.keys().next().copied()
    }

    /// By invariant 2.
    fn publish(&self, zeros: Zeros) {
        loop {
            let sum = *self.sum.lock();
            self.record(|recorder, keys| self.publish_sum(&sum, zeros, recorder, keys));
            if self.sum.lock().version == sum.version {
                return;
            }
        }
    }

    fn publish_sum(&self, sum: &Sum, zeros: Zeros, recorder: &dyn Recorder, keys: &Keys) {
        let counter = |key: &Key, total: u64| recorder.register_counter(key, &METADATA).absolute(total);
        let gauge = |key: &Key, value: f64| recorder.register_gauge(key, &METADATA).set(value);
        let Stats {
            ledger,
            ended,
            sealed,
            ..
        } = &sum.stats;
        counter(&keys.accepted, ledger.accepted);
        counter(&keys.delivered, ledger.delivered);
        counter(&keys.returned, ledger.returned);
        counter(&keys.retried, ledger.retried);
        counter(&keys.dead_lettered, ledger.dead_lettered);
        counter(&keys.panics, ended[AttemptResult::Panicked as usize]);
        let some = |key: &Key, total: u64| {
            if total > 0 || zeros == Zeros::Shown {
                counter(key, total);
            }
        };
        for reason in DropReason::EACH {
            some(&keys.dropped[reason as usize], ledger.dropped.count(reason));
        }
        for (key, refused) in keys.refused.iter().zip(&self.refused) {
            some(key, refused.load(Relaxed));
        }
        for (key, batches) in keys.sealed.iter().zip(sealed) {
            some(key, *batches);
        }
        for (key, attempts) in keys.attempts.iter().zip(ended) {
            some(key, *attempts);
        }
        gauge(&keys.pending, sum.pending as f64);
        gauge(&keys.pending_bytes, sum.pending_bytes as f64);
        gauge(&keys.capacity, sum.capacity as f64);
        gauge(&keys.oldest, sum.oldest.as_secs_f64());
        gauge(&keys.in_flight, self.in_flight.load(Relaxed) as f64);
        gauge(&keys.held, sum.held as f64);
    }
}

/// The keys of one name, made once and not for each report.
struct Keys {
    accepted: Key,
    refused: Vec<Key>,
    delivered: Key,
    dropped: Vec<Key>,
    returned: Key,
    retried: Key,
    dead_lettered: Key,
    sealed: Vec<Key>,
    attempts: Vec<Key>,
    panics: Key,
    pending: Key,
    pending_bytes: Key,
    capacity: Key,
    oldest: Key,
    in_flight: Key,
    held: Key,
    insert_wait: Key,
    flush_duration: Vec<Key>,
    batch_items: Key,
    batch_bytes: Key,
}

impl Keys {
    fn new(buffer: &Arc<str>) -> Self {
        let buffer = || Label::new("buffer", SharedString::from_shared(Arc::clone(buffer)));
        let key = |metric: Metric| Key::from_parts(metric.name, vec![buffer()]);
        // The second label belongs to the metric itself.
        let keys = |metric: Metric, values: &[&'static str]| -> Vec<Key> {
            let label = |value: &&'static str| Label::from_static_parts(metric.labels[1], value);
            let values = values.iter();
            values
                .map(|value| Key::from_parts(metric.name, vec![buffer(), label(value)]))
                .collect()
        };
        Self {
            accepted: key(ACCEPTED),
            refused: keys(REFUSED, &RefusalReason::ALL.map(RefusalReason::as_str)),
            delivered: key(DELIVERED),
            dropped: keys(DROPPED, &DropReason::EACH.map(DropReason::as_str)),
            returned: key(RETURNED),
            retried: key(RETRIED),
            dead_lettered: key(DEAD_LETTERED),
            sealed: keys(SEALED, &Trigger::EACH.map(Trigger::as_str)),
            attempts: keys(ATTEMPTS, &AttemptResult::ALL.map(AttemptResult::as_str)),
            panics: key(PANICS),
            pending: key(PENDING),
            pending_bytes: key(PENDING_BYTES),
            capacity: key(CAPACITY),
            oldest: key(OLDEST),
            in_flight: key(IN_FLIGHT),
            held: key(HELD),
            insert_wait: key(INSERT_WAIT),
            flush_duration: keys(FLUSH_DURATION, &BatchOutcome::ALL.map(BatchOutcome::as_str)),
            batch_items: key(BATCH_ITEMS),
            batch_bytes: key(BATCH_BYTES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_a_later_one_has_overtaken_is_left_out() {
        let meter = Meter::new(&"overtaken".into(), 1, 10);
        for (number, accepted) in [(1, 1), (3, 5), (2, 3)] {
            let mut reading = Reading {
                number,
                ..Reading::default()
            };
            reading.stats.ledger.accepted = accepted;
            meter.report([(0, reading)].into_iter(), || Health::Well, Instant::now());
        }
        assert_eq!(meter.named.sum.lock().stats.ledger.accepted, 5);
    }
}
