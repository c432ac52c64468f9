//! Increments arrive in the sink as sums, one for each key and window, through failures, the close and the drop.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use buffer_core::testing::ScriptedSink;
use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, IncrementError, StatBuffer};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{advance, sleep};

/// Keeps the counts, after failing so many attempts as unavailable.
#[derive(Clone, Default)]
struct Database {
    counts: Arc<Mutex<Vec<Count<String>>>>,
    outage: Arc<AtomicUsize>,
}

impl Database {
    fn counts(&self) -> Vec<Count<String>> {
        self.counts.lock().clone()
    }

    fn totals(&self) -> HashMap<String, i128> {
        let mut totals = HashMap::new();
        for count in self.counts() {
            *totals.entry(count.key).or_default() += i128::from(count.delta);
        }
        totals
    }
}

/// Fails when the tables are made before the number of them is looked at.
#[tokio::test]
async fn too_many_partitions_are_refused_by_name() {
    for partitions in [0, usize::MAX] {
        let builder = StatBuffer::<String>::builder().partitions(partitions);
        let refused = builder
            .build(Database::default())
            .expect_err("this makes no sense");
        assert!(refused.to_string().contains("`partitions`"), "{refused}");
    }
}

/// Fails when the buffer's capacity, which nobody has set, is what is refused.
#[tokio::test]
async fn a_batch_size_that_no_capacity_holds_for_each_partition_is_refused_by_name() {
    for batch_size in [0, usize::MAX] {
        let builder = StatBuffer::<String>::builder()
            .partitions(2)
            .batch_size(batch_size);
        let refused = builder
            .build(Database::default())
            .expect_err("this makes no sense");
        assert!(refused.to_string().contains("`batch_size`"), "{refused}");
        assert!(!refused.to_string().contains("capacity"), "{refused}");
    }
}

#[tokio::test]
async fn a_window_of_no_length_or_of_years_is_refused_by_name() {
    for interval in [Duration::ZERO, Duration::MAX] {
        let builder = StatBuffer::<String>::builder().flush_interval(interval);
        let refused = builder
            .build(Database::default())
            .expect_err("this makes no sense");
        assert!(refused.to_string().contains("`flush_interval`"), "{refused}");
    }
    let builder = StatBuffer::<String>::builder().flush_jitter(Duration::MAX);
    let refused = builder
        .build(Database::default())
        .expect_err("this makes no sense");
    assert!(refused.to_string().contains("`flush_jitter`"), "{refused}");
}

/// Fails when the buffer's own times are what `build` looks at: the broken copy `an_interval_of_the_buffer_is_looked_at`.
#[tokio::test(start_paused = true)]
async fn an_interval_that_is_set_on_the_buffer_times_nothing_and_is_not_refused() {
    let database = Database::default();
    let stats = StatBuffer::builder()
        .buffer(|buffer| buffer.flush_interval(Duration::ZERO).flush_jitter(Duration::MAX))
        .build(database.clone())
        .unwrap();
    stats.increment("a", 1).unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(database.totals(), total("a", 1));
}

#[async_trait]
impl Flush<Count<String>> for Database {
    async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        // Relaxed: the number alone matters.
        let out = self
            .outage
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if out.is_ok() {
            return Err(FlushError::unavailable("scripted"));
        }
        self.counts.lock().extend_from_slice(batch);
        Ok(())
    }
}

async fn settle_down() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn total(key: &str, sum: i128) -> HashMap<String, i128> {
    HashMap::from([(key.to_owned(), sum)])
}

