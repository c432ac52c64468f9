//! The ways to count that are compared: ours, what is possible at best, and what services use.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed};

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use crossbeam_utils::CachePadded;
use dashmap::DashMap;
use foldhash::fast::RandomState;
use metrics::{Key, KeyName, Label};
use metrics_util::registry::{AtomicStorage, Registry};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::exporter::Exporter;
use crate::papaya::Papaya;

/// What a window's end hands out, so that there is something to flush.
pub(crate) type Pairs = Vec<(String, i64)>;

pub(crate) fn count(pairs: &Pairs) -> i64 {
    std::hint::black_box(pairs).iter().map(|(_, sum)| sum).sum()
}

/// Counts by key.
pub(crate) trait Counter: Send + Sync {
    /// Adds one to each key. A whole slice, so that the call through the trait costs nothing.
    fn increment_all(&self, keys: &[&str]);
    /// Takes the sums: the end of a window.
    fn take(&self);
    /// All that was counted.
    fn total(&self) -> i64;
}

pub(crate) type Make = fn() -> Box<dyn Counter>;

pub(crate) const CONTENDERS: [(&str, Make); 9] = [
    ("buffer-stat", || Box::new(Stat::new())),
    ("bound: home map, mutex", || Box::new(Homes::new())),
    ("64 hash shards, mutex", || Box::new(Shards::new())),
    ("DashMap i64", || Box::new(Dash::default())),
    ("scc HashMap", || Box::new(Scc::default())),
    ("papaya", || Box::new(Papaya::default())),
    ("metrics-util Registry", || Box::new(Metrics::new())),
    ("metrics::counter!, Prometheus", || Box::new(Exporter::new())),
    ("cadence, to nowhere", || Box::new(Cadence::new())),
];

struct Stat {
    runtime: Runtime,
    stats: StatBuffer<String>,
    total: Arc<AtomicI64>,
}

struct Sum(Arc<AtomicI64>);

#[async_trait]
impl Flush<Count<String>> for Sum {
    async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        // Relaxed: read after the close.
        self.0
            .fetch_add(batch.iter().map(|count| count.delta).sum(), Relaxed);
        Ok(())
    }
}

impl Stat {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime can be built");
        let total = Arc::default();
        let stats = StatBuffer::builder()
            .runtime(runtime.handle().clone())
            .flush_interval(std::time::Duration::from_millis(100))
            .build(Sum(Arc::clone(&total)))
            .expect("the settings make sense");
        Self {
            runtime,
            stats,
            total,
        }
    }
}

impl Counter for Stat {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            self.stats.increment(*key, 1).expect("open");
        }
    }

    /// Its windows turn by themselves.
    fn take(&self) {}

    fn total(&self) -> i64 {
        let _ = self.runtime.block_on(self.stats.close());
        self.total.load(Relaxed)
    }
}

type Map = HashMap<String, i64, RandomState>;

fn add(map: &mut Map, key: &str) {
    match map.get_mut(key) {
        Some(sum) => *sum += 1,
        None => drop(map.insert(key.to_owned(), 1)),
    }
}

/// What remains when all but the counting is left out: each thread has a locked map of its own.
struct Homes {
    homes: Vec<CachePadded<Mutex<Map>>>,
    next: AtomicUsize,
    taken: AtomicI64,
}

impl Homes {
    fn new() -> Self {
        Self {
            homes: (0..64).map(|_| CachePadded::default()).collect(),
            next: AtomicUsize::new(0),
            taken: AtomicI64::new(0),
        }
    }
}

impl Counter for Homes {
    fn increment_all(&self, keys: &[&str]) {
        let home = &self.homes[self.next.fetch_add(1, Relaxed)];
        for key in keys {
            add(&mut home.lock(), key);
        }
    }

    fn take(&self) {
        take_maps(&self.homes, &self.taken);
    }

    fn total(&self) -> i64 {
        self.take();
        self.taken.load(Relaxed)
    }
}

fn take_maps(maps: &[CachePadded<Mutex<Map>>], taken: &AtomicI64) {
    for map in maps {
        let mut map = map.lock();
        let emptied = Map::with_capacity_and_hasher(map.len(), map.hasher().clone());
        let full = std::mem::replace(&mut *map, emptied);
        drop(map);
        let pairs: Pairs = full.into_iter().collect();
        taken.fetch_add(count(&pairs), Relaxed);
    }
}

