//! Runs the threads or tasks that insert.

use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

/// Runs `threads` threads, of which each does `work` with its share of `0..items`, and measures from the first one's begin to the last
/// one's end.
///
/// They look at the clock themselves: where they take all cores, who waits for them hears of their begin when they are half through.
pub fn produce(threads: u64, items: u64, work: impl Fn(Range<u64>) + Sync) -> Duration {
    let start = Barrier::new(threads as usize);
    let share = items / threads;
    let times: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let producers: Vec<_> = (0..threads)
            .map(|thread| {
                let (work, start) = (&work, &start);
                scope.spawn(move || {
                    start.wait();
                    let begin = Instant::now();
                    work(thread * share..(thread + 1) * share);
                    (begin, Instant::now())
                })
            })
            .collect();
        let times = producers.into_iter().map(|producer| producer.join());
        times
            .map(|times| times.expect("producers do not panic"))
            .collect()
    });
    let begin = times.iter().map(|(begin, _)| *begin).min();
    let end = times.iter().map(|(_, end)| *end).max();
    match (begin, end) {
        (Some(begin), Some(end)) => end - begin,
        _ => Duration::ZERO,
    }
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