#[tokio::test(start_paused = true)]
async fn increments_are_summed_and_sent_once_for_each_key_and_window() {
    let database = Database::default();
    let stats = StatBuffer::builder().build(database.clone()).unwrap();
    for _ in 0..10 {
        stats.increment("a", 3).unwrap();
        stats.increment("b", -1).unwrap();
    }
    assert_eq!(
        (stats.count("a"), stats.count("b"), stats.count("c")),
        (30, -10, 0)
    );
    settle_down().await;
    assert!(database.counts().is_empty());
    advance(Duration::from_millis(1_201)).await;
    settle_down().await;
    let mut counts: Vec<_> = database
        .counts()
        .into_iter()
        .map(|count| (count.key, count.delta))
        .collect();
    counts.sort();
    assert_eq!(counts, [("a".to_owned(), 30), ("b".to_owned(), -10)]);
    assert_eq!(stats.count("a"), 0);

    stats.increment("a", 5).unwrap();
    settle_down().await;
    advance(Duration::from_millis(1_201)).await;
    settle_down().await;
    assert_eq!(database.totals()["a"], 35);
    let starts: Vec<SystemTime> = database
        .counts()
        .into_iter()
        .filter(|count| count.key == "a")
        .map(|count| count.window_start)
        .collect();
    assert!(starts[0] < starts[1]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_the_window_and_says_what_became_of_its_counts() {
    let database = Database::default();
    let stats = StatBuffer::builder().build(database.clone()).unwrap();
    stats.increment("a", 1).unwrap();
    assert_eq!(stats.flush().await.delivered, 1);
    stats.increment("a", 1).unwrap();
    assert_eq!(stats.flush().await.delivered, 1);
    assert_eq!(database.totals(), total("a", 2));
}

#[tokio::test(start_paused = true)]
async fn a_sum_of_zero_is_not_sent() {
    let database = Database::default();
    let stats = StatBuffer::builder().build(database.clone()).unwrap();
    stats.increment("a", 4).unwrap();
    stats.increment("a", -4).unwrap();
    assert_eq!(stats.flush().await.delivered, 0);
    assert!(database.counts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sum_beyond_64_bits_arrives_exactly() {
    for negative in [false, true] {
        let database = Database::default();
        let stats = StatBuffer::builder().build(database.clone()).unwrap();
        let n = if negative { i64::MIN } else { i64::MAX };
        for _ in 0..5 {
            stats.increment("a", n).unwrap();
        }
        assert_eq!(stats.count("a"), n);
        stats.flush().await;
        for _ in 0..3 {
            stats.increment("a", n).unwrap();
        }
        let _ = stats.close().await;
        assert_eq!(database.totals(), total("a", 8 * i128::from(n)));
        let mut windows: Vec<SystemTime> = database
            .counts()
            .into_iter()
            .map(|count| count.window_start)
            .collect();
        windows.dedup();
        assert_eq!(windows.len(), 8, "a key occurs once in a window");
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_sums_stay_bounded_by_their_keys_and_arrive_exactly_after_it() {
    let database = Database::default();
    database.outage.store(usize::MAX, Ordering::Relaxed);
    let stats = StatBuffer::builder()
        .partitions(1)
        .batch_size(2)
        .build(database.clone())
        .unwrap();
    let keys: Vec<String> = (0..10).map(|key| key.to_string()).collect();
    for _ in 0..50 {
        for key in &keys {
            stats.increment(key.as_str(), 1).unwrap();
        }
        advance(Duration::from_millis(1_201)).await;
        settle_down().await;
        assert!(stats.ledger().pending <= 2);
    }
    database.outage.store(0, Ordering::Relaxed);
    let summary = stats.close().await;
    assert_eq!(
        (
            summary.ledger.pending,
            summary.ledger.dropped.total(),
            summary.undelivered.len()
        ),
        (0, 0, 0)
    );
    assert_eq!(
        database.totals(),
        keys.into_iter().map(|key| (key, 50)).collect::<HashMap<_, _>>()
    );
}

#[tokio::test(start_paused = true)]
async fn every_key_gets_its_turn_when_a_window_is_larger_than_the_buffer() {
    let database = Database::default();
    let stats = StatBuffer::builder()
        .partitions(4)
        .batch_size(10)
        .build(database.clone())
        .unwrap();
    let keys: Vec<String> = (0..300).map(|key| key.to_string()).collect();
    for _ in 0..40 {
        for key in &keys {
            stats.increment(key.as_str(), 1).unwrap();
        }
        settle_down().await;
        advance(Duration::from_millis(1_201)).await;
        settle_down().await;
    }
    let totals = database.totals();
    assert_eq!(
        totals.len(),
        300,
        "each key was sent, though 40 have room at once"
    );
    let _ = stats.close().await;
    assert_eq!(database.totals(), keys.into_iter().map(|key| (key, 40)).collect());
}

#[tokio::test(start_paused = true)]
async fn a_close_takes_the_sums_along_and_refuses_what_comes_after() {
    let database = Database::default();
    let stats = StatBuffer::builder()
        .flush_interval(Duration::from_secs(3_600))
        .build(database.clone())
        .unwrap();
    stats.increment("a", 7).unwrap();
    let summary = stats.close().await;
    assert_eq!((summary.ledger.accepted, summary.ledger.delivered), (1, 1));
    assert_eq!(stats.increment("a", 1), Err(IncrementError::Closed));
    assert_eq!(database.totals(), total("a", 7));
}

/// Fails when a closed table gives the key a place: increments of it are then accepted, and go nowhere.
#[tokio::test(start_paused = true)]
async fn a_flush_of_a_key_after_the_close_lets_no_increment_in() {
    let database = Database::default();
    let stats = StatBuffer::<String>::builder().build(database.clone()).unwrap();
    stats.increment("a", 1).unwrap();
    let _ = stats.close().await;
    for key in ["a", "new"] {
        assert_eq!(stats.flush_key(key).await.delivered, 0);
        assert_eq!(stats.increment(key, 5), Err(IncrementError::Closed));
        assert_eq!(stats.outstanding(key), 0);
    }
    assert_eq!(database.totals(), total("a", 1));
}

/// Fails when counts are weighed: one that is too heavy stands in the way of all windows, and a weight that panics costs counts.
#[tokio::test(start_paused = true)]
async fn a_weight_that_is_set_on_the_buffer_holds_no_count_up_and_costs_none() {
    let heavy: fn(&Count<String>) -> usize = |count| if count.key == "a" { 1_000 } else { 1 };
    let panicking: fn(&Count<String>) -> usize = |count| {
        assert_ne!(count.key, "a", "scripted");
        1
    };
    for weigh in [heavy, panicking] {
        let database = Database::default();
        let stats = StatBuffer::builder()
            .partitions(1)
            .buffer(|buffer| buffer.weigh(weigh).batch_bytes(100).capacity_bytes(100))
            .build(database.clone())
            .unwrap();
        for key in ["a", "b", "c"] {
            stats.increment(key, 1).unwrap();
        }
        sleep(Duration::from_secs(60)).await;
        assert_eq!(database.counts().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_on_the_same_keys_with_windows_turning_come_to_exact_totals() {
    let database = Database::default();
    let stats = StatBuffer::builder()
        .flush_interval(Duration::from_millis(1))
        .flush_jitter(Duration::ZERO)
        .build(database.clone())
        .unwrap();
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let stats = stats.clone();
            std::thread::spawn(move || {
                for number in 0..100_000 {
                    stats.increment(["a", "b", "c"][number % 3], 1).unwrap();
                }
            })
        })
        .collect();
    while !producers.iter().all(std::thread::JoinHandle::is_finished) {
        stats.flush().await;
    }
    for producer in producers {
        producer.join().unwrap();
    }
    let _ = stats.close().await;
    let totals = database.totals();
    assert_eq!(
        (totals["a"], totals["b"], totals["c"]),
        (4 * 33_334, 4 * 33_333, 4 * 33_333)
    );
}

#[test]
fn sums_arrive_when_the_runtime_dies_with_handles_alive() {
    let database = Database::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stats = StatBuffer::builder()
        .runtime(runtime.handle().clone())
        .build(database.clone())
        .unwrap();
    stats.increment("a", 5).unwrap();
    drop(runtime);
    assert_eq!(database.totals(), total("a", 5));
    assert_eq!(stats.increment("a", 1), Err(IncrementError::Closed));
}

#[test]
fn sums_arrive_when_the_last_handle_goes_with_its_thread() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<StatBuffer<String>>> = const { std::cell::RefCell::new(None) };
    }
    let database = Database::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let stats = StatBuffer::builder()
        .runtime(runtime.handle().clone())
        .build(database.clone())
        .unwrap();
    let thread = std::thread::spawn(move || {
        stats.increment("a", 5).unwrap();
        KEPT.set(Some(stats));
    });
    thread.join().unwrap();
    drop(runtime);
    assert_eq!(database.totals(), total("a", 5));
}

#[tokio::test(start_paused = true)]
async fn counters_with_no_time_to_drain_return_every_count() {
    for _ in 0..20 {
        let database = Database::default();
        database.outage.store(usize::MAX, Ordering::Relaxed);
        let stats = StatBuffer::builder().build(database).unwrap();
        for key in 0..1_000 {
            stats.increment(key.to_string().as_str(), 1).unwrap();
        }
        stats.request_flush();
        settle_down().await;
        stats.increment("last", 1).unwrap();
        let summary = stats.close_within(Duration::ZERO).await;
        assert_eq!(
            (summary.ledger.accepted, summary.undelivered.len()),
            (1_001, 1_001)
        );
    }
}

#[test]
fn a_key_whose_comparison_panics_poisons_nothing() {
    #[derive(Clone)]
    struct Touchy(u32);
    impl std::hash::Hash for Touchy {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl PartialEq for Touchy {
        fn eq(&self, other: &Self) -> bool {
            assert!(self.0 == other.0 && self.0 != 13, "scripted");
            true
        }
    }
    impl Eq for Touchy {}
    struct Sum(Arc<Mutex<i64>>);
    #[async_trait]
    impl Flush<Count<Touchy>> for Sum {
        async fn flush(&self, batch: &mut Batch<Count<Touchy>>) -> Result<(), FlushError> {
            *self.0.lock() += batch.iter().map(|count| count.delta).sum::<i64>();
            Ok(())
        }
    }
    let sum = Arc::new(Mutex::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stats = StatBuffer::builder()
        .runtime(runtime.handle().clone())
        .build(Sum(Arc::clone(&sum)))
        .unwrap();
    stats.increment(&Touchy(13), 1).unwrap();
    let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stats.increment(&Touchy(13), 1)));
    assert!(again.is_err());
    stats.increment(&Touchy(7), 2).unwrap();
    let _ = runtime.block_on(stats.close());
    assert_eq!(*sum.lock(), 3);
}

/// A key of which the asking thread drops a copy: once its count has been settled, and not before.
#[derive(Clone)]
struct Lagging(Arc<(Mutex<bool>, Condvar)>);

const ASKING: &str = "asking";

impl Drop for Lagging {
    fn drop(&mut self) {
        let (is_settled, settled) = &*self.0;
        if thread::current().name() == Some(ASKING) {
            settled.wait_while(&mut is_settled.lock(), |is_settled| !*is_settled);
        }
    }
}

impl PartialEq for Lagging {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Lagging {}

impl Hash for Lagging {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// Fails when what is settled is looked at after the count has gone on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_of_one_key_reports_a_count_that_was_settled_before_it_could_wait_for_it() {
    let key = Lagging(Arc::default());
    let told = key.clone();
    let stats = StatBuffer::builder()
        .on_outcome(move |_| {
            *told.0.0.lock() = true;
            told.0.1.notify_all();
        })
        .build(ScriptedSink::new([]))
        .unwrap();
    stats.increment(&key, 1).unwrap();
    let runtime = Handle::current();
    let asking = thread::Builder::new().name(ASKING.to_owned());
    let asking = asking
        .spawn(move || runtime.block_on(stats.flush_key(&key)))
        .unwrap();
    let report = spawn_blocking(|| asking.join().unwrap()).await.unwrap();
    assert_eq!(report.delivered, 1);
}
