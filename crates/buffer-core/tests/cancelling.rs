//! A future of the public API that is dropped at any of its awaits: the ledger adds up, nothing comes twice, and whoever waits
//! behind it gets on.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use buffer_core::testing::{Gate, Reply, ScriptedSink};
use buffer_core::{Buffer, DropReason, Ledger, Routing};
use parking_lot::Mutex;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Where a future is dropped.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Where its poll number so many ends.
    Pending(usize),
    /// Where it was woken so many times and not polled since: a wake-up that it was given must go on to somebody else.
    Woken(usize),
}

/// Runs a future until it ends or is dropped.
async fn cut<F: Future>(at: Cut, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        if matches!(at, Cut::Woken(woken) if polls == woken) {
            return Poll::Ready(None);
        }
        polls += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if matches!(at, Cut::Pending(pending) if polls == pending) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Two partitions, full, behind a gate that opens bit by bit, with others that wait for room before and behind the future in
/// question.
struct Scene {
    buffer: Buffer<u32>,
    sink: ScriptedSink<u32>,
    gate: Gate,
}

const FULL: u32 = 8;
/// The items of the future that is cut.
const OWN: u32 = 100;
/// The items of those who wait behind it.
const OTHERS: u32 = 1_000;

impl Scene {
    async fn new() -> Self {
        // Some batches need more than one attempt.
        let (sink, gate) = ScriptedSink::new([Reply::Ok, Reply::Transient, Reply::Ok, Reply::Panic]).gated();
        let builder = Buffer::builder().partitions(2).batch_size(2);
        let buffer = builder
            .capacity(FULL as usize)
            .routing(Routing::PerCall)
            .flush_timeout(Duration::from_secs(100))
            .build(sink.clone())
            .unwrap();
        for item in 0..FULL {
            buffer.try_insert(item).unwrap();
        }
        Self { buffer, sink, gate }
    }

    fn wait_for_room(&self, item: u32) -> tokio::task::JoinHandle<()> {
        let buffer = self.buffer.clone();
        tokio::spawn(async move { buffer.insert(item).await.unwrap() })
    }

    /// Lets one attempt after the other begin.
    fn open_bit_by_bit(&self) {
        let gate = self.gate.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                gate.let_through(1);
                sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// Everybody else gets in, the ledger adds up, and what was accepted was delivered once; returns what of the future in
    /// question.
    async fn end(self, others: Vec<tokio::task::JoinHandle<()>>) -> Vec<u32> {
        let expected = others.len();
        for other in others {
            let got_in = timeout(Duration::from_secs(3_600), other).await;
            got_in.expect("nobody waits for ever").unwrap();
        }
        let ledger = self.buffer.close().await.ledger;
        let delivered = self.sink.delivered();
        assert_eq!((ledger.pending, ledger.delivered), (0, ledger.accepted));
        assert_eq!(ledger.delivered, delivered.len() as u64);
        let once: HashSet<u32> = delivered.iter().copied().collect();
        assert_eq!(once.len(), delivered.len(), "nothing twice");
        assert!((0..FULL).all(|item| once.contains(&item)));
        assert_eq!(once.iter().filter(|item| **item >= OTHERS).count(), expected);
        let own = delivered.into_iter().filter(|item| (OWN..OTHERS).contains(item));
        own.collect()
    }
}

/// Every place, by its number, in both ways.
const PLACES: [fn(usize) -> Cut; 2] = [|number| Cut::Pending(number + 1), Cut::Woken];

/// Cuts what `call` does at every place, each time in a new scene, until it runs to its end. In `judge` are what it answered,
/// if it did, and which items of its own were delivered.
async fn cut_everywhere<R>(call: impl AsyncFn(Buffer<u32>) -> R, judge: impl Fn(Option<R>, Vec<u32>)) {
    for place in PLACES {
        let mut places = 0;
        while !cut_in_a_new_scene(place(places), &call, &judge).await {
            places += 1;
        }
        assert!(places > 0, "a call that never waits proves nothing");
    }
}

/// Says whether the call ran to its end.
async fn cut_in_a_new_scene<R>(
    at: Cut,
    call: impl AsyncFn(Buffer<u32>) -> R,
    judge: impl Fn(Option<R>, Vec<u32>),
) -> bool {
    let scene = Scene::new().await;
    let before = scene.wait_for_room(OTHERS);
    yield_now().await;
    let others = async {
        // They come when the call in question waits already.
        yield_now().await;
        let others = [1, 2, 3].map(|item| scene.wait_for_room(OTHERS + item));
        scene.open_bit_by_bit();
        others
    };
    let (answer, others) = tokio::join!(cut(at, call(scene.buffer.clone())), others);
    let ended = answer.is_some();
    judge(
        answer,
        scene.end([before].into_iter().chain(others).collect()).await,
    );
    ended
}

#[tokio::test(start_paused = true)]
async fn an_insert_that_is_dropped_was_not_accepted() {
    cut_everywhere(
        async |buffer| buffer.insert(OWN).await,
        |answer, own| match answer {
            Some(inserted) => assert_eq!((inserted, own), (Ok(()), vec![OWN])),
            None => assert_eq!(own, []),
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_insert_with_a_limit_that_is_dropped_was_not_accepted() {
    cut_everywhere(
        async |buffer| buffer.insert_timeout(OWN, Duration::from_secs(50)).await,
        |answer, own| match answer {
            Some(inserted) => assert_eq!((inserted, own), (Ok(()), vec![OWN])),
            None => assert_eq!(own, []),
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_insert_that_waits_for_its_outcome_and_is_dropped_was_accepted_once_or_not_at_all() {
    let accepted = Mutex::new(HashSet::new());
    cut_everywhere(
        async |buffer| buffer.insert_and_wait(OWN).await,
        |answer, own| {
            if let Some(answer) = answer {
                assert_eq!((answer.is_ok(), &own[..]), (true, &[OWN][..]));
            } else {
                accepted.lock().insert(own.len());
            }
        },
    )
    .await;
    // While it waited for room, and while it waited for the answer.
    assert_eq!(*accepted.lock(), HashSet::from([0, 1]));
}

#[tokio::test(start_paused = true)]
async fn an_insert_batch_that_is_dropped_leaves_with_the_caller_what_was_not_accepted() {
    let all: Vec<u32> = (OWN..OWN + 25).collect();
    let rest = Mutex::new(Vec::new());
    cut_everywhere(
        async |buffer| {
            // The caller's vector outlives the future, as a caller's does.
            struct Kept<'a>(Vec<u32>, &'a Mutex<Vec<u32>>);
            impl Drop for Kept<'_> {
                fn drop(&mut self) {
                    *self.1.lock() = std::mem::take(&mut self.0);
                }
            }
            let mut items = Kept(all.clone(), &rest);
            buffer.insert_batch(&mut items.0).await
        },
        |answer, mut own| {
            assert!(answer.is_none() || rest.lock().is_empty());
            own.append(&mut rest.lock());
            assert!(answer.is_none_or(|answer| answer == Ok(())));
            assert!(own.is_empty() || own == all, "in order, and each once: {own:?}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_is_dropped_loses_its_report_alone() {
    cut_everywhere(
        async |buffer| buffer.flush().await,
        |answer, _| assert!(answer.is_none_or(|report| report.delivered >= u64::from(FULL))),
    )
    .await;
    cut_everywhere(
        async |buffer| buffer.flush_within(Duration::from_secs(50)).await,
        |answer, _| assert!(answer.is_none_or(|report| report.delivered >= u64::from(FULL))),
    )
    .await;
}

/// A close that is dropped at a place, with somebody else who waits for a flush; returns the ledger after the drain, and whether
/// the close ran to its end.
async fn cut_a_close(at: Cut, replies: &[Reply]) -> (Ledger, bool) {
    let sink = ScriptedSink::new(replies.iter().cloned());
    let builder = Buffer::builder().partitions(2).batch_size(2).retries(9);
    let buffer = builder
        .routing(Routing::PerCall)
        .flush_timeout(Duration::from_secs(1))
        .build(sink.clone())
        .unwrap();
    for item in 0..FULL {
        buffer.try_insert(item).unwrap();
    }
    let limit = Duration::from_secs(5);
    let summary = cut(at, buffer.close_within(limit)).await;
    sleep(2 * limit).await;
    // One that was never polled has not begun.
    let (_, last) = tokio::join!(buffer.flush(), buffer.close_within(limit));
    let undelivered = summary.iter().chain([&last]);
    let undelivered: usize = undelivered.map(|summary| summary.undelivered.len()).sum();
    let ledger = last.ledger;
    assert_eq!(ledger.returned, undelivered as u64);
    assert_eq!(ledger.delivered, sink.delivered().len() as u64);
    let settled = ledger.delivered + ledger.returned + ledger.dropped.total();
    assert_eq!((ledger.pending, settled), (0, u64::from(FULL)));
    assert_eq!(sink.closed(), 1);
    (ledger, summary.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_close_that_is_dropped_leaves_a_drain_that_goes_on_and_counts() {
    for place in PLACES {
        let mut places = 0;
        while let (ledger, false) = cut_a_close(place(places), &[Reply::Transient, Reply::Never]).await {
            assert_eq!(ledger.delivered, u64::from(FULL));
            places += 1;
        }
        assert!(places > 0);

        let out = vec![Reply::Unavailable; 1_000];
        let mut dropped = HashSet::new();
        while let (ledger, false) = cut_a_close(place(dropped.len()), &out).await {
            dropped.insert((dropped.len(), ledger.dropped.count(DropReason::DrainTimeout)));
        }
        assert!(
            dropped.iter().any(|(_, items)| *items == u64::from(FULL)),
            "{dropped:?}"
        );
    }
}
