//! The ways to bring items from the tasks to the other side in batches: ours, what is possible at best, and what services use.

use std::ops::Range;
use std::sync::Arc;

use buffer_benches::{Total, produce_in_tasks};
use buffer_core::Buffer;
use tokio::sync::mpsc;

use crate::Load;
use crate::bound::Bound;

const BATCH: usize = 5_000;
/// Ours holds ten batches for each of its two partitions at most, and so may all others.
const CAPACITY: usize = 20 * BATCH;

/// Lets the tasks insert, and says what an item cost. Each task is a loop over its numbers, with a handle of its own, as a program has it:
/// a trait around the inserts would cost each of them another future.
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
    let cost = timed(load, |numbers| {
        let buffer = buffer.clone();
        async move {
            for number in numbers {
                buffer.insert(number).await.expect("open");
            }
        }
    });
    load.runtime.block_on(buffer.close());
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
    let cost = timed(load, |numbers| {
        let bound = Arc::clone(&bound);
        async move {
            for number in numbers {
                bound.insert(number).await;
            }
        }
    });
    total.add(&bound.rest());
    drop(bound);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check(load.items);
    cost
}

pub(crate) fn tokio_mpsc(load: Load<'_>) -> f64 {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    let task = move |numbers| {
        let sender = sender.clone();
        async move {
            for number in numbers {
                sender.send(number).await.expect("the other side lives");
            }
        }
    };
    drained(load, task, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while receiver.recv_many(&mut batch, BATCH).await > 0 {
            total.add(&batch);
            batch.clear();
        }
    })
}

pub(crate) fn flume(load: Load<'_>) -> f64 {
    let (sender, receiver) = flume::bounded(CAPACITY);
    let task = move |numbers| {
        let sender = sender.clone();
        async move {
            for number in numbers {
                sender.send_async(number).await.expect("the other side lives");
            }
        }
    };
    drained(load, task, async move |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv_async().await {
            batch.push(item);
            batch.extend(receiver.try_iter().take(BATCH - 1));
            total.add(&batch);
            batch.clear();
        }
    })
}

pub(crate) fn async_channel(load: Load<'_>) -> f64 {
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    let task = move |numbers| {
        let sender = sender.clone();
        async move {
            for number in numbers {
                sender.send(number).await.expect("the other side lives");
            }
        }
    };
    drained(load, task, async move |total| {
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

pub(crate) fn kanal(load: Load<'_>) -> f64 {
    let (sender, receiver) = kanal::bounded_async(CAPACITY);
    let task = move |numbers| {
        let sender = sender.clone();
        async move {
            for number in numbers {
                sender.send(number).await.expect("the other side lives");
            }
        }
    };
    drained(load, task, async move |total| {
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
