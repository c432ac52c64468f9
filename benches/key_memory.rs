//! What keys hold in memory: `cargo bench -p buffer-benches --bench key_memory`.
//!
//! The allocator counts the bytes that are asked for, of tables that have grown key by key. The keys are strings of 27 bytes, which
//! are counted too. Times play no part, so few rounds do: `BENCH_ROUNDS=5`.

use std::collections::HashMap;
use std::hint::black_box;

use buffer_benches::{Bench, Contender};
use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use dashmap::DashMap;
use foldhash::fast::RandomState;
use peak_alloc::PeakAlloc;
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

struct Nowhere;

#[async_trait]
impl Flush<Count<String>> for Nowhere {
    async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        Ok(())
    }
}

fn main() {
    let mut bench = Bench::new("key_memory", "Memory of keys", "bytes per key");
    for (keys, name) in [
        (10_000, "10 k keys"),
        (100_000, "100 k keys"),
        (1_000_000, "1 M keys"),
    ] {
        bench.load(
            name,
            &mut [
                Contender::new("buffer-stat", || counted_in_windows(keys)),
                Contender::new("DashMap i64", || {
                    bytes_per_key(keys, DashMap::with_hasher(RandomState::default()), |map, key| {
                        map.insert(key, 1_i64);
                    })
                })
                .at_most(1.3),
                Contender::new("HashMap i64", || {
                    bytes_per_key(keys, HashMap::with_hasher(RandomState::default()), |map, key| {
                        map.insert(key, 1_i64);
                    })
                }),
            ],
        );
    }
    bench.finish();
}

fn key(number: usize) -> String {
    format!("views/page/number/{number:09}")
}

/// What each key adds to `map`.
fn bytes_per_key<M>(keys: usize, mut map: M, mut insert: impl FnMut(&mut M, String)) -> f64 {
    let before = HEAP.current_usage();
    (0..keys).for_each(|number| insert(&mut map, key(number)));
    let held = HEAP.current_usage() - before;
    drop(black_box(map));
    held as f64 / keys as f64
}

/// The same of counters of one partition, whose window has not ended.
fn counted_in_windows(keys: usize) -> f64 {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    let stats = StatBuffer::builder()
        .partitions(1)
        .runtime(runtime.handle().clone())
        .build(Nowhere)
        .expect("the settings make sense");
    let held = bytes_per_key(keys, stats.clone(), |stats, key| {
        stats.increment(key.as_str(), 1).expect("open");
    });
    let delivered = runtime.block_on(stats.close()).ledger.delivered;
    assert_eq!(delivered, keys as u64);
    held
}
