//! The ways to bring items from the tasks to the other side in batches: ours, what is possible at best, and what services use.

use std::sync::Arc;

use buffer_benches::{Total, produce_in_tasks};
use buffer_core::Buffer;
use tokio::sync::mpsc;

use crate::Load;
use crate::bound::Bound;

const BATCH: usize = 5_000;
/// Ours holds ten batches for each of its two partitions at most, and so may all others.
const CAPACITY: usize = 20 * BATCH;

/// What each task has a clone of.
trait Insert: Clone + Send + Sync + 'static {
    fn insert(&self, item: u64) -> impl Future<Output = ()> + Send;
}

/// Lets the tasks insert, and says what an item cost.
fn timed(load: Load<'_>, insert: &impl Insert) -> f64 {
    let elapsed = produce_in_tasks(load.runtime, load.tasks, load.items, |numbers| {
        let insert = insert.clone();
        async move {
            for number in numbers {
                insert.insert(number).await;
            }
        }
    });
    elapsed.as_nanos() as f64 / load.items as f64
}

/// Runs `drain` as a task of its own while the tasks insert; it ends when the last clone of `insert` is dropped.
fn drained<D>(load: Load<'_>, insert: impl Insert, drain: impl FnOnce(Arc<Total>) -> D) -> f64
where
    D: Future<Output = ()> + Send + 'static,
{
    let total = Arc::new(Total::default());
    let drain = load.runtime.spawn(drain(Arc::clone(&total)));
    let cost = timed(load, &insert);
    drop(insert);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check(load.items);
    cost
}

impl Insert for Buffer<u64> {
    async fn insert(&self, item: u64) {
        Buffer::insert(self, item).await.expect("open");
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
    load.runtime.block_on(buffer.close());
    total.check(load.items);
    cost
}

impl Insert for Arc<Bound> {
    async fn insert(&self, item: u64) {
        Bound::insert(self, item).await;
    }
}

pub(crate) fn handed_over(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let (sender, mut receiver) = mpsc::channel(CAPACITY / BATCH);
    let bound = Arc::new(Bound::new(2, BATCH, sender));
    let drain = load.runtime.spawn({
        let total = Arc::clone(&total);
        async move {
            while let Some(batch) = receiver.recv().await {
                total.add(&batch);
            }
        }
    });
    let cost = timed(load, &bound);
    total.add(&bound.rest());
    drop(bound);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check(load.items);
    cost
}

impl Insert for mpsc::Sender<u64> {
    async fn insert(&self, item: u64) {
        self.send(item).await.expect("the other side lives");
    }
}

pub(crate) fn tokio_mpsc(load: Load<'_>) -> f64 {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    drained(load, sender, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            total.add(&batch);
            batch.clear();
        }
    })
}

impl Insert for flume::Sender<u64> {
    async fn insert(&self, item: u64) {
        self.send_async(item).await.expect("the other side lives");
    }
}

pub(crate) fn flume(load: Load<'_>) -> f64 {
    let (sender, receiver) = flume::bounded(CAPACITY);
    drained(load, sender, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv_async().await {
            batch.push(item);
            batch.extend(receiver.try_iter().take(BATCH - 1));
            total.add(&batch);
            batch.clear();
        }
    })
}

impl Insert for async_channel::Sender<u64> {
    async fn insert(&self, item: u64) {
        self.send(item).await.expect("the other side lives");
    }
}

pub(crate) fn async_channel(load: Load<'_>) -> f64 {
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    drained(load, sender, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv().await {
            batch.push(item);
            let more = std::iter::from_fn(|| receiver.try_recv().ok());
            batch.extend(more.take(BATCH - 1));
            total.add(&batch);
            batch.clear();
        }
    })
}

impl Insert for kanal::AsyncSender<u64> {
    async fn insert(&self, item: u64) {
        self.send(item).await.expect("the other side lives");
    }
}

pub(crate) fn kanal(load: Load<'_>) -> f64 {
    let (sender, receiver) = kanal::bounded_async(CAPACITY);
    drained(load, sender, async move |total| {
        let mut batch = Vec::with_capacity(CAPACITY);
        while let Ok(item) = receiver.recv().await {
            batch.push(item);
            // All that is there, in one step: it is what makes this one fast.
            let _closed = receiver.drain_into(&mut batch);
            total.add(&batch);
            batch.clear();
        }
    })
}
