//! Keys whose own code panics: it costs the increment in which it happens, and no sum.

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use parking_lot::Mutex;
use tokio::time::sleep;

/// When the code of keys panics.
#[derive(Default)]
struct Script {
    hash: AtomicBool,
    clone: AtomicBool,
    /// The clones of the key `BAD` that go well before one panics, if one is to.
    clones_of_bad: Mutex<Option<usize>>,
    /// How many of its clones panic then, if not all.
    panics_left: Mutex<Option<usize>>,
    /// Whether the key `BAD` panics when it is dropped.
    drop_of_bad: AtomicBool,
}

const BAD: u32 = 5;

/// A key whose code panics by a script.
struct Touchy {
    name: u32,
    script: Arc<Script>,
}

// Relaxed throughout: the threads are joined.
fn trip(switch: &AtomicBool) {
    assert!(!switch.load(Ordering::Relaxed), "scripted");
}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        trip(&self.script.hash);
        self.name.hash(state);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Touchy {}

impl Clone for Touchy {
    fn clone(&self) -> Self {
        trip(&self.script.clone);
        let mut left = self.script.clones_of_bad.lock();
        if let Some(left) = left.as_mut().filter(|_| self.name == BAD) {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    let mut panics_left = self.script.panics_left.lock();
                    let goes_well = *panics_left == Some(0);
                    *panics_left = panics_left.map(|panics: usize| panics.saturating_sub(1));
                    assert!(goes_well, "scripted");
                }
            }
        }
        Self {
            name: self.name,
            script: Arc::clone(&self.script),
        }
    }
}

impl Drop for Touchy {
    fn drop(&mut self) {
        if self.name == BAD && !std::thread::panicking() {
            trip(&self.script.drop_of_bad);
        }
    }
}

/// Adds up what arrives; sums of `BAD` may be large.
#[derive(Clone, Default)]
struct Sums {
    all: Arc<Mutex<i128>>,
    of_bad: Arc<Mutex<i128>>,
}

#[async_trait]
impl Flush<Count<Touchy>> for Sums {
    async fn flush(&self, batch: &mut Batch<Count<Touchy>>) -> Result<(), FlushError> {
        for count in batch.iter() {
            let sum = if count.key.name == BAD {
                &self.of_bad
            } else {
                &self.all
            };
            *sum.lock() += i128::from(count.delta);
        }
        Ok(())
    }
}

fn on(switch: &AtomicBool, on: bool) {
    switch.store(on, Ordering::Relaxed);
}

/// Counters of such keys, and what makes a key.
fn counters(
    partitions: usize,
    sums: &Sums,
) -> (
    StatBuffer<Touchy>,
    Arc<Script>,
    impl Fn(u32) -> Touchy + Sync + use<>,
) {
    let stats = StatBuffer::builder()
        .partitions(partitions)
        .build(sums.clone())
        .unwrap();
    let script = Arc::<Script>::default();
    let of_keys = Arc::clone(&script);
    let key = move |name| Touchy {
        name,
        script: Arc::clone(&of_keys),
    };
    (stats, script, key)
}

/// Fails when a sum is reset before its key was copied.
#[tokio::test(start_paused = true)]
async fn a_key_whose_hash_or_clone_panics_loses_no_sum() {
    let sums = Sums::default();
    let (stats, script, key) = counters(2, &sums);
    for name in 0..10 {
        stats.increment(&key(name), 1).unwrap();
    }
    for switch in [&script.hash, &script.clone] {
        on(switch, true);
        assert!(catch_unwind(AssertUnwindSafe(|| stats.increment(&key(11), 1))).is_err());
        // Windows end, and callers ask.
        sleep(Duration::from_secs(60)).await;
        let _ = catch_unwind(AssertUnwindSafe(|| stats.request_flush()));
        on(switch, false);
        stats.increment(&key(1), 1).unwrap();
    }
    stats.increment(&key(11), 1).unwrap();
    sleep(Duration::from_secs(60)).await;
    let all = || *sums.all.lock() + *sums.of_bad.lock();
    assert_eq!(all(), 13);
    for name in 0..12 {
        assert_eq!(stats.outstanding(&key(name)), 0);
    }
    let _ = stats.close().await;
    assert_eq!(all(), 13);
}

