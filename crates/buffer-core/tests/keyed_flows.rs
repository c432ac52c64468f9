//! Flows of keyed values drawn at random: whatever the calls come to, each value is accounted for, once and in its key's order.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Buffer, DropReason, FlushError, FlushKey, Outcome, async_trait};
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;

/// A key, and the position of a value among its key's.
type Item = (u8, u32);

#[derive(Debug, Clone)]
struct Case {
    partitions: usize,
    batch_size: usize,
    retries: u32,
    keys: Vec<u8>,
    script: Vec<Answer>,
    close_within: Option<Duration>,
}

/// What one call comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Written,
    Slow,
    Transient,
    Uncertain,
    Unavailable,
    Permanent,
    Divisible,
    Never,
    Panic,
}

fn cases() -> impl Strategy<Value = Case> {
    let answer = prop_oneof![
        4 => Just(Answer::Written),
        1 => Just(Answer::Slow),
        2 => Just(Answer::Transient),
        1 => Just(Answer::Uncertain),
        1 => Just(Answer::Unavailable),
        1 => Just(Answer::Permanent),
        2 => Just(Answer::Divisible),
        1 => Just(Answer::Never),
        1 => Just(Answer::Panic),
    ];
    let close_within = proptest::option::of((0..30_000u64).prop_map(Duration::from_millis));
    let settings = (1..=3usize, 1..=12usize, 0..=3u32);
    (settings, vec(0..5u8, 0..60), vec(answer, 0..60), close_within).prop_map(
        |((partitions, batch_size, retries), keys, script, close_within)| Case {
            partitions,
            batch_size,
            retries,
            keys,
            script,
            close_within,
        },
    )
}

/// What a call came to, and its values.
type Call = (Answer, Vec<Item>);

/// A sink that answers by a script, then writes, and keeps its own books.
#[derive(Clone, Default)]
struct Books {
    script: Arc<Mutex<VecDeque<Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    written: Arc<Mutex<Vec<Item>>>,
    outcomes: Arc<Mutex<Vec<(Item, Outcome)>>>,
}

#[async_trait]
impl FlushKey<u8, u32> for Books {
    async fn flush(&self, key: &u8, values: &[&u32]) -> Result<(), FlushError> {
        let answer = self.script.lock().pop_front().unwrap_or(Answer::Written);
        let items: Vec<Item> = values.iter().map(|value| (*key, **value)).collect();
        self.calls.lock().push((answer, items.clone()));
        match answer {
            Answer::Written => {}
            Answer::Slow => tokio::time::sleep(Duration::from_secs(4)).await,
            Answer::Transient => return Err(FlushError::transient("scripted")),
            Answer::Uncertain => return Err(FlushError::uncertain("scripted")),
            Answer::Unavailable => return Err(FlushError::unavailable("scripted")),
            Answer::Permanent => return Err(FlushError::permanent("scripted")),
            Answer::Divisible => return Err(FlushError::divisible("scripted")),
            Answer::Never => std::future::pending().await,
            Answer::Panic => std::panic::panic_any("scripted"),
        }
        self.written.lock().extend(items);
        Ok(())
    }
}

async fn run(case: Case) {
    let books = Books::default();
    books.script.lock().extend(case.script);
    let outcomes = Arc::clone(&books.outcomes);
    let buffer = Buffer::builder()
        .partitions(case.partitions)
        .batch_size(case.batch_size)
        .capacity(1_000)
        .retries(case.retries)
        .drain_timeout(Duration::from_secs(3_600))
        .on_outcome(move |settled| {
            let settled_now = settled.items.iter().map(|item| (*item, settled.outcome));
            outcomes.lock().extend(settled_now);
        })
        .build_keyed(books.clone())
        .unwrap();
    let mut next = BTreeMap::<u8, u32>::new();
    for key in &case.keys {
        let value = next.entry(*key).or_default();
        buffer.insert(*key, *value).await.unwrap();
        *value += 1;
    }
    let summary = match case.close_within {
        Some(limit) => buffer.buffer().close_within(limit).await,
        None => buffer.close().await,
    };

    let (mut outcomes, calls) = (books.outcomes.lock().clone(), books.calls.lock());
    outcomes.sort_unstable_by_key(|(item, _)| *item);
    let items = |outcome| {
        let with_it = outcomes.iter().filter(move |(_, own)| *own == outcome);
        with_it.map(|(item, _)| *item).collect::<Vec<Item>>()
    };
    let settled: Vec<Item> = outcomes.iter().map(|(item, _)| *item).collect();
    let inserted = next
        .iter()
        .flat_map(|(key, count)| (0..*count).map(|value| (*key, value)));
    assert_eq!(settled, inserted.collect::<Vec<_>>(), "each has one outcome");

    let written = books.written.lock().clone();
    let mut sorted = written.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        items(Outcome::Delivered),
        "delivered is what was written, once"
    );
    for key in 0..5 {
        let of_key: Vec<&Item> = written.iter().filter(|item| item.0 == key).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
    }

    let refused = |(answer, _): &&Call| matches!(answer, Answer::Permanent | Answer::Divisible);
    let refused: Vec<Item> = calls
        .iter()
        .filter(refused)
        .flat_map(|(_, items)| items.clone())
        .collect();
    let rejected = items(Outcome::Dropped(DropReason::Rejected));
    assert!(rejected.iter().all(|item| refused.contains(item)), "{rejected:?}");
    let mut returned = summary.undelivered.clone();
    returned.sort_unstable();
    assert_eq!(returned, items(Outcome::Returned));
    let exhausted = items(Outcome::Dropped(DropReason::RetriesExhausted));
    let known = sorted.len() + returned.len() + rejected.len() + exhausted.len();
    assert_eq!(known, case.keys.len(), "there is no other outcome");
    let ledger = summary.ledger;
    assert_eq!(
        ledger.accepted,
        ledger.delivered + ledger.dropped.total() + ledger.returned
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Fails when a list is marked though its call failed; when the rest of a list overtakes the half that failed; when a
    /// list is left though its call was carried out; when the marks lie on another key's items.
    #[test]
    fn every_value_of_any_flow_is_accounted_for_once_and_in_its_key_s_order(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(case));
    }
}
