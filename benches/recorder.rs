//! What a metrics recorder costs an insert: `cargo bench -p buffer-benches --bench recorder`.
//!
//! One thread inserts into a buffer whose workers report to Prometheus' recorder, and into one whose reports go nowhere, in pairs, in
//! turns. It prints the median of the paired ratios with a 95 % confidence interval.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tokio::runtime::Runtime;

const ITEMS: u64 = 2_000_000;
const ROUNDS: usize = 31;

struct Nowhere;

#[async_trait]
impl Flush<u64> for Nowhere {
    async fn flush(&self, _: &mut Batch<u64>) -> Result<(), FlushError> {
        Ok(())
    }
}

/// Prometheus' recorder, which can be switched off.
struct Switch {
    on: AtomicBool,
    recorder: PrometheusRecorder,
}

static SWITCH: std::sync::OnceLock<Switch> = std::sync::OnceLock::new();

struct Installed;

impl Installed {
    /// The recorder, if it is switched on. Relaxed: it is switched between rounds.
    fn recorder(&self) -> Option<&'static PrometheusRecorder> {
        let switch = SWITCH.get()?;
        switch.on.load(Ordering::Relaxed).then_some(&switch.recorder)
    }
}

impl Recorder for Installed {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        if let Some(recorder) = self.recorder() {
            recorder.describe_counter(key, unit, text);
        }
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        if let Some(recorder) = self.recorder() {
            recorder.describe_gauge(key, unit, text);
        }
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, text: SharedString) {
        if let Some(recorder) = self.recorder() {
            recorder.describe_histogram(key, unit, text);
        }
    }
    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.recorder()
            .map_or_else(Counter::noop, |recorder| recorder.register_counter(key, metadata))
    }
    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.recorder()
            .map_or_else(Gauge::noop, |recorder| recorder.register_gauge(key, metadata))
    }
    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.recorder().map_or_else(Histogram::noop, |recorder| {
            recorder.register_histogram(key, metadata)
        })
    }
}

fn main() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let switch = Switch {
        on: AtomicBool::new(false),
        recorder,
    };
    assert!(SWITCH.set(switch).is_ok(), "it is set once");
    metrics::set_global_recorder(Installed).expect("no other is installed");
    let runtime = Runtime::new().expect("a runtime can be built");
    let mut ratios: Vec<f64> = (0..=ROUNDS)
        .map(|round| {
            // In turns, so that whoever is second does not win by it.
            let [first, second] = [round % 2 == 0, round % 2 == 1].map(|on| (on, timed(&runtime, on)));
            let (with, without) = if first.0 {
                (first.1, second.1)
            } else {
                (second.1, first.1)
            };
            with.as_secs_f64() / without.as_secs_f64()
        })
        .collect();
    // The first round warms up.
    ratios.remove(0);
    ratios.sort_by(f64::total_cmp);
    // The order statistics that bracket the median of so many with 95 % confidence, by the binomial distribution.
    let half_width = (1.96 * (ROUNDS as f64).sqrt() / 2.0).ceil() as usize;
    let median = ROUNDS / 2;
    println!("| insert, u64 | with a recorder / without |\n|---|---|");
    println!(
        "| median of {ROUNDS} pairs | {:.3} ({:.3} to {:.3}) |",
        ratios[median],
        ratios[median - half_width],
        ratios[median + half_width]
    );
}

fn switch(on: bool) {
    let switch = SWITCH.get().expect("it is set before");
    switch.on.store(on, Ordering::Relaxed);
}

fn timed(runtime: &Runtime, on: bool) -> Duration {
    switch(on);
    let buffer = Buffer::builder()
        .capacity(20 * 5_000 * 16)
        .runtime(runtime.handle().clone())
        .build(Nowhere)
        .expect("the settings make sense");
    let begun = Instant::now();
    for item in 0..ITEMS {
        let mut item = item;
        while let Err(full) = buffer.try_insert(item) {
            item = full.into_item();
            std::thread::yield_now();
        }
    }
    let took = begun.elapsed();
    let ledger = runtime.block_on(buffer.close()).ledger;
    assert_eq!(ledger.delivered, ITEMS);
    took
}