/// Fails when the panic costs the sink its next attempt: the broken copy `a_hash_that_panics_on_the_way_back`.
#[tokio::test(start_paused = true)]
async fn a_key_whose_hash_panics_while_counts_go_back_keeps_no_partition() {
    /// Writes nothing in the first two attempts.
    struct Late(Sums, Mutex<u32>);
    #[async_trait]
    impl Flush<Count<Touchy>> for Late {
        async fn flush(&self, batch: &mut Batch<Count<Touchy>>) -> Result<(), FlushError> {
            let left = self.1.lock().checked_sub(1);
            if let Some(left) = left {
                *self.1.lock() = left;
                return Err(FlushError::transient("scripted"));
            }
            self.0.flush(batch).await
        }
    }
    let sums = Sums::default();
    let stats = StatBuffer::builder()
        .partitions(1)
        .retries(0)
        .build(Late(sums.clone(), Mutex::new(2)))
        .unwrap();
    let script = Arc::<Script>::default();
    for name in 0..10 {
        let script = Arc::clone(&script);
        stats.increment(&Touchy { name, script }, 1).unwrap();
    }
    stats.request_flush();
    on(&script.hash, true);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(*sums.all.lock() + *sums.of_bad.lock(), 10);
    assert_eq!((stats.tallies().merged_back, stats.ledger().pending), (0, 0));
    assert_eq!(stats.stats().failed_attempts, 2, "none but those of the sink");
}

/// Fails when the key stays on its way, and its sum waits for all other counts: the broken copy `a_settled_key_stays_on_its_way`.
#[tokio::test(start_paused = true)]
async fn a_key_whose_hash_panics_while_its_count_is_settled_is_sent_again() {
    /// Never answers for `BAD`.
    struct Hangs(Sums);
    #[async_trait]
    impl Flush<Count<Touchy>> for Hangs {
        async fn flush(&self, batch: &mut Batch<Count<Touchy>>) -> Result<(), FlushError> {
            if batch[0].key.name == BAD {
                std::future::pending::<()>().await;
            }
            // Until the count is settled.
            on(&batch[0].key.script.hash, true);
            self.0.flush(batch).await
        }
    }
    let (sums, script) = (Sums::default(), Arc::<Script>::default());
    let settled = Arc::clone(&script);
    let stats = StatBuffer::builder()
        .partitions(2)
        .batch_size(1)
        .on_outcome(move |_| on(&settled.hash, false))
        .build(Hangs(sums.clone()))
        .unwrap();
    let key = |name| Touchy {
        name,
        script: Arc::clone(&script),
    };
    stats.increment(&key(BAD), 1).unwrap();
    for round in 1..=3 {
        stats.increment(&key(1), 1).unwrap();
        sleep(Duration::from_secs(60)).await;
        assert_eq!((*sums.all.lock(), stats.outstanding(&key(1))), (round, 0));
    }
    let _ = stats.close_within(Duration::ZERO).await;
}

/// Fails when the window that those before it have begun has no timer.
#[tokio::test(start_paused = true)]
async fn a_key_that_panics_among_many_leaves_those_before_it_a_window_that_ends() {
    let sums = Sums::default();
    let (stats, script, key) = counters(1, &sums);
    // The driver waits for a first increment, with no timer of its own.
    sleep(Duration::from_secs(60)).await;
    *script.clones_of_bad.lock() = Some(0);
    let many = [(&key(1), 1), (&key(BAD), 1), (&key(2), 1)];
    assert!(catch_unwind(AssertUnwindSafe(|| stats.increment_many(&many))).is_err());
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*sums.all.lock(), 1);
}

/// Fails when an idle key that is forgotten at a window's end, or one that stands in two tables, takes the others along.
#[tokio::test(start_paused = true)]
async fn a_key_whose_destructor_panics_at_a_window_s_end_loses_no_sum() {
    let sums = Sums::default();
    let (stats, script, key) = counters(2, &sums);
    for round in 1..=3 {
        let (first, second) = (2 * (round - 1) * 8 * 9, 8 * 9);
        // Threads have homes by turns: all keys stand in both tables.
        for _ in 0..8 {
            std::thread::scope(|scope| {
                scope.spawn(|| (0..10).for_each(|name| stats.increment(&key(name), 1).unwrap()));
            });
        }
        on(&script.drop_of_bad, true);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(*sums.all.lock(), first + second, "the bad one stands twice");
        on(&script.drop_of_bad, false);
        for name in (0..10).filter(|name| *name != BAD) {
            for _ in 0..8 {
                std::thread::scope(|scope| {
                    scope.spawn(|| stats.increment(&key(name), 1).unwrap());
                });
            }
        }
        on(&script.drop_of_bad, true);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(*sums.all.lock(), first + 2 * second, "the bad one is idle");
        on(&script.drop_of_bad, false);
    }
    assert_eq!(*sums.of_bad.lock(), 3 * 8);
    assert_eq!(stats.close().await.ledger.pending, 0);
}

/// Fails when an idle key that is dropped at the close takes the others along.
#[tokio::test(start_paused = true)]
async fn a_key_whose_destructor_panics_at_the_close_loses_no_sum() {
    let sums = Sums::default();
    let (stats, script, key) = counters(1, &sums);
    stats.increment(&key(BAD), 1).unwrap();
    stats.flush().await;
    for name in (0..100).filter(|name| *name != BAD) {
        stats.increment(&key(name), 1).unwrap();
    }
    on(&script.drop_of_bad, true);
    let _ = stats.close().await;
    on(&script.drop_of_bad, false);
    assert_eq!((*sums.all.lock(), *sums.of_bad.lock()), (99, 1));
}

