//! Increments of keys that are there already.

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use tokio::runtime::Runtime;

const HITS: usize = 100_000;

struct Nowhere;

#[async_trait]
impl Flush<Count<String>> for Nowhere {
    async fn flush(&self, _: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        Ok(())
    }
}

pub(crate) fn run(runtime: &Runtime) {
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
