//! What an insert costs beside the channels that services batch with today: `cargo bench -p buffer-benches --bench ingest`.
//!
//! Two threads insert 64-bit numbers as fast as they can; the other side takes them in batches of 5,000 and throws them away.
//! All contenders run in every round, one after the other, and every total is checked. Ratios are medians over the rounds of
//! the ratio within a round; the times of a shared machine mean nothing by themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

const THREADS: u64 = 2;
const ITEMS: u64 = 2_000_000;
const BATCH: usize = 5_000;
const ROUNDS: usize = 15;

/// One way to bring numbers from the producers to the other side; says how long it took.
type Contender = fn(&Runtime) -> Duration;

const CONTENDERS: [(&str, Contender); 4] = [
    ("buffer-core try_insert", buffer),
    ("bound: home Mutex<Vec>, handed over", handed_over),
    ("crossbeam-channel send", crossbeam),
    ("tokio mpsc blocking_send", tokio_mpsc),
];

fn main() {
    let runtime = Runtime::new().expect("a runtime can be built");
    let mut rounds: Vec<[f64; CONTENDERS.len()]> = Vec::new();
    for _ in 0..=ROUNDS {
        rounds.push(CONTENDERS.map(|(_, contender)| contender(&runtime).as_secs_f64()));
    }
    // The first round warms up.
    rounds.remove(0);
    println!("| {THREADS} threads, u64 | ns per item | buffer-core / this |\n|---|---|---|");
    for (index, (name, _)) in CONTENDERS.iter().enumerate() {
        let nanoseconds = median(
            rounds
                .iter()
                .map(|round| round[index] * 1e9 / (THREADS * ITEMS) as f64),
        );
        let ratio = median(rounds.iter().map(|round| round[0] / round[index]));
        println!("| {name} | {nanoseconds:.1} | {ratio:.2} |");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the producers and measures until all of them are through.
fn produce(insert: impl Fn(u64) + Sync) -> Duration {
    let start = Barrier::new(THREADS as usize + 1);
    thread::scope(|scope| {
        let producers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (insert, start) = (&insert, &start);
                scope.spawn(move || {
                    start.wait();
                    (thread * ITEMS..(thread + 1) * ITEMS).for_each(insert);
                })
            })
            .collect();
        start.wait();
        let begin = Instant::now();
        for producer in producers {
            producer.join().expect("producers do not panic");
        }
        begin.elapsed()
    })
}

/// Counts and sums what arrives.
#[derive(Default)]
struct Total {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Total {
    fn add(&self, items: &[u64]) {
        // Relaxed: read after the threads that add are joined or awaited.
        self.count.fetch_add(items.len() as u64, Ordering::Relaxed);
        self.sum.fetch_add(items.iter().sum(), Ordering::Relaxed);
    }

    fn check(&self) {
        let all = THREADS * ITEMS;
        assert_eq!(self.count.load(Ordering::Relaxed), all);
        assert_eq!(self.sum.load(Ordering::Relaxed), all * (all - 1) / 2);
    }
}

#[async_trait]
impl Flush<u64> for Total {
    async fn flush(&self, batch: &mut Batch<u64>) -> Result<(), FlushError> {
        self.add(batch);
        Ok(())
    }
}

fn buffer(runtime: &Runtime) -> Duration {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(BATCH)
        .runtime(runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let elapsed = produce(|item| {
        let mut item = item;
        while let Err(full) = buffer.try_insert(item) {
            item = full.into_item();
            thread::yield_now();
        }
    });
    runtime.block_on(buffer.close());
    total.check();
    elapsed
}

/// What remains when everything but the batching is left out: each thread fills a locked vector of its own and sends it off.
fn handed_over(_: &Runtime) -> Duration {
    let total = Arc::new(Total::default());
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<u64>>(20);
    let drain = thread::spawn({
        let total = Arc::clone(&total);
        move || receiver.iter().for_each(|batch| total.add(&batch))
    });
    let homes: Vec<Mutex<Vec<u64>>> = (0..THREADS)
        .map(|_| Mutex::new(Vec::with_capacity(BATCH)))
        .collect();
    let elapsed = produce(|item| {
        let mut home = homes[(item / ITEMS) as usize].lock();
        home.push(item);
        if home.len() == BATCH {
            let batch = std::mem::replace(&mut *home, Vec::with_capacity(BATCH));
            drop(home);
            sender.send(batch).expect("the other side lives");
        }
    });
    drop(sender);
    drain.join().expect("the drain does not panic");
    for home in homes {
        total.add(&home.into_inner());
    }
    total.check();
    elapsed
}

fn crossbeam(_: &Runtime) -> Duration {
    let total = Arc::new(Total::default());
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(20 * BATCH);
    let drain = thread::spawn({
        let total = Arc::clone(&total);
        move || {
            let mut batch = Vec::with_capacity(BATCH);
            while let Ok(item) = receiver.recv() {
                batch.push(item);
                batch.extend(receiver.try_iter().take(BATCH - 1));
                total.add(&batch);
                batch.clear();
            }
        }
    });
    let elapsed = produce(|item| sender.send(item).expect("the other side lives"));
    drop(sender);
    drain.join().expect("the drain does not panic");
    total.check();
    elapsed
}

fn tokio_mpsc(runtime: &Runtime) -> Duration {
    let total = Arc::new(Total::default());
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(20 * BATCH);
    let drain = runtime.spawn({
        let total = Arc::clone(&total);
        async move {
            let mut batch = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                total.add(&batch);
                batch.clear();
            }
        }
    });
    let elapsed = produce(|item| sender.blocking_send(item).expect("the other side lives"));
    drop(sender);
    runtime.block_on(drain).expect("the drain does not panic");
    total.check();
    elapsed
}