/// Fails when a sum that can't be divided takes those behind it along, or is forgotten itself.
#[tokio::test(start_paused = true)]
async fn a_key_whose_clone_panics_while_its_sum_is_divided_loses_no_sum() {
    let large = 3 * i128::from(i64::MAX);
    // None of its clones, or the one for its second or its third part; those before are for the table and what is on its way.
    for clones in 0..6 {
        let sums = Sums::default();
        let (stats, script, key) = counters(1, &sums);
        for name in 0..100 {
            stats.increment(&key(name), 1).unwrap();
        }
        for _ in 0..3 {
            stats.increment(&key(BAD), i64::MAX).unwrap();
        }
        stats.increment(&key(BAD), -1).unwrap();
        *script.clones_of_bad.lock() = Some(clones);
        stats.flush().await;
        assert_eq!(*sums.all.lock(), 99, "{clones} clones");
        let outstanding = i128::from(stats.outstanding(&key(BAD)));
        assert_eq!(outstanding, (large - *sums.of_bad.lock()).min(i64::MAX.into()));
        *script.clones_of_bad.lock() = None;
        stats.flush().await;
        assert_eq!(*sums.of_bad.lock(), large, "{clones} clones");
        let _ = stats.close().await;
    }
}

/// Fails when a sum that can't be divided takes the others along, for which there is no other time.
#[tokio::test(start_paused = true)]
async fn a_key_whose_clone_panics_at_the_close_costs_itself_alone() {
    let sums = Sums::default();
    let (stats, script, key) = counters(1, &sums);
    for name in 0..100 {
        stats.increment(&key(name), 1).unwrap();
    }
    for _ in 0..9 {
        stats.increment(&key(BAD), i64::MAX).unwrap();
    }
    *script.clones_of_bad.lock() = Some(0);
    let _ = stats.close().await;
    assert_eq!(*sums.all.lock(), 99);
    assert!(
        *sums.of_bad.lock() < 9 * i128::from(i64::MAX),
        "not all of it can be sent"
    );
    assert_eq!(
        stats.outstanding(&key(BAD)),
        i64::MAX,
        "the nearest to what is left"
    );
}

/// Fails when what stays behind is not asked for once more.
#[tokio::test(start_paused = true)]
async fn a_flush_goes_on_with_a_sum_that_stayed_as_its_key_panicked_once() {
    // The first clone is for the take, and the second for what is on its way.
    for clones in 0..2 {
        let sums = Sums::default();
        let (stats, script, key) = counters(1, &sums);
        stats.increment(&key(BAD), 3).unwrap();
        stats.increment(&key(1), 1).unwrap();
        *script.clones_of_bad.lock() = Some(clones);
        *script.panics_left.lock() = Some(1);
        stats.flush().await;
        assert_eq!((*sums.all.lock(), *sums.of_bad.lock()), (1, 3), "{clones} clones");
        let _ = stats.close().await;
    }
}

/// Fails when two counts of a key have one window: a sink that tells counts by key and window would add the first alone.
#[tokio::test(start_paused = true)]
async fn counts_of_a_key_that_can_t_be_told_from_another_have_windows_of_their_own() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stats = StatBuffer::builder()
        .partitions(2)
        .flush_interval(Duration::from_secs(3_600))
        .build(Starts(Arc::clone(&seen)))
        .unwrap();
    let script = Arc::<Script>::default();
    let bad = || Touchy {
        name: BAD,
        script: Arc::clone(&script),
    };
    // Two threads have two homes.
    for _ in 0..2 {
        std::thread::scope(|scope| {
            scope.spawn(|| stats.increment(&bad(), 5).unwrap());
        });
    }
    on(&script.clone, true);
    let _ = stats.close().await;
    on(&script.clone, false);
    let mut starts = seen.lock().clone();
    assert_eq!(starts.iter().map(|(delta, _)| delta).sum::<i64>(), 10);
    starts.sort_by_key(|(_, start)| *start);
    assert!(starts.windows(2).all(|two| two[0].1 < two[1].1), "{starts:?}");
}

/// Notes the deltas and the starts of their windows.
struct Starts(Arc<Mutex<Vec<(i64, std::time::SystemTime)>>>);

#[async_trait]
impl Flush<Count<Touchy>> for Starts {
    async fn flush(&self, batch: &mut Batch<Count<Touchy>>) -> Result<(), FlushError> {
        let counts = batch.iter().map(|count| (count.delta, count.window_start));
        self.0.lock().extend(counts);
        Ok(())
    }
}
