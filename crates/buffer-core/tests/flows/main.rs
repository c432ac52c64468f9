//! Whole flows drawn at random: settings, the sinks' answers, and what producers and callers do. Every item is accounted for.

mod case;
mod cemetery;
mod door;
mod draw;
mod end;
mod flow;
mod look;
mod producer;
mod record;
mod report;
mod sink;
mod told;

use std::sync::Arc;

use proptest::prelude::*;
use tokio::time::timeout;

use case::Case;
use draw::cases;
use flow::{Flow, HANGS};
use sink::Recorder;
use told::Books;

/// Runs a case to its end, also when a check fails on the way: a runtime that dies with work left would wait for a rescue.
fn run(case: Case) {
    let token = Arc::new(());
    let books = Books::new(case, &token);
    let sink = Recorder(books.clone());
    let flow = Flow::new(books, sink.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let (ended, closed) = runtime.block_on(async {
        let ended = tokio::spawn(flow.run()).await;
        (ended, timeout(HANGS, sink.closed()).await)
    });
    if closed.is_err() {
        std::mem::forget(runtime);
    }
    if let Err(failed) = ended {
        std::panic::resume_unwind(failed.into_panic());
    }
    assert_eq!(Arc::strong_count(&token), 1, "an item still exists");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Fails when rejected items are not counted; when the rest of a partly delivered batch is lost; when the second half of
    /// a split batch goes first; when what is left of a refused batch counts as refused alone; when `flush` does not seal what
    /// is open; when a batch is tried once more than `retries` says; when `unavailable` spends retries; when the marks of an
    /// attempt that the deadline cut off are forgotten; when a rest keeps its parent's id; when room is freed at the cut; when
    /// a close does not wake those who wait; when what is handed back or returned is out of order; when what
    /// somebody waits for is dropped; and in most runs when a woken insert does not wake the next.
    ///
    /// By weight: when a door lets an item in that is too heavy, or many among which one is; when the room does not count
    /// bytes; when an item joins a batch that it makes too heavy; when a settled item, a rest or what is left over keeps its
    /// bytes; when a half keeps the weight of the whole; when dead letters have none, old or new.
    ///
    /// On overflow: when what is evicted is not counted; when the newest goes and not the oldest; when `try_insert` drops the
    /// newest; when a heavy newcomer takes a light one along; when the way to the dead-letter sink takes more than its places,
    /// or does not free them; when what overflows is not buried, or its burial is cut off by a close; when a flush counts what
    /// overflowed behind it, old or new.
    ///
    /// Of those who wait, and of the dead: when whoever waits for an item that is evicted, dropped on its way in, split off or
    /// left after marks has no answer, or everyone has the same; when dropped items are not buried; when burials are not
    /// counted, or those that fail are.
    ///
    /// Of what is taken: when the unconfirmed is not settled, or not after marks; when `Ok` does not deliver it. Of what is
    /// withdrawn: when `Ok` delivers it, or an error drops it.
    ///
    /// Of what can be seen: when `dump` leaves the open batch out; when `oldest` does not look at the batch in hand, or still
    /// does when that is settled, or looks at the newest sealed one; when `size` adds up too few partitions; when failed
    /// attempts or retries are not counted, or seals by the wrong trigger.
    #[test]
    fn every_item_of_any_flow_is_accounted_for(case in cases()) {
        run(case);
    }
}
