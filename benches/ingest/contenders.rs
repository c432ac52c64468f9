//! The ways to bring items from the threads to the other side in batches: ours, what is possible at best, and what services use.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use buffer_benches::{add_if_whole, produce};
use buffer_core::{Batch, Buffer, Flush, FlushError, TryInsertError, async_trait};
use crossbeam_utils::CachePadded;
use multistream_batch::channel::buf_batch::{BufBatchChannel, Command};
use parking_lot::Mutex;

use crate::Load;
use crate::item::Item;

const BATCH: usize = 5_000;
/// Ours holds ten batches for each of its two partitions at most, and so may all others.
const CAPACITY: usize = 20 * BATCH;

/// Counts and sums what arrives.
#[derive(Default)]
struct Total {
    count: AtomicU64,
    value: AtomicU64,
}

impl Total {
    fn add<T: Item>(&self, items: &[T]) {
        // Relaxed: read after whoever adds was joined or awaited.
        self.count.fetch_add(items.len() as u64, Relaxed);
        self.value.fetch_add(items.iter().map(Item::value).sum(), Relaxed);
    }

    fn check<T: Item>(&self, load: Load<'_>) {
        let all = load.items / load.threads * load.threads;
        assert_eq!(self.count.load(Relaxed), all);
        // Both ends stand for the rest: all values grow evenly.
        let value = (T::new(0).value() + T::new(all - 1).value()) * all / 2;
        assert_eq!(self.value.load(Relaxed), value);
    }
}

#[async_trait]
impl<T: Item> Flush<T> for Total {
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        self.add(batch);
        Ok(())
    }
}

/// Lets the threads insert, and says what an item cost.
fn timed<T: Item>(load: Load<'_>, insert: impl Fn(T) + Sync) -> f64 {
    let elapsed = produce(load.threads, load.items, |numbers| {
        numbers.for_each(|number| insert(T::new(number)));
    });
    per_item(load, elapsed)
}

fn per_item(load: Load<'_>, elapsed: Duration) -> f64 {
    elapsed.as_nanos() as f64 / load.items as f64
}

/// Runs `drain` on a thread of its own while the threads insert; it ends when `insert` is dropped.
fn drained<T: Item>(load: Load<'_>, insert: impl Fn(T) + Sync, drain: impl FnOnce(&Total) + Send) -> f64 {
    let total = Total::default();
    let cost = thread::scope(|scope| {
        scope.spawn(|| drain(&total));
        let cost = timed(load, &insert);
        drop(insert);
        cost
    });
    total.check::<T>(load);
    cost
}

pub(crate) fn buffer<T: Item>(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(BATCH)
        .runtime(load.runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let cost = timed(load, |item: T| match buffer.try_insert(item) {
        Ok(()) => {}
        Err(TryInsertError::Full(item)) => buffer.insert_blocking(item).expect("open"),
        Err(error) => unreachable!("{error:?}"),
    });
    let _ = load.runtime.block_on(buffer.close());
    total.check::<T>(load);
    cost
}

/// What remains when everything but the batching is left out: each thread fills a locked vector of its own and sends it off.
pub(crate) fn handed_over<T: Item>(load: Load<'_>) -> f64 {
    let total = Total::default();
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<T>>(CAPACITY / BATCH);
    let homes: Vec<CachePadded<Mutex<Vec<T>>>> = (0..load.threads)
        .map(|_| CachePadded::new(Mutex::new(Vec::with_capacity(BATCH))))
        .collect();
    let cost = thread::scope(|scope| {
        scope.spawn(|| receiver.into_iter().for_each(|batch| total.add(&batch)));
        let share = load.items / load.threads;
        let elapsed = produce(load.threads, load.items, |numbers| {
            let home = &homes[(numbers.start / share) as usize];
            for number in numbers {
                let item = T::new(number);
                let mut open = home.lock();
                open.push(item);
                if open.len() == BATCH {
                    let batch = std::mem::replace(&mut *open, Vec::with_capacity(BATCH));
                    drop(open);
                    sender.send(batch).expect("the other side lives");
                }
            }
        });
        drop(sender);
        per_item(load, elapsed)
    });
    homes.iter().for_each(|home| total.add(&home.lock()));
    total.check::<T>(load);
    cost
}

pub(crate) fn crossbeam<T: Item>(load: Load<'_>) -> f64 {
    let (sender, receiver) = crossbeam_channel::bounded::<T>(CAPACITY);
    let insert = move |item| sender.send(item).expect("the other side lives");
    drained(load, insert, |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv() {
            batch.push(item);
            batch.extend(receiver.try_iter().take(BATCH - batch.len()));
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}

pub(crate) fn kanal<T: Item>(load: Load<'_>) -> f64 {
    let (sender, receiver) = kanal::bounded::<T>(CAPACITY);
    let insert = move |item| sender.send(item).expect("the other side lives");
    drained(load, insert, |total| {
        let mut batch = Vec::with_capacity(CAPACITY);
        while let Ok(item) = receiver.recv() {
            batch.push(item);
            // All that is there, in one step: it is what makes this one fast.
            let _closed = receiver.drain_into(&mut batch);
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}

pub(crate) fn flume<T: Item>(load: Load<'_>) -> f64 {
    let (sender, receiver) = flume::bounded::<T>(CAPACITY);
    let insert = move |item| sender.send(item).expect("the other side lives");
    drained(load, insert, |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv() {
            batch.push(item);
            batch.extend(receiver.try_iter().take(BATCH - batch.len()));
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}

pub(crate) fn tokio_mpsc<T: Item>(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<T>(CAPACITY);
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
    let cost = timed(load, |item| {
        sender.blocking_send(item).expect("the other side lives")
    });
    drop(sender);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check::<T>(load);
    cost
}

pub(crate) fn multistream<T: Item>(load: Load<'_>) -> f64 {
    let (sender, mut batches) = BufBatchChannel::new(BATCH, Duration::from_secs(1), CAPACITY);
    let insert = move |item| sender.send(Command::Append(item)).expect("the other side lives");
    drained(load, insert, |total| {
        while let Ok(batch) = batches.next() {
            total.add(&batch.collect::<Vec<T>>());
        }
    })
}

/// Takes bytes and no items; the strings are made for it all the same, as they are for the others. Its writer is cloned for each line,
/// as the layer does that stands on it.
pub(crate) fn appender<T: Item>(load: Load<'_>) -> f64 {
    struct Sink(Arc<AtomicU64>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.fetch_add(bytes.len() as u64, Relaxed);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let arrived = Arc::new(AtomicU64::new(0));
    let (writer, guard) = tracing_appender::non_blocking::NonBlockingBuilder::default()
        .lossy(false)
        .buffered_lines_limit(CAPACITY)
        .finish(Sink(Arc::clone(&arrived)));
    let cost = timed(load, |item: T| {
        writer
            .clone()
            .write_all(item.bytes())
            .expect("the other side lives");
    });
    drop((writer, guard));
    assert_eq!(arrived.load(Relaxed), load.items * T::new(0).bytes().len() as u64);
    cost
}
