//! What a pending item holds.

use std::sync::Arc;

use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
use tokio::sync::Semaphore;

use crate::{HEAP, runtime};

const ITEMS: usize = 1_000_000;

/// What is inserted.
pub(crate) trait Item: Clone + Send + Sync + 'static {
    fn new(number: usize) -> Self;
}

impl Item for u64 {
    fn new(number: usize) -> Self {
        number as u64
    }
}

impl Item for String {
    fn new(number: usize) -> Self {
        (number % 10).to_string().repeat(100)
    }
}

/// When the bytes are counted.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    Last,
    Most,
}

impl Moment {
    /// The bytes for each item that `hold` takes; what it returns is held meanwhile.
    fn of<R>(self, hold: impl FnOnce() -> R) -> (f64, R) {
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let held = hold();
        let after = match self {
            Self::Last => HEAP.current_usage(),
            Self::Most => HEAP.peak_usage(),
        };
        ((after - before) as f64 / ITEMS as f64, held)
    }
}

pub(crate) fn in_a_vec<T: Item>(moment: Moment) -> f64 {
    let (bytes, items) = moment.of(|| {
        // It grows by itself, as one does whose end is not known.
        let mut items = Vec::new();
        for number in 0..ITEMS {
            items.push(T::new(number));
        }
        items
    });
    assert_eq!(items.len(), ITEMS);
    bytes
}

/// Waits until it may go on, for each batch.
struct Waits(Semaphore);

#[async_trait]
impl<T: Send + Sync + 'static> Flush<T> for Waits {
    async fn flush(&self, _: &mut Batch<T>) -> Result<(), FlushError> {
        let permit = self.0.acquire().await.map_err(FlushError::permanent)?;
        drop(permit);
        Ok(())
    }
}

pub(crate) fn in_a_buffer<T: Item>(moment: Moment) -> f64 {
    runtime().block_on(async {
        let sink = Arc::new(Waits(Semaphore::new(0)));
        let buffer = Buffer::builder()
            .capacity(10 * ITEMS)
            .build(Arc::clone(&sink))
            .expect("the settings make sense");
        let (bytes, ()) = moment.of(|| {
            for number in 0..ITEMS {
                buffer.try_insert(T::new(number)).expect("there is room");
            }
        });
        assert_eq!(buffer.size().items, ITEMS as u64);
        sink.0.add_permits(1);
        assert_eq!(buffer.close().await.ledger.delivered, ITEMS as u64);
        bytes
    })
}
