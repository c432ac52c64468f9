//! A property over whole flows: whatever the callers, the sink and the clock do, every increment is in one place.
//!
//! For each key, `incremented = delivered + outstanding + dropped + returned`, after every step. `PROPTEST_CASES` sets the number of
//! flows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Batch, BatchId, DropReason, Flush, FlushError, async_trait};
use buffer_stat::{Count, IncrementError, MaxKeys, StatBuffer};
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::time::sleep;

type Totals = BTreeMap<u8, i128>;

#[derive(Debug, Clone)]
enum Step {
    Increment(u8, i64),
    IncrementMany(Vec<(u8, i64)>),
    Sleep(Duration),
    RequestFlush,
    /// A flush whose caller goes away after so long.
    Flush(Duration),
    FlushKey(u8, Duration),
}

#[derive(Debug, Clone)]
struct Flow {
    partitions: usize,
    batch_size: usize,
    retries: u32,
    max_keys: usize,
    beyond: MaxKeys<u8>,
    zero_sums: bool,
    script: Vec<Reply>,
    steps: Vec<Step>,
    close_within: Duration,
}

fn delta() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -3..=3_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn delay() -> impl Strategy<Value = Duration> {
    prop_oneof![0..10_u64, 100..3_000_u64, 60_000..600_000_u64].prop_map(Duration::from_millis)
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..6_u8;
    prop_oneof![
        6 => (key.clone(), delta()).prop_map(|(key, n)| Step::Increment(key, n)),
        2 => prop::collection::vec((key.clone(), delta()), 0..9).prop_map(Step::IncrementMany),
        3 => delay().prop_map(Step::Sleep),
        1 => Just(Step::RequestFlush),
        1 => delay().prop_map(Step::Flush),
        1 => (key, delay()).prop_map(|(key, limit)| Step::FlushKey(key, limit)),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let end = prop_oneof![
        4 => Just(Reply::Ok),
        4 => Just(Reply::Transient),
        2 => Just(Reply::Uncertain),
        2 => Just(Reply::Unavailable),
        1 => Just(Reply::Divisible),
        1 => Just(Reply::Permanent),
        1 => Just(Reply::Never),
        1 => Just(Reply::Panic),
    ];
    (end, 0..4_u8, 0..5_000_u64).prop_map(|(end, marks, after)| match marks {
        0 => Reply::deliver(0..1, end),
        1 => Reply::reject(0, end),
        2 => Reply::after(Duration::from_millis(after), end),
        _ => end,
    })
}

fn flow() -> impl Strategy<Value = Flow> {
    let beyond = prop_oneof![
        Just(MaxKeys::FlushEarly),
        Just(MaxKeys::FoldInto(99)),
        Just(MaxKeys::Refuse)
    ];
    let settings = (
        1..4_usize,
        1..5_usize,
        0..3_u32,
        prop_oneof![Just(usize::MAX), 1..5_usize],
        beyond,
    );
    let script = prop::collection::vec(reply(), 0..40);
    let steps = prop::collection::vec(step(), 1..40);
    (settings, any::<bool>(), script, steps, delay()).prop_map(
        |(settings, zero_sums, script, steps, close_within)| {
            let (partitions, batch_size, retries, max_keys, beyond) = settings;
            Flow {
                partitions,
                batch_size,
                retries,
                max_keys,
                beyond,
                zero_sums,
                script,
                steps,
                close_within,
            }
        },
    )
}

/// What the sink saw of each batch: the same content under the same id in every attempt, while nothing was marked.
#[derive(Clone)]
struct Watched {
    sink: ScriptedSink<Count<u8>>,
    contents: Arc<Mutex<HashMap<BatchId, Vec<Count<u8>>>>>,
    // Relaxed: read on the same thread.
    changed: Arc<AtomicBool>,
}

impl Watched {
    fn watch(&self, batch: &Batch<Count<u8>>) {
        let mut contents = self.contents.lock();
        let known = contents.entry(batch.id()).or_insert_with(|| batch.to_vec());
        if known[..] != batch[..] {
            self.changed.store(true, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Flush<Count<u8>> for Watched {
    async fn flush(&self, batch: &mut Batch<Count<u8>>) -> Result<(), FlushError> {
        self.watch(batch);
        self.sink.flush(batch).await
    }
}

fn add(totals: &Mutex<Totals>, key: u8, n: i128) {
    *totals.lock().entry(key).or_default() += n;
}

async fn run(flow: Flow) -> Result<(), TestCaseError> {
    let Flow {
        partitions,
        batch_size,
        retries,
        max_keys,
        beyond,
        zero_sums,
        script,
        steps,
        close_within,
    } = flow;
    let script = Mutex::new(script.into_iter().collect::<VecDeque<_>>());
    let sink = Watched {
        sink: ScriptedSink::answering(move |_| script.lock().pop_front().unwrap_or(Reply::Ok)),
        contents: Arc::default(),
        changed: Arc::default(),
    };
    let settled: Arc<Mutex<Totals>> = Arc::default();
    let mut builder = StatBuffer::builder()
        .partitions(partitions)
        .batch_size(batch_size)
        .retries(retries)
        .max_keys(max_keys, beyond.clone())
        .on_outcome({
            let settled = Arc::clone(&settled);
            move |outcome| {
                for count in outcome.items {
                    add(&settled, count.key, count.delta.into());
                }
            }
        });
    if zero_sums {
        builder = builder.send_zero_sums();
    }
    let stats = builder.build(sink.clone()).unwrap();
    let incremented = Mutex::new(Totals::new());
    // What a key beyond the bound was counted under is told by the tallies alone.
    let increment = |key: u8, n: i64| {
        let folded = stats.tallies().folded;
        match stats.increment(&key, n) {
            Ok(()) if stats.tallies().folded > folded => add(&incremented, 99, n.into()),
            Ok(()) => add(&incremented, key, n.into()),
            Err(error) => assert_eq!(error, IncrementError::TooManyKeys),
        }
    };
    // Sums beyond 64 bits are shown as the nearest end, so those can't be compared while they are outstanding.
    let check = |place: &str| {
        for (key, expected) in incremented.lock().iter() {
            let settled = settled.lock().get(key).copied().unwrap_or_default();
            let left = expected - settled;
            let shown = i64::try_from(left).unwrap_or(if left < 0 { i64::MIN } else { i64::MAX });
            prop_assert_eq!(stats.outstanding(key), shown, "{} {}", place, key);
        }
        let ledger = stats.ledger();
        let accounted = ledger.delivered + ledger.dropped.total() + ledger.returned + ledger.pending;
        prop_assert_eq!(ledger.accepted, accounted);
        Ok(())
    };
    for step in steps {
        match step {
            Step::Increment(key, n) => increment(key, n),
            Step::IncrementMany(increments) if beyond == MaxKeys::FlushEarly => {
                let borrowed: Vec<_> = increments.iter().map(|(key, n)| (key, *n)).collect();
                stats.increment_many(&borrowed).unwrap();
                for (key, n) in increments {
                    add(&incremented, key, n.into());
                }
            }
            Step::IncrementMany(increments) => {
                increments.into_iter().for_each(|(key, n)| increment(key, n));
            }
            Step::Sleep(delay) => sleep(delay).await,
            Step::RequestFlush => stats.request_flush(),
            Step::Flush(limit) => drop(tokio::time::timeout(limit, stats.flush()).await),
            Step::FlushKey(key, limit) => drop(tokio::time::timeout(limit, stats.flush_key(&key)).await),
        }
        check("on the way")?;
        prop_assert!(stats.ledger().pending <= (partitions * batch_size) as u64);
    }
    let summary = stats.close_within(close_within).await;
    prop_assert_eq!(summary.ledger.pending, 0);
    let merged_back = stats.tallies().merged_back;
    let undelivered = summary.undelivered.len() as u64;
    prop_assert_eq!(summary.ledger.returned, merged_back + undelivered);
    prop_assert_eq!(summary.ledger.dropped.count(DropReason::Unconfirmed), 0);
    prop_assert_eq!(summary.ledger.dropped.count(DropReason::RetriesExhausted), 0);
    prop_assert!(!sink.changed.load(Ordering::Relaxed));
    stats.flush_key(&0).await;
    prop_assert_eq!(stats.increment(&0, 1), Err(IncrementError::Closed));
    check("at the end")?;
    for (key, expected) in incremented.lock().iter() {
        // Delivered, dropped and returned: all of it came by the hook.
        let settled = settled.lock().get(key).copied().unwrap_or_default();
        prop_assert_eq!(settled, *expected, "{}", key);
    }
    let delivered = sink.sink.delivered().len() as u64;
    prop_assert_eq!(summary.ledger.delivered, delivered);
    Ok(())
}

proptest! {
    /// Fails when what goes back is not summed on, when a batch that may have been written goes back, when a close leaves the
    /// rest, and when a part of a large sum is forgotten.
    #[test]
    fn every_increment_of_any_flow_is_in_one_place(flow in flow()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(flow))?;
    }
}
