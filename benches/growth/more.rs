//! What an item costs where there is more of something.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use buffer_benches::{Total, produce, produce_in_tasks};
use buffer_core::{Buffer, BufferBuilder, TryInsertError};
use tokio::runtime::Runtime;

/// How many threads insert how many items together.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) threads: u64,
    pub(crate) items: u64,
}

fn built(load: Load<'_>, builder: BufferBuilder<u64>, total: &Arc<Total>) -> Buffer<u64> {
    let builder = builder.runtime(load.runtime.handle().clone());
    builder.build(Arc::clone(total)).expect("the settings make sense")
}

fn insert(buffer: &Buffer<u64>, item: u64) {
    match buffer.try_insert(item) {
        Ok(()) => {}
        Err(TryInsertError::Full(item)) => buffer.insert_blocking(item).expect("open"),
        Err(error) => unreachable!("{error:?}"),
    }
}

fn per_item(load: Load<'_>, elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / load.items as f64
}

/// Two threads and so many partitions.
pub(crate) fn partitions(load: Load<'_>, partitions: usize) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = built(load, Buffer::builder().partitions(partitions), &total);
    let elapsed = produce(load.threads, load.items, |numbers| {
        numbers.for_each(|number| insert(&buffer, number));
    });
    let _ = load.runtime.block_on(buffer.close());
    total.check(load.items);
    per_item(load, elapsed)
}

/// Two threads and so many buffers, until all items are delivered. Each thread inserts `run` items into one before it goes to the
/// next.
pub(crate) fn buffers(load: Load<'_>, buffers: u64, run: u64) -> f64 {
    let total = Arc::new(Total::default());
    let of_hundred = || Buffer::builder().partitions(2).batch_size(100);
    let buffers: Vec<_> = (0..buffers).map(|_| built(load, of_hundred(), &total)).collect();
    let begin = Instant::now();
    produce(load.threads, load.items, |numbers| {
        for number in numbers {
            insert(&buffers[(number / run) as usize % buffers.len()], number);
        }
    });
    // What does not fill a batch would wait for its interval.
    buffers.iter().for_each(Buffer::request_flush);
    while total.arrived() < load.items {
        thread::sleep(Duration::from_micros(100));
    }
    let elapsed = begin.elapsed();
    for buffer in &buffers {
        let _ = load.runtime.block_on(buffer.close());
    }
    total.check(load.items);
    per_item(load, elapsed)
}

/// So many tasks on two threads.
pub(crate) fn tasks(load: Load<'_>, tasks: u64) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = built(load, Buffer::builder(), &total);
    let elapsed = produce_in_tasks(load.runtime, tasks, load.items, |numbers| {
        let buffer = buffer.clone();
        async move {
            for number in numbers {
                buffer.insert(number).await.expect("open");
            }
        }
    });
    let _ = load.runtime.block_on(buffer.close());
    total.check(load.items);
    per_item(load, elapsed)
}

/// The end of a runtime whose buffers are open and have an item each, in microseconds a buffer.
pub(crate) fn end_of_a_runtime(buffers: u64) -> f64 {
    let total = Arc::new(Total::default());
    let runtime = crate::runtime();
    let load = Load {
        runtime: &runtime,
        threads: 1,
        items: buffers,
    };
    let of_two = || built(load, Buffer::builder().partitions(2), &total);
    let open: Vec<_> = (0..buffers).map(|_| of_two()).collect();
    for (buffer, number) in open.iter().zip(0..) {
        insert(buffer, number);
    }
    let begin = Instant::now();
    drop(runtime);
    let elapsed = begin.elapsed();
    total.check(buffers);
    elapsed.as_micros() as f64 / buffers as f64
}
