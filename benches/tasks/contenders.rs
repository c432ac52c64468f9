//! The ways to bring items from the tasks to the other side in batches: ours, what is possible at best, and what services use.

use std::ops::Range;
use std::sync::Arc;

use buffer_benches::{Total, add_if_whole, produce_in_tasks};
use buffer_core::Buffer;
use tokio::sync::mpsc;

use crate::Load;
use crate::bound::Bound;

const BATCH: usize = 5_000;
/// Ours holds ten batches for each of its two partitions at most, and so may all others.
const CAPACITY: usize = 20 * BATCH;

/// A task for each range of numbers, with a handle of its own: a loop over the numbers, as a program has it. A function that is given what
/// to do with each of them would cost every contender another future.
macro_rules! each {
    ($handle:ident, |$number:ident| $insert:expr) => {
        move |numbers: Range<u64>| {
            let $handle = $handle.clone();
            async move {
                for $number in numbers {
                    $insert;
                }
            }
        }
    };
}

/// Lets the tasks insert, and says what an item cost.
fn timed<F>(load: Load<'_>, task: impl Fn(Range<u64>) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let elapsed = produce_in_tasks(load.runtime, load.tasks, load.items, task);
    elapsed.as_nanos() as f64 / load.items as f64
}

/// Runs `drain` as a task of its own while the tasks insert; it ends when the last of them, and `task`, is dropped.
fn drained<F, D>(load: Load<'_>, task: impl Fn(Range<u64>) -> F, drain: impl FnOnce(Arc<Total>) -> D) -> f64
where
    F: Future<Output = ()> + Send + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let total = Arc::new(Total::default());
    let drain = load.runtime.spawn(drain(Arc::clone(&total)));
    let cost = timed(load, task);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check(load.items);
    cost
}

pub(crate) fn buffer(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(BATCH)
        .runtime(load.runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let handle = buffer.clone();
    let cost = timed(
        load,
        each!(handle, |number| handle.insert(number).await.expect("open")),
    );
    let _ = load.runtime.block_on(buffer.close());
    total.check(load.items);
    cost
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
    let handle = Arc::clone(&bound);
    let cost = timed(load, each!(handle, |number| handle.insert(number).await));
    total.add(&bound.rest());
    drop(bound);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check(load.items);
    cost
}

pub(crate) fn tokio_mpsc(load: Load<'_>) -> f64 {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    let task = each!(sender, |number| sender
        .send(number)
        .await
        .expect("the other side lives"));
    drained(load, task, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        let mut room = BATCH;
        while receiver.recv_many(&mut batch, room).await > 0 {
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
            room = BATCH - batch.len();
        }
        total.add(&batch);
    })
}

pub(crate) fn flume(load: Load<'_>) -> f64 {
    let (sender, receiver) = flume::bounded(CAPACITY);
    let task = each!(sender, |number| sender
        .send_async(number)
        .await
        .expect("the other side lives"));
    drained(load, task, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv_async().await {
            batch.push(item);
            batch.extend(receiver.try_iter().take(BATCH - batch.len()));
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}

pub(crate) fn async_channel(load: Load<'_>) -> f64 {
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    let task = each!(sender, |number| sender
        .send(number)
        .await
        .expect("the other side lives"));
    drained(load, task, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv().await {
            batch.push(item);
            let more = std::iter::from_fn(|| receiver.try_recv().ok());
            batch.extend(more.take(BATCH - batch.len()));
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}

pub(crate) fn kanal(load: Load<'_>) -> f64 {
    let (sender, receiver) = kanal::bounded_async(CAPACITY);
    let task = each!(sender, |number| sender
        .send(number)
        .await
        .expect("the other side lives"));
    drained(load, task, async move |total| {
        let mut batch = Vec::with_capacity(CAPACITY);
        while let Ok(item) = receiver.recv().await {
            batch.push(item);
            // All that is there, in one step: it is what makes this one fast.
            let _closed = receiver.drain_into(&mut batch);
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}
