//! Inserts that find room at home.

use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
use tokio::runtime::Runtime;

const ITEMS: u64 = 100_000;

struct Nowhere;

#[async_trait]
impl Flush<u64> for Nowhere {
    async fn flush(&self, _: &mut Batch<u64>) -> Result<(), FlushError> {
        Ok(())
    }
}

pub(crate) fn run(runtime: &Runtime) {
    let buffer = Buffer::builder()
        .partitions(1)
        .capacity(ITEMS as usize)
        .runtime(runtime.handle().clone())
        .build(Nowhere)
        .expect("the settings make sense");
    insert_all(&buffer);
    assert_eq!(runtime.block_on(buffer.close()).ledger.delivered, ITEMS);
}

/// What the instruction counter looks at.
#[inline(never)]
fn insert_all(buffer: &Buffer<u64>) {
    for item in 0..ITEMS {
        buffer.try_insert(item).expect("there is room");
    }
}
