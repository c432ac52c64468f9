//! Loom models of the state machines: the interleavings of a few steps with up to three preemptions, on the code that production runs.
//!
//! Run by `RUSTFLAGS="--cfg buffer_loom" cargo test --release -p buffer-core --lib models`. Each model names the broken copy
//! that it was seen to fail on.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread;
use tokio::time::Instant;

use crate::drain::{Begin, Drain, Left};
use crate::line::Line;
use crate::outcome::Outcome;
use crate::outcome::size::Size;
use crate::partition::intake::Refused;
use crate::partition::overflow::Overflow;
use crate::partition::parcel::Parcel;
use crate::partition::slot::{Letters, Slot};
use crate::partition::trigger::Triggers;
use crate::partition::{Next, Partition, UNREPORTED};
use crate::router::Route;

/// Checks every interleaving with at most three preemptions, which is enough to show the known bugs of such machines; without a
/// bound, three threads take hours.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// A partition whose open batches are due when they are opened; `take` looks from an hour later.
fn partition(batch_size: usize, capacity: u64) -> Partition<u32> {
    let triggers = Triggers {
        batch_size,
        batch_size_jitter: 0,
        batch_bytes: u64::MAX,
        flush_interval: Duration::ZERO,
        flush_jitter: Duration::ZERO,
    };
    let capacity = Size {
        items: capacity,
        bytes: u64::MAX,
    };
    let triggers = std::sync::Arc::new(triggers);
    Partition::new(triggers, capacity, Overflow::Wait, None)
}

fn admit(partition: &Partition<u32>, item: u32) -> Result<(), Refused<u32>> {
    match partition.admit_unchecked(item) {
        Ok(()) => Ok(()),
        Err(item) => partition.admit(item, None, &mut None),
    }
}

fn deliver(partition: &Partition<u32>, items: usize) {
    let size = Size {
        items: items as u64,
        bytes: 0,
    };
    partition.settle(Outcome::Delivered, size);
}

/// Takes what there is; says whether this was the end.
fn take(partition: &Partition<u32>, taken: &mut Vec<u32>) -> bool {
    match partition.next(Instant::now() + Duration::from_secs(3_600), UNREPORTED) {
        Next::Flush(sealed) => taken.extend(sealed.items),
        Next::WaitUntil(_) => unreachable!("every batch is due at once"),
        Next::Gather => {}
        Next::Wait => loom::future::block_on(partition.woken()),
        Next::End => return true,
    }
    false
}

/// Fails when `admit_locked` does not look at `closed`, and when `close` does not wake the worker.
#[test]
fn every_admitted_item_is_taken_before_the_end() {
    check(|| {
        let partition = Arc::new(partition(2, 10));
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || {
                (0..2)
                    .filter(|item| admit(&partition, *item).is_ok())
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
        assert!(matches!(admit(&partition, 9), Err(Refused::Closed(9))));
    });
}

/// Fails when `seal` lets items join unchecked, and when `lock` does not count those that did.
#[test]
fn items_that_join_unchecked_are_taken_and_counted_like_others() {
    check(|| {
        let partition = Arc::new(partition(4, 10));
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || (0..3).filter(|item| admit(&partition, *item).is_ok()).count()
        });
        let closer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || partition.close(Vec::new())
        });
        let mut taken = Vec::new();
        while !take(&partition, &mut taken) {}
        deliver(&partition, taken.len());
        closer.join().unwrap();
        let accepted = producer.join().unwrap();
        assert!(taken.iter().eq((0..accepted as u32).collect::<Vec<_>>().iter()));
        let ledger = partition.ledger();
        assert_eq!(
            (ledger.accepted, ledger.delivered),
            (accepted as u64, accepted as u64)
        );
    });
}

/// Fails when `look_ahead` does not look at the room.
#[test]
fn items_that_join_unchecked_have_room() {
    check(|| {
        let partition = Arc::new(partition(10, 3));
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let partition = Arc::clone(&partition);
                thread::spawn(move || (0..2).filter(|item| admit(&partition, *item).is_ok()).count())
            })
            .collect();
        let accepted: usize = producers
            .into_iter()
            .map(|producer| producer.join().unwrap())
            .sum();
        assert_eq!((accepted, partition.ledger().pending), (3, 3));
    });
}

/// Fails when `next` takes the newest entry of the queue.
#[test]
fn items_are_taken_in_the_order_in_which_they_were_admitted() {
    check(|| {
        let partition = Arc::new(partition(2, 10));
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || (0..5).for_each(|item| admit(&partition, item).expect("open, with room"))
        });
        let mut taken = Vec::new();
        while taken.len() < 5 {
            take(&partition, &mut taken);
        }
        producer.join().unwrap();
        assert_eq!(taken, [0, 1, 2, 3, 4]);
    });
}

