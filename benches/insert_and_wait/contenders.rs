//! The ways to an answer for each item: ours, what is possible at least, and the libraries that batch for callers who wait.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use batch_aint_one::{Batcher, BatchingPolicy, Limits, Processor};
use batched::batched;
use buffer_benches::{Total, produce_in_tasks};
use buffer_core::Buffer;
use tower_batch::{Batch, BatchControl, BoxError};
use tower_service::Service;

use crate::Load;
use crate::floor::Floor;

/// What each task has a clone of.
trait InsertAndWait: Clone + Send + Sync + 'static {
    fn insert_and_wait(&mut self, item: u64) -> impl Future<Output = ()> + Send;
}

/// Lets the tasks insert, and says what an item cost.
fn timed(load: Load<'_>, insert: &impl InsertAndWait) -> f64 {
    let elapsed = produce_in_tasks(load.runtime, load.tasks, load.items, |numbers| {
        let mut insert = insert.clone();
        async move {
            for number in numbers {
                insert.insert_and_wait(number).await;
            }
        }
    });
    elapsed.as_nanos() as f64 / load.items as f64
}

impl InsertAndWait for Buffer<u64> {
    async fn insert_and_wait(&mut self, item: u64) {
        Buffer::insert_and_wait(self, item).await.expect("delivered");
    }
}

pub(crate) fn buffer(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(load.batch)
        .runtime(load.runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let cost = timed(load, &buffer);
    // Before the close: whoever got an answer finds the item delivered.
    total.check(load.items);
    let _ = load.runtime.block_on(buffer.close());
    cost
}

impl InsertAndWait for Floor {
    async fn insert_and_wait(&mut self, item: u64) {
        Floor::insert_and_wait(self, item).await;
    }
}

pub(crate) fn floor(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let (floor, task) = Floor::new(load.runtime, load.batch, load.capacity(), Arc::clone(&total));
    let cost = timed(load, &floor);
    total.check(load.items);
    drop(floor);
    load.runtime.block_on(task).expect("it does not panic");
    cost
}

#[derive(Debug, Clone)]
struct Adds(Arc<Total>);

impl Processor for Adds {
    type Key = ();
    type Input = u64;
    type Output = ();
    type Error = Infallible;
    type Resources = ();

    async fn acquire_resources(&self, (): ()) -> Result<(), Infallible> {
        Ok(())
    }

    async fn process(
        &self,
        (): (),
        inputs: impl Iterator<Item = u64> + Send,
        (): (),
    ) -> Result<Vec<()>, Infallible> {
        let items: Vec<u64> = inputs.collect();
        self.0.add(&items);
        Ok(vec![(); items.len()])
    }
}

impl InsertAndWait for Arc<Batcher<Adds>> {
    async fn insert_and_wait(&mut self, item: u64) {
        self.add((), item).await.expect("delivered");
    }
}

/// Two batches at the same time, as ours has with its two partitions, and the next one as soon as one ends.
pub(crate) fn batch_aint_one(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let entered = load.runtime.enter();
    let limits = Limits::builder()
        .max_batch_size(load.batch)
        .max_key_concurrency(2)
        .max_key_queued_items(load.capacity())
        .build();
    let batcher = Batcher::builder()
        .name("bench")
        .processor(Adds(Arc::clone(&total)))
        .limits(limits)
        .batching_policy(BatchingPolicy::Immediate)
        .build();
    drop(entered);
    let cost = timed(load, &Arc::new(batcher));
    total.check(load.items);
    cost
}

/// Collects items, and adds them up when it is told to.
struct Collects {
    items: Vec<u64>,
    total: Arc<Total>,
}

impl Service<BatchControl<u64>> for Collects {
    type Response = ();
    type Error = BoxError;
    type Future = Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, control: BatchControl<u64>) -> Self::Future {
        match control {
            BatchControl::Item(item) => self.items.push(item),
            BatchControl::Flush => {
                self.total.add(&self.items);
                self.items.clear();
            }
        }
        ready(Ok(()))
    }
}

impl InsertAndWait for Batch<Collects, u64> {
    async fn insert_and_wait(&mut self, item: u64) {
        poll_fn(|context| self.poll_ready(context)).await.expect("open");
        self.call(item).await.expect("delivered");
    }
}

pub(crate) fn tower_batch(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let entered = load.runtime.enter();
    let collects = Collects {
        items: Vec::new(),
        total: Arc::clone(&total),
    };
    let batch = Batch::new(collects, load.batch, Duration::from_millis(1));
    drop(entered);
    let cost = timed(load, &batch);
    total.check(load.items);
    cost
}

/// Where the functions below, which have no other argument than items, add up.
static TOTAL: Mutex<Option<Arc<Total>>> = Mutex::new(None);

fn add(items: &[u64]) {
    let total = TOTAL.lock().expect("nobody panics").clone();
    total.expect("set before").add(items);
}

#[batched(window = 1, limit = 100)]
async fn add_hundreds(items: Vec<u64>) {
    add(&items);
}

#[batched(window = 1, limit = 1000)]
async fn add_thousands(items: Vec<u64>) {
    add(&items);
}

#[derive(Clone)]
struct Function {
    batch: usize,
}

impl InsertAndWait for Function {
    async fn insert_and_wait(&mut self, item: u64) {
        match self.batch {
            100 => add_hundreds(item).await,
            1_000 => add_thousands(item).await,
            batch => unreachable!("no function for {batch}"),
        }
    }
}

pub(crate) fn batched_function(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    *TOTAL.lock().expect("nobody panics") = Some(Arc::clone(&total));
    let cost = timed(load, &Function { batch: load.batch });
    total.check(load.items);
    cost
}
