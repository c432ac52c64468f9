//! Every outcome is told to the hook, and what is dropped goes to the dead-letter sink, with the reason and the cause.

use std::sync::Arc;
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{Buffer, DropReason, FlushError, Outcome};
use parking_lot::Mutex;

/// What one batch of dead letters held: the items, the reason, and each item's cause.
type Buried = (Vec<u32>, DropReason, Vec<String>);

/// What was offered to a dead-letter sink.
fn buried(cemetery: &ScriptedSink<u32>) -> Vec<Buried> {
    let attempts = cemetery.attempts().into_iter();
    let buried = attempts.map(|dead| {
        let reason = dead.drop_reason.expect("these are dead letters");
        (dead.items, reason, dead.drop_causes)
    });
    buried.collect()
}

fn buffer(sink: &ScriptedSink<u32>, cemetery: &ScriptedSink<u32>) -> Buffer<u32> {
    let builder = Buffer::builder().partitions(1).batch_size(4).retries(1);
    builder
        .dead_letters(cemetery.clone())
        .build(sink.clone())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_buried_with_its_reason_and_cause_and_the_next_batch_is_delivered() {
    let sink = ScriptedSink::new([
        Reply::Permanent,
        Reply::Transient,
        Reply::Transient,
        Reply::reject(1, Reply::Ok),
    ]);
    let cemetery = ScriptedSink::new([]);
    let buffer = buffer(&sink, &cemetery);
    buffer.insert_batch(&mut (0..16).collect()).await.unwrap();
    let summary = buffer.close().await;
    let of_batch = |error: FlushError| vec![format!("{error}: scripted"); 4];
    let refused = of_batch(FlushError::permanent("scripted"));
    let not_written = of_batch(FlushError::transient("scripted"));
    assert_eq!(
        buried(&cemetery),
        [
            (vec![0, 1, 2, 3], DropReason::Permanent, refused),
            (vec![4, 5, 6, 7], DropReason::RetriesExhausted, not_written),
            (vec![9], DropReason::Rejected, vec!["scripted".to_owned()]),
        ]
    );
    let ledger = summary.ledger;
    assert_eq!(
        (ledger.delivered, ledger.dropped.total(), ledger.dead_lettered),
        (7, 9, 9)
    );
    let parents: Vec<_> = cemetery.attempts().iter().map(|attempt| attempt.parent).collect();
    let flushed = sink.attempts();
    let flushed = [flushed[0].id, flushed[1].id, flushed[3].id];
    assert_eq!(parents, flushed.map(Some));
    assert_eq!(cemetery.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_sink_that_fails_panics_or_hangs_has_one_attempt_and_holds_up_nothing() {
    for reply in [Reply::Transient, Reply::Unavailable, Reply::Panic, Reply::Never] {
        let sink = ScriptedSink::new([Reply::Permanent]);
        let cemetery = ScriptedSink::new([reply]);
        let buffer = buffer(&sink, &cemetery);
        buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
        let ledger = buffer.close().await.ledger;
        assert_eq!(
            (
                ledger.delivered,
                ledger.dropped.total(),
                ledger.dead_lettered,
                ledger.pending
            ),
            (4, 4, 0, 0)
        );
        assert_eq!(cemetery.attempts().len(), 1);
    }
}

#[test]
fn dead_letters_at_hand_when_the_runtime_dies_are_buried_in_the_rescue() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sink = ScriptedSink::new([Reply::Permanent]);
    // The first attempt is cut off by the runtime's death.
    let cemetery = ScriptedSink::new([Reply::Never]);
    let buffer = runtime.block_on(async { buffer(&sink, &cemetery) });
    runtime.block_on(async {
        buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
        cemetery.attempted(1).await;
    });
    drop(runtime);
    let ledger = buffer.ledger();
    assert_eq!(
        (
            ledger.delivered,
            ledger.dropped.total(),
            ledger.dead_lettered,
            ledger.pending
        ),
        (4, 4, 4, 0)
    );
    assert_eq!(cemetery.delivered(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_hook_sees_every_outcome_with_its_items_and_a_panic_in_it_costs_nothing() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = ScriptedSink::new([
        Reply::Permanent,
        Reply::reject(0, Reply::Ok),
        Reply::Ok,
        Reply::Never,
    ]);
    let hook = {
        let seen = Arc::clone(&seen);
        move |settled: &buffer_core::Settled<'_, u32>| {
            let caused = settled.cause(0).is_some();
            seen.lock().push((
                settled.outcome,
                settled.items.to_vec(),
                settled.batch.is_some(),
                caused,
            ));
            panic!("scripted");
        }
    };
    let builder = Buffer::builder().partitions(1).batch_size(2).on_outcome(hook);
    let buffer = builder.build(sink).unwrap();
    buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
    let summary = buffer.close_within(Duration::from_secs(5)).await;
    assert_eq!(summary.undelivered, [6, 7]);
    assert_eq!(
        *seen.lock(),
        [
            (Outcome::Dropped(DropReason::Permanent), vec![0, 1], true, true),
            (Outcome::Dropped(DropReason::Rejected), vec![2], true, true),
            (Outcome::Delivered, vec![3], true, false),
            (Outcome::Delivered, vec![4, 5], true, false),
            (Outcome::Returned, vec![6, 7], false, false),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_hook_sees_what_a_drain_without_a_waiter_leaves() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let seen = Arc::clone(&seen);
        move |settled: &buffer_core::Settled<'_, u32>| {
            seen.lock().push((settled.outcome, settled.items.to_vec()))
        }
    };
    let builder = Buffer::builder().partitions(1).on_outcome(hook);
    let sink = ScriptedSink::new([Reply::Never]);
    let buffer = builder.drain_timeout(Duration::from_secs(3)).build(sink).unwrap();
    buffer.insert(7).await.unwrap();
    drop(buffer);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        *seen.lock(),
        [(Outcome::Dropped(DropReason::DrainTimeout), vec![7])]
    );
}

#[tokio::test(start_paused = true)]
async fn the_hook_names_the_batch_that_the_sink_saw_for_all_that_an_attempt_settled() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let seen = Arc::clone(&seen);
        move |settled: &buffer_core::Settled<'_, u32>| seen.lock().push(settled.batch)
    };
    let sink = ScriptedSink::new([Reply::reject(0, Reply::Ok), Reply::reject(0, Reply::Permanent)]);
    let buffer = Buffer::builder()
        .partitions(1)
        .batch_size(3)
        .on_outcome(hook)
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..6).collect()).await.unwrap();
    buffer.flush().await;
    let ids: Vec<_> = sink.attempts().iter().map(|attempt| Some(attempt.id)).collect();
    assert_eq!(*seen.lock(), [ids[0], ids[0], ids[1], ids[1]]);
}