/// Fails when `admit_locked` does not look at the room, and when `settle` does not count in the tally.
#[test]
fn pending_items_never_exceed_the_capacity_and_the_ledger_adds_up() {
    check(|| {
        let partition = Arc::new(partition(1, 1));
        let producers: Vec<_> = (0..2)
            .map(|item| {
                let partition = Arc::clone(&partition);
                thread::spawn(move || admit(&partition, item).is_ok())
            })
            .collect();
        let mut taken = Vec::new();
        while taken.is_empty() {
            take(&partition, &mut taken);
        }
        let ledger = partition.ledger();
        assert_eq!(ledger.pending, 1, "{ledger:?}");
        deliver(&partition, taken.len());
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

/// A partition that is full with one batch of this many items, and the line before it.
fn full(items: u64) -> Arc<(Line, [Partition<u32>; 1])> {
    let partition = partition(items as usize, items);
    (0..items as u32).for_each(|item| admit(&partition, item).expect("there is room"));
    Arc::new((Line::new(), [partition]))
}

/// Settles what was taken, and gives the room to those in line, as the buffer does.
fn make_room(line: &Line, partitions: &[Partition<u32>], items: usize) {
    deliver(&partitions[0], items);
    line.serve(partitions, 0);
}

/// Waits for the turn, as an insert does that found no room.
fn admit_in_turn(line: &Line, partitions: &[Partition<u32>], item: u32) {
    let turn = loom::future::block_on(line.enter(partitions, Route::Anywhere, ONE));
    let admitted = partitions[turn.partition].admit_in_turn(turn.room, item, None, &mut None);
    admitted.expect("it is open");
}

const ONE: Size = Size { items: 1, bytes: 0 };
const TWO: Size = Size { items: 2, bytes: 0 };

/// Fails when `enter` does not look for room, and when `serve` does not wake.
#[test]
fn whoever_waits_for_room_gets_in() {
    check(|| {
        let full = full(1);
        let (line, partitions) = &*full;
        let producer = thread::spawn({
            let full = Arc::clone(&full);
            move || {
                let (line, partitions) = &*full;
                if admit(&partitions[0], 1).is_err() {
                    admit_in_turn(line, partitions, 1);
                }
            }
        });
        let mut taken = Vec::new();
        take(&partitions[0], &mut taken);
        make_room(line, partitions, taken.len());
        producer.join().unwrap();
        assert_eq!(partitions[0].ledger().accepted, 2);
    });
}

/// Fails when `admit_locked` and `look_ahead` do not look for a line, and when `reserve` keeps no room.
#[test]
fn room_is_kept_for_whoever_waits() {
    check(|| {
        let full = full(2);
        let (line, partitions) = &*full;
        let mut in_line = line.enter(partitions, Route::Anywhere, ONE);
        let newcomer = thread::spawn({
            let full = Arc::clone(&full);
            move || (2..4).filter(|item| admit(&full.1[0], *item).is_ok()).count()
        });
        let mut taken = Vec::new();
        take(&partitions[0], &mut taken);
        make_room(line, partitions, taken.len());
        let turn = loom::future::block_on(&mut in_line);
        let admitted = partitions[0].admit_in_turn(turn.room, 9, None, &mut None);
        admitted.expect("it is open");
        assert!(newcomer.join().unwrap() <= 1);
        assert!(partitions[0].ledger().pending <= 2);
    });
}

/// Fails when `reserve` lets items join unchecked as before.
#[test]
fn items_that_join_unchecked_leave_the_room_that_is_kept() {
    check(|| {
        let full = full(4);
        let (line, partitions) = &*full;
        let newcomer = thread::spawn({
            let full = Arc::clone(&full);
            move || (4..7).filter(|item| admit(&full.1[0], *item).is_ok()).count()
        });
        let in_line = thread::spawn({
            let full = Arc::clone(&full);
            move || {
                let (line, partitions) = &*full;
                let turn = loom::future::block_on(line.enter(partitions, Route::Anywhere, TWO));
                let mut items = vec![8, 9];
                let mut parcel = Parcel::new(&mut items, Vec::new());
                let admitted = partitions[0].admit_many_in_turn(turn.room, &mut parcel, 2);
                admitted.expect("it is open");
                let accepted = 2 - parcel.len();
                assert!(accepted as u64 >= turn.room.items);
                accepted
            }
        });
        let mut taken = Vec::new();
        take(&partitions[0], &mut taken);
        make_room(line, partitions, taken.len());
        let accepted = newcomer.join().unwrap() + in_line.join().unwrap();
        assert!(accepted <= 4, "{accepted}");
    });
}

/// Fails when the drop of a place in line does not give its room back, and when nobody else is called for it.
#[test]
fn room_of_one_who_goes_away_is_for_those_behind() {
    check(|| {
        let full = full(1);
        let (line, partitions) = &*full;
        let in_front = line.enter(partitions, Route::Anywhere, ONE);
        let behind = thread::spawn({
            let full = Arc::clone(&full);
            move || admit_in_turn(&full.0, &full.1, 1)
        });
        let settler = thread::spawn({
            let full = Arc::clone(&full);
            move || {
                let mut taken = Vec::new();
                take(&full.1[0], &mut taken);
                make_room(&full.0, &full.1, taken.len());
            }
        });
        drop(in_front);
        behind.join().unwrap();
        settler.join().unwrap();
        assert_eq!(partitions[0].ledger().accepted, 2);
    });
}

/// Fails when `serve` does not call those who wait for a closed partition.
#[test]
fn whoever_waits_for_room_sees_the_close() {
    check(|| {
        let full = full(1);
        let (line, partitions) = &*full;
        let producer = thread::spawn({
            let full = Arc::clone(&full);
            move || {
                let (line, partitions) = &*full;
                let turn = loom::future::block_on(line.enter(partitions, Route::To(0), ONE));
                partitions[0].admit_in_turn(turn.room, 1, None, &mut None)
            }
        });
        assert!(partitions[0].close(Vec::new()).is_empty());
        line.serve(partitions, 0);
        assert_eq!(producer.join().unwrap(), Err(1));
    });
}

/// Fails when `evict` does not count what it drops.
#[test]
fn whoever_drops_the_oldest_gets_in_and_what_is_dropped_is_neither_taken_nor_lost() {
    check(|| {
        let partition = Arc::new(partition(1, 2));
        admit(&partition, 0).expect("there is room");
        admit(&partition, 1).expect("there is room");
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || {
                let mut evicted = Vec::new();
                while admit(&partition, 2).is_err() {
                    for (_, sealed) in partition.evict(None) {
                        evicted.extend(sealed.items);
                    }
                }
                evicted
            }
        });
        let mut taken = Vec::new();
        take(&partition, &mut taken);
        deliver(&partition, taken.len());
        let evicted = producer.join().unwrap();
        let ledger = partition.ledger();
        assert_eq!(
            (ledger.delivered, ledger.dropped.total()),
            (1, evicted.len() as u64)
        );
        while partition.ledger().pending > 0 {
            let before = taken.len();
            take(&partition, &mut taken);
            deliver(&partition, taken.len() - before);
        }
        // In order, each once.
        let mut all = [taken.clone(), evicted].concat();
        all.sort_unstable();
        assert!(taken.is_sorted());
        assert_eq!(all, [0, 1, 2]);
    });
}

/// Fails when `place_barrier` does not seal, and when `next` reaches a barrier before the batch in front of it.
#[test]
fn a_barrier_is_reached_when_what_was_admitted_before_it_is_settled() {
    check(|| {
        let partition = Arc::new(partition(2, 10));
        let asker = thread::spawn({
            let partition = Arc::clone(&partition);
            move || {
                admit(&partition, 0).expect("there is room");
                partition.place_barrier()
            }
        });
        let producer = thread::spawn({
            let partition = Arc::clone(&partition);
            move || admit(&partition, 1).expect("there is room")
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            let before = taken.len();
            take(&partition, &mut taken);
            deliver(&partition, taken.len() - before);
        }
        producer.join().unwrap();
        let waiting = asker.join().unwrap();
        let Next::Wait = partition.next(Instant::now(), UNREPORTED) else {
            unreachable!("all is taken")
        };
        let wait = waiting.wait.expect("the worker is there");
        let settled = loom::future::block_on(wait.clone().reached());
        let settled = settled.unwrap_or_else(|_| unreachable!("the worker is there"));
        let settled = settled.since(&waiting.before);
        assert!(
            settled.delivered >= waiting.pending,
            "{settled:?} {}",
            waiting.pending
        );
    });
}

/// Fails when `take` frees no places, and when `reserve` does not look at the number of items.
#[test]
fn the_slot_never_holds_more_than_it_may_and_what_it_took_is_taken_out() {
    check(|| {
        let slot = Arc::new(Slot::new(1));
        let letters = |item: u32| Letters {
            items: vec![item],
            bytes: 0,
            opened: Instant::now(),
        };
        let producers: Vec<_> = (0..2)
            .map(|item| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || {
                    let reserved = slot.reserve_all(1);
                    if reserved {
                        slot.fill(letters(item));
                    }
                    usize::from(reserved)
                })
            })
            .collect();
        let taken = |slot: &Slot<u32>| slot.take().map_or(0, |letters| letters.items.len());
        let first = taken(&slot);
        assert!(first <= 1);
        let filled: usize = producers
            .into_iter()
            .map(|producer| producer.join().unwrap())
            .sum();
        assert_eq!(filled, first + taken(&slot));
        assert_eq!(slot.reserve(2), 1);
    });
}

/// Fails when `begin` wakes before it sets the deadline.
#[test]
fn whoever_waits_for_the_drain_sees_that_it_has_begun() {
    check(|| {
        let drain = Arc::new(Drain::<u32>::new(1));
        let closer = thread::spawn({
            let drain = Arc::clone(&drain);
            move || assert_eq!(drain.begin(Instant::now()), Begin::Begun)
        });
        loom::future::block_on(drain.begun());
        assert!(drain.has_begun());
        closer.join().unwrap();
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
            bytes: 0,
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
                        bytes: 0,
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
