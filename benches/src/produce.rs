//! Runs the threads or tasks that insert.

use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

/// Runs `threads` threads, of which each does `work` with its share of `0..items`, and measures until all of them are through.
pub fn produce(threads: u64, items: u64, work: impl Fn(Range<u64>) + Sync) -> Duration {
    let start = Barrier::new(threads as usize + 1);
    let share = items / threads;
    thread::scope(|scope| {
        let producers: Vec<_> = (0..threads)
            .map(|thread| {
                let (work, start) = (&work, &start);
                scope.spawn(move || {
                    start.wait();
                    work(thread * share..(thread + 1) * share);
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

/// Runs `tasks` tasks, of which each does `work` with its share of `0..items`, and measures until all of them are through.
pub fn produce_in_tasks<F>(
    runtime: &Runtime,
    tasks: u64,
    items: u64,
    work: impl Fn(Range<u64>) -> F,
) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let share = items / tasks;
    runtime.block_on(async {
        let begin = Instant::now();
        let producers: Vec<_> = (0..tasks)
            .map(|task| tokio::spawn(work(task * share..(task + 1) * share)))
            .collect();
        for producer in producers {
            producer.await.expect("producers do not panic");
        }
        begin.elapsed()
    })
}
