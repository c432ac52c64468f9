//! The ways of a hundred items at once from tasks to the other side.

use std::sync::Arc;

use buffer_benches::{Total, add_if_whole, produce_in_tasks};
use buffer_core::Buffer;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::bound::Homes;
use crate::{BATCH, CAPACITY, Load, PART, parts, per_item};

/// What each task has a clone of.
trait InsertBatch: Clone + Send + Sync + 'static {
    fn insert_batch(&self, part: &mut Vec<u64>) -> impl Future<Output = ()> + Send;
}

/// Lets the tasks insert, and says what an item cost.
fn timed(load: Load<'_>, insert: &impl InsertBatch) -> f64 {
    let elapsed = produce_in_tasks(load.runtime, load.producers, load.items, |numbers| {
        let insert = insert.clone();
        async move {
            let mut part = Vec::new();
            for numbers in parts(numbers) {
                part.extend(numbers);
                insert.insert_batch(&mut part).await;
            }
        }
    });
    per_item(load, elapsed)
}

impl InsertBatch for Buffer<u64> {
    async fn insert_batch(&self, part: &mut Vec<u64>) {
        Buffer::insert_batch(self, part).await.expect("open");
    }
}

pub(crate) fn buffer(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(BATCH)
        .runtime(load.runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let cost = timed(load, &buffer);
    let _ = load.runtime.block_on(buffer.close());
    total.check(load.items);
    cost
}

#[derive(Clone)]
struct HandedOver {
    homes: Arc<Homes>,
    sender: mpsc::Sender<Vec<u64>>,
}

impl InsertBatch for HandedOver {
    async fn insert_batch(&self, part: &mut Vec<u64>) {
        let Some(full) = self.homes.extend(part) else {
            return;
        };
        self.sender.send(full).await.expect("the other side lives");
    }
}

pub(crate) fn handed_over(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let (sender, mut receiver) = mpsc::channel::<Vec<u64>>(CAPACITY / BATCH);
    let drain = load.runtime.spawn({
        let total = Arc::clone(&total);
        async move {
            while let Some(batch) = receiver.recv().await {
                total.add(&batch);
            }
        }
    });
    let homes = Arc::new(Homes::new(2, BATCH));
    let insert = HandedOver {
        homes: Arc::clone(&homes),
        sender,
    };
    let cost = timed(load, &insert);
    drop(insert);
    ended(load, drain);
    total.add(&homes.rest());
    total.check(load.items);
    cost
}

impl InsertBatch for mpsc::Sender<u64> {
    async fn insert_batch(&self, part: &mut Vec<u64>) {
        let places = self
            .reserve_many(PART as usize)
            .await
            .expect("the other side lives");
        for (place, item) in places.zip(part.drain(..)) {
            place.send(item);
        }
    }
}

/// Its places are reserved for many at once.
pub(crate) fn tokio_mpsc(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let (sender, mut receiver) = mpsc::channel::<u64>(CAPACITY);
    let drain = load.runtime.spawn({
        let total = Arc::clone(&total);
        async move {
            let mut batch = Vec::with_capacity(BATCH);
            let mut room = BATCH;
            while receiver.recv_many(&mut batch, room).await > 0 {
                add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
                room = BATCH - batch.len();
            }
            total.add(&batch);
        }
    });
    let cost = timed(load, &sender);
    drop(sender);
    ended(load, drain);
    total.check(load.items);
    cost
}

fn ended(load: Load<'_>, drain: JoinHandle<()>) {
    load.runtime.block_on(drain).expect("the drain does not panic");
}
