//! Ways in which counters are known to fail, each shown not to happen here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// How a sink fails over the one key.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Over {
    Reject,
    Divide,
    Refuse,
    Panic,
    Hang,
}

/// Keeps the sums, with the moment of each flush, and fails over the key `bad`.
struct Touchy {
    over: Over,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    sums: HashMap<String, i64>,
    flushes: Vec<Instant>,
}

#[async_trait]
impl Flush<Count<String>> for Touchy {
    async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        let bad = batch.iter().position(|count| count.key == "bad");
        match (bad, self.over) {
            (None, _) => {}
            (Some(bad), Over::Reject) => batch.reject(bad, "scripted"),
            (Some(_), Over::Divide) => return Err(FlushError::divisible("scripted")),
            (Some(_), Over::Refuse) => return Err(FlushError::permanent("scripted")),
            (Some(_), Over::Panic) => panic!("scripted"),
            (Some(_), Over::Hang) => std::future::pending().await,
        }
        let mut kept = self.kept.lock();
        kept.flushes.push(Instant::now());
        for count in batch.iter().filter(|count| count.key != "bad") {
            *kept.sums.entry(count.key.clone()).or_default() += count.delta;
        }
        Ok(())
    }
}

fn counters(over: Over, partitions: usize, batch_size: usize) -> (StatBuffer<String>, Arc<Mutex<Kept>>) {
    let kept = Arc::new(Mutex::new(Kept::default()));
    let sink = Touchy {
        over,
        kept: Arc::clone(&kept),
    };
    let stats = StatBuffer::builder()
        .flush_interval(10 * SECOND)
        .flush_jitter(Duration::ZERO)
        .partitions(partitions)
        .batch_size(batch_size)
        .build(sink)
        .unwrap();
    (stats, kept)
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_again_and_again_costs_the_others_nothing() {
    // What can't be told apart inside a batch can be kept apart by batches of one.
    // A batch that may have been written is never given up: it keeps its partition, and no other.
    let cases = [
        (Over::Reject, 1, 500),
        (Over::Divide, 1, 500),
        (Over::Refuse, 1, 1),
        (Over::Panic, 1, 1),
        (Over::Hang, 2, 1),
    ];
    for (over, partitions, batch_size) in cases {
        let (stats, kept) = counters(over, partitions, batch_size);
        for _ in 0..50 {
            for key in ["a", "bad", "b"] {
                stats.increment(key, 1).unwrap();
            }
            sleep(60 * SECOND).await;
        }
        sleep(3_600 * SECOND).await;
        let ledger = stats.close().await.ledger;
        assert_eq!(ledger.pending, 0);
        let expected = HashMap::from(["a", "b"].map(|key| (key.to_owned(), 50)));
        assert_eq!(kept.lock().sums, expected, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_timer_of_a_window_that_a_flush_has_ended_does_not_cut_the_next_one_short() {
    let (stats, kept) = counters(Over::Reject, 1, 500);
    stats.increment("a", 1).unwrap();
    sleep(5 * SECOND).await;
    stats.flush().await;
    sleep(SECOND).await;
    let begun = Instant::now();
    stats.increment("a", 1).unwrap();
    sleep(20 * SECOND).await;
    let flushes = kept.lock().flushes.clone();
    assert_eq!(flushes.len(), 2);
    assert_eq!(flushes[1] - begun, 10 * SECOND);
}

/// Fails when nobody tells the driver of the window that such a flush begins.
#[tokio::test(start_paused = true)]
async fn the_timer_of_a_window_that_a_flush_has_ended_in_part_does_not_cut_the_next_one_short() {
    let (stats, kept) = counters(Over::Hang, 2, 500);
    stats.increment("bad", 1).unwrap();
    stats.request_flush();
    stats.increment("bad", 1).unwrap();
    sleep(9 * SECOND).await;
    // One of the two counts is on its way, so the other stays.
    stats.request_flush();
    let begun = Instant::now();
    stats.increment("a", 1).unwrap();
    sleep(20 * SECOND).await;
    assert_eq!(kept.lock().flushes, [begun + 10 * SECOND]);
    let _ = stats.close_within(Duration::ZERO).await;
}

/// As the one above, for a window of another key long after. Fails when the first increment of a key that is gone by then is kept.
#[tokio::test(start_paused = true)]
async fn what_a_key_that_was_flushed_by_hand_left_cuts_no_later_window_short() {
    let (stats, kept) = counters(Over::Reject, 1, 100);
    for _ in 0..2 {
        stats.increment("a", 1).unwrap();
        stats.flush_key("a").await;
    }
    sleep(3_600 * SECOND).await;
    let begun = Instant::now();
    stats.increment("b", 1).unwrap();
    sleep(11 * SECOND).await;
    let sent = kept.lock().flushes.last().copied();
    let after = sent.map(|sent| sent.saturating_duration_since(begun));
    assert!(after.is_some_and(|after| after >= 10 * SECOND), "{after:?}");
}