/// The key's hash names the map.
struct Shards {
    shards: Vec<CachePadded<Mutex<Map>>>,
    hasher: RandomState,
    taken: AtomicI64,
}

impl Shards {
    fn new() -> Self {
        Self {
            shards: (0..64).map(|_| CachePadded::default()).collect(),
            hasher: RandomState::default(),
            taken: AtomicI64::new(0),
        }
    }
}

impl Counter for Shards {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            let shard = self.hasher.hash_one(key) >> 58;
            add(&mut self.shards[shard as usize].lock(), key);
        }
    }

    fn take(&self) {
        take_maps(&self.shards, &self.taken);
    }

    fn total(&self) -> i64 {
        self.take();
        self.taken.load(Relaxed)
    }
}

#[derive(Default)]
struct Dash {
    map: DashMap<String, i64, RandomState>,
    taken: AtomicI64,
}

impl Counter for Dash {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            match self.map.get_mut(*key) {
                Some(mut sum) => *sum += 1,
                None => *self.map.entry((*key).to_owned()).or_default() += 1,
            }
        }
    }

    /// The keys stay, as with ours.
    fn take(&self) {
        let changed = self.map.iter_mut().filter(|sum| **sum != 0);
        let pairs: Pairs = changed
            .map(|mut sum| (sum.key().clone(), std::mem::take(&mut *sum)))
            .collect();
        self.taken.fetch_add(count(&pairs), Relaxed);
    }

    fn total(&self) -> i64 {
        self.take();
        self.taken.load(Relaxed)
    }
}

#[derive(Default)]
struct Scc {
    map: scc::HashMap<String, i64, RandomState>,
    taken: AtomicI64,
}

impl Counter for Scc {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            if self.map.update_sync(*key, |_, sum| *sum += 1).is_none() {
                *self.map.entry_sync((*key).to_owned()).or_default() += 1;
            }
        }
    }

    fn take(&self) {
        let mut pairs = Pairs::new();
        self.map.retain_sync(|key, sum| {
            if *sum != 0 {
                pairs.push((key.clone(), std::mem::take(sum)));
            }
            true
        });
        self.taken.fetch_add(count(&pairs), Relaxed);
    }

    fn total(&self) -> i64 {
        self.take();
        self.taken.load(Relaxed)
    }
}

/// What the `metrics` macros do with a label that is known at run time only.
struct Metrics {
    registry: Registry<Key, AtomicStorage>,
    taken: AtomicI64,
}

impl Metrics {
    fn new() -> Self {
        Self {
            registry: Registry::atomic(),
            taken: AtomicI64::new(0),
        }
    }
}

impl Counter for Metrics {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            let label = Label::new("page", (*key).to_owned());
            let key = Key::from_parts(KeyName::from(Cow::Borrowed("views")), vec![label]);
            self.registry
                .get_or_create_counter(&key, |counter| counter.fetch_add(1, Relaxed));
        }
    }

    fn take(&self) {
        let mut pairs = Pairs::new();
        self.registry.visit_counters(|key, counter| {
            let sum = counter.swap(0, Relaxed) as i64;
            if sum != 0 {
                pairs.extend(key.labels().map(|label| (label.value().to_owned(), sum)));
            }
        });
        self.taken.fetch_add(count(&pairs), Relaxed);
    }

    fn total(&self) -> i64 {
        self.take();
        self.taken.load(Relaxed)
    }
}

/// Sums nothing itself: a line of text for each increment.
struct Cadence {
    client: cadence::StatsdClient,
    sent: Arc<AtomicI64>,
}

struct Lines(Arc<AtomicI64>);

impl cadence::MetricSink for Lines {
    fn emit(&self, metric: &str) -> std::io::Result<usize> {
        self.0.fetch_add(1, Relaxed);
        Ok(metric.len())
    }
}

impl Cadence {
    fn new() -> Self {
        let sent = Arc::default();
        let client = cadence::StatsdClient::from_sink("views", Lines(Arc::clone(&sent)));
        Self { client, sent }
    }
}

impl Counter for Cadence {
    fn increment_all(&self, keys: &[&str]) {
        for key in keys {
            cadence::Counted::count(&self.client, key, 1_i64).expect("it goes nowhere");
        }
    }

    fn take(&self) {}

    fn total(&self) -> i64 {
        self.sent.load(Relaxed)
    }
}
