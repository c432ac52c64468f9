//! Loom models of the state machines: every interleaving of a few steps, on the code that production runs.
//!
//! Run by `RUSTFLAGS="--cfg buffer_loom" cargo test --release -p buffer-core --lib models`. Each model names the broken copy
//! that it was seen to fail on.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use tokio::time::Instant;

use crate::drain::{Drain, Left};
use crate::outcome::Outcome;
use crate::partition::{Entry, Next, Partition, Refused, Sealed};
use crate::trigger::Triggers;

/// Checks every interleaving with at most three preemptions, which is where the known bugs of such machines show; without a
/// bound three threads take hours.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A partition whose open batches are due when they are opened; `take` looks from an hour later.
fn partition(batch_size: usize, capacity: u64) -> Arc<Partition<u32>> {
    let triggers = Triggers {
        batch_size,
        batch_size_jitter: 0,
        flush_interval: Duration::ZERO,
        flush_jitter: Duration::ZERO,
    };
    Arc::new(Partition::new(triggers, capacity))
}

/// Takes what there is; says whether this was the end.
fn take(partition: &Partition<u32>, taken: &mut Vec<u32>) -> bool {
    match partition.next(Instant::now() + Duration::from_secs(3_600)) {
        Next::Take(Entry::Sealed(Sealed { items, .. })) => taken.extend(items),
        Next::Take(Entry::Barrier(_)) => unreachable!("none was placed"),
        Next::WaitUntil(_) => unreachable!("every batch is due at once"),
        Next::Wait => loom::future::block_on(partition.woken()),
        Next::End => return true,
    }
    false
}

/// Fails when `admit_locked` does not look at `closed`, and when `close` does not wake the worker.
#[test]
fn every_admitted_item_is_taken_before_the_end() {
    check(|| {
        let partition = partition(2, 10);
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || {
                (0..2)
                    .filter(|item| partition.admit(*item, &mut None).is_ok())
                    .collect::<Vec<_>>()
            }
        });
        let closer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || partition.close(Vec::new())
        });
        let mut taken = Vec::new();
        while !take(&partition, &mut taken) {}
        closer.join().unwrap();
        assert_eq!(taken, producer.join().unwrap());
        assert!(matches!(partition.admit(9, &mut None), Err(Refused::Closed(9))));
    });
}

/// Fails when `next` takes the open batch without a second look at the queue under the lock.
#[test]
fn items_are_taken_in_the_order_in_which_they_were_admitted() {
    check(|| {
        let partition = partition(2, 10);
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || (0..3).for_each(|item| partition.admit(item, &mut None).expect("open, with room"))
        });
        let mut taken = Vec::new();
        while taken.len() < 3 {
            take(&partition, &mut taken);
        }
        producer.join().unwrap();
        assert_eq!(taken, [0, 1, 2]);
    });
}

/// Fails when `admit_locked` does not look at the room, and when `settle` does not count in the tally.
#[test]
fn pending_items_never_exceed_the_capacity_and_the_ledger_adds_up() {
    check(|| {
        let partition = partition(1, 1);
        let producers: Vec<_> = (0..2)
            .map(|item| {
                let partition = Arc::clone(&partition);
                thread::spawn(move || partition.admit(item, &mut None).is_ok())
            })
            .collect();
        let mut taken = Vec::new();
        while taken.is_empty() {
            take(&partition, &mut taken);
        }
        let ledger = partition.ledger();
        assert_eq!(ledger.pending, 1, "{ledger:?}");
        partition.settle(Outcome::Delivered, taken.len());
        assert!(partition.ledger().pending <= 1);
        let accepted = producers
            .into_iter()
            .map(|producer| u64::from(producer.join().unwrap()))
            .sum();
        let ledger = partition.ledger();
        assert_eq!((ledger.accepted, ledger.delivered), (accepted, 1));
        assert_eq!(ledger.pending, accepted - 1);
    });
}

/// Fails when `settle` wakes before it counts.
#[test]
fn whoever_waits_for_room_gets_in() {
    check(|| {
        let partition = partition(1, 1);
        partition.admit(0, &mut None).expect("there is room");
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || {
                while partition.admit(1, &mut None).is_err() {
                    loom::future::block_on(partition.room.notified());
                }
            }
        });
        let mut taken = Vec::new();
        take(&partition, &mut taken);
        partition.settle(Outcome::Delivered, taken.len());
        producer.join().unwrap();
        assert_eq!(partition.ledger().accepted, 2);
    });
}

/// Fails when `unregister` does not take what nobody waits for any more.
#[test]
fn leftovers_are_claimed_once_whoever_waits_or_gives_up() {
    check(|| {
        let drain = Arc::new(Drain::new(1));
        drain.register();
        let waiter = thread::spawn({
            let drain = Arc::clone(&drain);
            move || drain.unregister(|_| ())
        });
        let left = Left {
            partition: 0,
            items: vec![7],
        };
        assert!(drain.leave(left));
        let unclaimed = drain.finish(None, |_| ());
        let given_up = waiter.join().unwrap();
        let items: Vec<u32> = unclaimed
            .into_iter()
            .chain(given_up)
            .flat_map(|left| left.items)
            .collect();
        assert_eq!(items, [7]);
        assert!(drain.claim(|_| ()).0.is_empty());
    });
}

/// Fails when `finish` takes leftovers that somebody waits for.
#[test]
fn a_waiter_sees_the_finish() {
    check(|| {
        let drain = Arc::new(Drain::<u32>::new(2));
        drain.register();
        let workers: Vec<_> = (0..2)
            .map(|partition| {
                let drain = Arc::clone(&drain);
                thread::spawn(move || {
                    if drain.leave(Left {
                        partition,
                        items: vec![7],
                    }) {
                        assert!(drain.finish(None, |_| ()).is_empty());
                    }
                })
            })
            .collect();
        loom::future::block_on(drain.finished());
        assert_eq!(drain.claim(|_| ()).0.len(), 2);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
