//! A sink that is down holds all partitions, is asked by one probe at a time, and costs no item.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{
    Batch, Buffer, DropReason, Flush, FlushError, FlushErrorKind, Health, Routing, async_trait,
};
use tokio::time::{Instant, sleep};

/// Is down while told so, takes a moment for each attempt, and counts them.
#[derive(Default)]
struct Database {
    out: AtomicBool,
    attempts: AtomicUsize,
    running: AtomicUsize,
    most_running: AtomicUsize,
}

#[async_trait]
impl Flush<u32> for Database {
    async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
        // Relaxed: the test reads them when the partitions rest, on the same thread.
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_running.fetch_max(running, Ordering::Relaxed);
        // So long that the partitions, released within a second, can't flush one after the other.
        sleep(Duration::from_millis(50)).await;
        self.running.fetch_sub(1, Ordering::Relaxed);
        match self.out.load(Ordering::Relaxed) {
            true => Err(FlushError::unavailable("no connection")),
            false => Ok(()),
        }
    }
}

fn eight_partitions(database: &Arc<Database>) -> Buffer<u32> {
    let builder = Buffer::builder().partitions(8).batch_size(1).capacity(800);
    builder
        .routing(Routing::PerCall)
        .build(Arc::clone(database))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_asked_by_one_probe_at_a_time_for_all_partitions_and_drops_nothing() {
    let database = Arc::new(Database::default());
    let buffer = eight_partitions(&database);
    database.out.store(true, Ordering::Relaxed);
    for item in 0..80 {
        buffer.insert(item).await.unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    let Health::Held { reason, .. } = buffer.health() else {
        panic!("the sink is down")
    };
    assert_eq!(reason, "no connection");

    // An hour of outage: the delays grow to 30 s, so it sees some hundreds of probes and not eight times as many.
    database.most_running.store(0, Ordering::Relaxed);
    database.attempts.store(0, Ordering::Relaxed);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(database.most_running.load(Ordering::Relaxed), 1);
    let attempts = database.attempts.load(Ordering::Relaxed);
    assert!((100..500).contains(&attempts), "{attempts}");
    assert_eq!(
        (buffer.ledger().pending, buffer.ledger().dropped.total()),
        (80, 0)
    );

    database.out.store(false, Ordering::Relaxed);
    assert_eq!(buffer.flush().await.delivered, 80);
    assert_eq!(buffer.health(), Health::Well);
    assert!(
        database.most_running.load(Ordering::Relaxed) > 1,
        "released partitions flush side by side again"
    );
}

#[tokio::test(start_paused = true)]
async fn time_outs_in_a_row_hold_the_other_partitions_too() {
    let sink = ScriptedSink::new(vec![Reply::Never; 9]);
    let builder = Buffer::builder()
        .partitions(3)
        .batch_size(1)
        .retries(9)
        .routing(Routing::PerCall);
    let buffer = builder.build(sink.clone()).unwrap();
    for item in 0..3 {
        buffer.insert(item).await.unwrap();
    }
    // Three attempts side by side; from then on, one after the other.
    let report = buffer.flush().await;
    assert_eq!(report.delivered, 3);
    let attempts: Vec<Instant> = sink.attempts().iter().map(|attempt| attempt.at).collect();
    assert_eq!(attempts[0], attempts[2]);
    for pair in attempts[2..10].windows(2) {
        assert!(
            pair[1] - pair[0] >= Duration::from_secs(10),
            "an attempt takes 10 s to time out"
        );
    }
    assert_eq!(buffer.health(), Health::Well);
}

/// Fails when a refusal is no answer.
#[tokio::test(start_paused = true)]
async fn a_sink_that_refuses_a_batch_for_good_is_not_out_any_more() {
    let sink = ScriptedSink::new([Reply::Unavailable, Reply::Permanent]);
    let buffer = Buffer::builder().partitions(1).build(sink).unwrap();
    buffer.insert(1).await.unwrap();
    let report = buffer.flush().await;
    assert_eq!(report.dropped.count(DropReason::Permanent), 1);
    assert_eq!(buffer.health(), Health::Well);
}

/// Fails when a panic counts as a failure of the sink.
#[tokio::test(start_paused = true)]
async fn panics_in_a_row_hold_no_other_partition() {
    let sink = ScriptedSink::answering(|batch| match batch.partition() {
        0 => Reply::Panic,
        _ => Reply::Ok,
    });
    let builder = Buffer::builder().partitions(2).batch_size(1).retries(100);
    let buffer = builder.routing(Routing::PerCall).build(sink.clone()).unwrap();
    buffer.insert(0).await.unwrap();
    sink.attempted(3).await;
    tokio::task::yield_now().await;
    assert_eq!(buffer.health(), Health::Well);
    let begun = Instant::now();
    buffer.insert_and_wait(1).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let _ = buffer.close_within(Duration::ZERO).await;
}

/// Fails every batch that holds a bad item, and takes the others.
struct Picky;

#[async_trait]
impl Flush<u32> for Picky {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        match batch.contains(&0) {
            true => Err(FlushError::unavailable(
                "this batch makes it look as if the sink were down",
            )),
            false => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_bad_batch_cannot_keep_the_other_partitions_from_finding_the_sink_well() {
    let builder = Buffer::builder()
        .partitions(4)
        .batch_size(1)
        .capacity(400)
        .routing(Routing::PerCall);
    let buffer = builder
        .drain_timeout(Duration::from_secs(5))
        .build(Picky)
        .unwrap();
    // The partition of the first item is stuck with it.
    for item in 0..400 {
        buffer.insert(item % 4).await.unwrap();
    }
    sleep(Duration::from_secs(600)).await;
    let ledger = buffer.ledger();
    assert_eq!((ledger.delivered, ledger.pending), (300, 100));
    assert_eq!(buffer.close().await.undelivered.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_limit_to_an_outage_drops_what_it_held_and_says_why() {
    let sink = ScriptedSink::new(vec![Reply::Unavailable; 10_000]);
    let builder = Buffer::builder()
        .partitions(1)
        .batch_size(1)
        .give_up_after(Duration::from_secs(120));
    let buffer = builder.build(sink).unwrap();
    let begin = Instant::now();
    buffer.insert(1).await.unwrap();
    let report = buffer.flush().await;
    assert_eq!(report.dropped.count(DropReason::GivenUp), 1);
    assert!(begin.elapsed() >= Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_every_batch_is_given_up_when_its_own_time_is_up_and_not_one_for_each_probe() {
    let sink = ScriptedSink::new(vec![Reply::Unavailable; 10_000]);
    let limit = Duration::from_secs(60);
    let builder = Buffer::builder().partitions(4).batch_size(1).capacity(400);
    let buffer = builder
        .routing(Routing::PerCall)
        .give_up_after(limit)
        .build(sink)
        .unwrap();
    for item in 0..100 {
        buffer.insert(item).await.unwrap();
    }
    sleep(limit / 2).await;
    buffer.insert(100).await.unwrap();
    sleep(limit / 2 + Duration::from_secs(1)).await;
    let ledger = buffer.ledger();
    assert_eq!(
        (ledger.dropped.count(DropReason::GivenUp), ledger.pending),
        (100, 1)
    );
    sleep(limit / 2).await;
    assert_eq!(buffer.ledger().dropped.count(DropReason::GivenUp), 101);
}

/// Fails when a batch that has no time left is given up before it is asked whether it may be the probe.
#[tokio::test(start_paused = true)]
async fn a_limit_that_no_batch_keeps_lets_probes_go_all_the_same() {
    for limit in [Duration::ZERO, Duration::from_millis(500)] {
        let sink = ScriptedSink::new(vec![Reply::Unavailable; 3]);
        let builder = Buffer::builder().partitions(2).routing(Routing::PerCall);
        let buffer = builder.give_up_after(limit).build(sink).unwrap();
        for item in 0..300 {
            buffer.insert(item).await.unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        let dropped = buffer.ledger().dropped;
        assert_eq!(buffer.health(), Health::Well, "{limit:?}");
        assert_eq!(dropped.total(), dropped.count(DropReason::GivenUp));
        assert!(dropped.total() < 100, "{limit:?}: {dropped:?}");
    }
}

/// Fails when each probe draws of the delays of the batch that it is made with.
#[tokio::test(start_paused = true)]
async fn an_outage_leaves_a_batch_its_own_delays() {
    for out in [Reply::Unavailable, Reply::Transient] {
        the_delays_are_left_by(out).await;
    }
}

async fn the_delays_are_left_by(out: Reply) {
    const FIRST: Duration = Duration::from_millis(100);
    // What fails twice before that is an outage has drawn two of its own.
    let drawn = if matches!(out, Reply::Transient) { 4 } else { 1 };
    let asked = AtomicUsize::new(0);
    let sink = ScriptedSink::answering(move |batch| match batch.partition() {
        // Relaxed: one after the other.
        0 => match asked.fetch_add(1, Ordering::Relaxed) {
            0..12 => out.clone(),
            12 => Reply::Transient,
            _ => Reply::Ok,
        },
        _ => Reply::Ok,
    });
    let builder = Buffer::builder().partitions(2).batch_size(1).retries(100);
    let builder = builder.backoff(FIRST, 300 * FIRST);
    let buffer = builder.routing(Routing::PerCall).build(sink.clone()).unwrap();
    buffer.insert(0).await.unwrap();
    sink.attempted(12).await;
    // The other partition's probe finds out that the sink is back.
    buffer.insert(1).await.unwrap();
    buffer.flush().await;
    let attempts = sink.attempts();
    let [.., refused, delivered] = &attempts[..] else {
        unreachable!("there are many")
    };
    assert_eq!((refused.partition, delivered.partition), (0, 0));
    assert!(delivered.at - refused.at <= drawn * FIRST + Duration::from_millis(2));
}

/// Fails when attempts that end at their time limit count as failures of the sink, although each has delivered something.
#[tokio::test(start_paused = true)]
async fn a_slow_sink_that_delivers_in_each_attempt_is_not_out() {
    const ITEM: Duration = Duration::from_secs(1);
    struct OneByOne;
    #[async_trait]
    impl Flush<u32> for OneByOne {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            for index in 0..batch.len() {
                sleep(ITEM).await;
                batch.deliver(index..index + 1);
            }
            Ok(())
        }
    }
    let builder = Buffer::builder().partitions(1).flush_timeout(10 * ITEM);
    let buffer = builder.give_up_after(60 * ITEM).build(OneByOne).unwrap();
    for item in 0..300 {
        buffer.insert(item).await.unwrap();
    }
    let begun = Instant::now();
    buffer.request_flush();
    sleep(35 * ITEM).await;
    assert_eq!(buffer.health(), Health::Well);
    buffer.flush().await;
    assert_eq!(buffer.ledger().delivered, 300, "{:?}", buffer.ledger());
    // Nine or ten in each attempt, with the first of the delays behind it.
    assert!(begun.elapsed() < 350 * ITEM, "{:?}", begun.elapsed());
}

/// A buffer of sixteen partitions, each of which has an attempt under way that will find the sink out; what comes after is delivered.
/// Errors leave the text of their cause out, and the outermost of an HTTP client says little more than that it failed.
#[tokio::test(start_paused = true)]
async fn the_reason_of_a_hold_has_the_texts_of_all_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("can't send the request")]
    struct CantSend(#[source] std::io::Error);
    struct Client;
    #[async_trait]
    impl Flush<u32> for Client {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            let refused = std::io::Error::other("connection refused");
            Err(FlushError::unavailable(CantSend(refused)))
        }
    }
    let buffer = Buffer::builder().partitions(1).build(Client).unwrap();
    buffer.insert(1).await.unwrap();
    buffer.request_flush();
    sleep(Duration::from_millis(1)).await;
    let Health::Held { reason, .. } = buffer.health() else {
        panic!("the sink is down")
    };
    assert_eq!(reason, "can't send the request: connection refused");
    let _ = buffer.close_within(Duration::ZERO).await;
}

async fn sixteen_that_find_the_sink_out(reply: Reply) -> Buffer<u32> {
    const MOMENT: Duration = Duration::from_millis(10);
    let sink = ScriptedSink::answering(move |batch| match batch.attempt() {
        1 => Reply::after(MOMENT, reply.clone()),
        _ => Reply::Ok,
    });
    let builder = Buffer::builder().partitions(16).batch_size(1);
    let buffer = builder.routing(Routing::PerCall).build(sink).unwrap();
    for item in 0..16 {
        buffer.insert(item).await.unwrap();
    }
    sleep(MOMENT / 2).await;
    buffer
}

/// Fails when each of the attempts that were under way counts as an outage of its own.
#[tokio::test(start_paused = true)]
async fn a_short_outage_is_short_for_many_partitions_too() {
    for reply in [Reply::Unavailable, Reply::Transient] {
        let buffer = sixteen_that_find_the_sink_out(reply).await;
        let flushed = buffer.flush_within(Duration::from_secs(3)).await;
        assert_eq!((flushed.delivered, flushed.pending), (16, 0));
        let buffer = sixteen_that_find_the_sink_out(Reply::Unavailable).await;
        let closed = buffer.close_within(Duration::from_secs(1)).await;
        assert_eq!((closed.ledger.delivered, closed.ledger.returned), (16, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_as_long_as_the_sink_asks_if_it_has_the_time() {
    const ASKED: Duration = Duration::from_secs(10);
    for (time, kept) in [(2 * ASKED, true), (ASKED / 2, false)] {
        let sink = ScriptedSink::new([Reply::RetryAfter(ASKED, FlushErrorKind::Unavailable)]);
        let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
        buffer.insert(1).await.unwrap();
        buffer.request_flush();
        sink.attempted(1).await;
        let _ = buffer.close_within(time).await;
        let attempts = sink.attempts();
        assert_eq!(attempts.len(), 2);
        assert_eq!(attempts[1].at - attempts[0].at >= ASKED, kept);
    }
}

/// Fails when a second close brings the deadline forward and leaves the hold as it is.
#[tokio::test(start_paused = true)]
async fn a_second_close_has_no_time_for_a_delay_that_fitted_into_the_first() {
    const ASKED: Duration = Duration::from_secs(10);
    let sink = ScriptedSink::new([Reply::RetryAfter(ASKED, FlushErrorKind::Unavailable)]);
    let buffer = Buffer::builder().partitions(1).build(sink.clone()).unwrap();
    buffer.insert(1).await.unwrap();
    buffer.request_flush();
    sink.attempted(1).await;
    let second = async {
        sleep(ASKED / 10).await;
        buffer.close_within(ASKED / 2).await
    };
    let (_, closed) = tokio::join!(buffer.close_within(2 * ASKED), second);
    assert_eq!((closed.ledger.delivered, closed.ledger.returned), (1, 0));
}
