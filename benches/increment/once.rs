//! Hits alone, for an instruction counter.

use buffer_stat::StatBuffer;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::Builder;

use crate::contenders::Nowhere;

const HITS: usize = 100_000;

/// Increments without a window that ends beside it, so that every run executes the same instructions.
pub(crate) fn once(with_recorder: bool) {
    let recorder = PrometheusBuilder::new().build_recorder();
    if with_recorder {
        metrics::set_global_recorder(recorder).expect("no other is installed");
    }
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let stats = StatBuffer::builder()
        .partitions(1)
        .runtime(runtime.handle().clone())
        .build(Nowhere)
        .expect("the settings make sense");
    let keys: Vec<String> = (0..100)
        .map(|key| format!("views/page/number/{key:09}"))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    increment_all(&stats, &keys, keys.len());
    hit_all(&stats, &keys);
    assert_eq!(runtime.block_on(stats.close()).ledger.delivered, 100);
}

/// What the instruction counter looks at: all keys have their places.
#[inline(never)]
fn hit_all(stats: &StatBuffer<String>, keys: &[&str]) {
    increment_all(stats, keys, HITS);
}

#[inline(always)]
fn increment_all(stats: &StatBuffer<String>, keys: &[&str], increments: usize) {
    for key in keys.iter().cycle().take(increments) {
        stats.increment(*key, 1).expect("open");
    }
}
