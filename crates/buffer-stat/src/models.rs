//! Loom models of the windows: the interleavings of a few steps with up to three preemptions, on the code that production runs.
//!
//! Run by `RUSTFLAGS="--cfg buffer_loom" cargo test --release -p buffer-stat --lib models`. Each model names the broken copy
//! that it was seen to fail on.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::count::Count;
use crate::error::IncrementError;
use crate::max_keys::{MaxKeys, Places};
use crate::sums::Sums;
use crate::turn::Turn;
use crate::windows::Windows;

/// Checks every interleaving with at most three preemptions, which is where the known bugs of such machines show.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn windows(most_keys: usize) -> Arc<Windows<u32>> {
    let partitions = NonZeroUsize::new(2).expect("not zero");
    let sums = Sums::new(partitions, Places::new(most_keys, MaxKeys::Refuse));
    Arc::new(Windows::new(sums, false))
}

fn increment(windows: &Windows<u32>, key: u32) -> Result<(), IncrementError> {
    windows.note(windows.sums.add(&key, 1)?);
    Ok(())
}

/// Ends the window, and takes a batch of what it hands over.
fn hand_over(windows: &Windows<u32>, batch_size: usize) -> Vec<Count<u32>> {
    let mut handed = Vec::new();
    windows.hand_over(Turn::InTime, None, batch_size, |counts| {
        if handed.is_empty() {
            handed.append(counts);
        }
    });
    handed
}

fn deliver(windows: &Windows<u32>, counts: &[Count<u32>]) -> i128 {
    windows.settle(counts.len(), counts);
    total(counts)
}

fn total(counts: &[Count<u32>]) -> i128 {
    counts.iter().map(|count| i128::from(count.delta)).sum()
}

fn merge_back(windows: &Windows<u32>, counts: &mut Vec<Count<u32>>) {
    let hashes = counts.iter().map(|count| windows.sums.hash(&count.key)).collect();
    let taken = counts.len();
    // Closed: they stay with the caller, who goes on trying.
    if windows.merge_back(hashes, || std::mem::take(counts)).is_ok() {
        windows.settle(taken, &[]);
    }
}

/// Fails when `take_last` does not close the tables, and when `take` forgets the sums of an entry that it keeps.
#[test]
fn every_increment_is_handed_over_once_or_refused() {
    check(|| {
        let windows = windows(usize::MAX);
        let producers: Vec<_> = (0..2)
            .map(|_| {
                let windows = Arc::clone(&windows);
                thread::spawn(move || (0..2).filter(|_| increment(&windows, 7).is_ok()).count())
            })
            .collect();
        let mut handed = total(&hand_over(&windows, 10));
        handed += total(&windows.last_counts());
        let accepted: usize = producers
            .into_iter()
            .map(|producer| producer.join().unwrap())
            .sum();
        assert_eq!(handed, accepted as i128);
        assert_eq!(increment(&windows, 7), Err(IncrementError::Closed));
    });
}

/// Fails when `merge_back` does not look at `closed`, and when `last_counts` leaves the rest.
#[test]
fn what_goes_back_while_the_counters_close_is_summed_on_or_stays_with_the_sink() {
    check(|| {
        let windows = windows(usize::MAX);
        increment(&windows, 1).unwrap();
        increment(&windows, 2).unwrap();
        // One of the two counts is a rest.
        let mut failed = hand_over(&windows, 1);
        let sink = thread::spawn({
            let windows = Arc::clone(&windows);
            move || {
                merge_back(&windows, &mut failed);
                total(&failed)
            }
        });
        let producer = thread::spawn({
            let windows = Arc::clone(&windows);
            move || i128::from(increment(&windows, 1).is_ok())
        });
        let last = total(&windows.last_counts());
        let accepted = 2 + producer.join().unwrap();
        assert_eq!(last + sink.join().unwrap(), accepted);
    });
}

/// Fails when `outstanding` does not take the lock of `current`, and when `merge_back` leaves what went back in flight.
#[test]
fn what_is_outstanding_is_seen_in_one_place_wherever_it_moves() {
    check(|| {
        let windows = windows(usize::MAX);
        increment(&windows, 7).unwrap();
        let delivered = Arc::new(Mutex::new(0));
        let worker = thread::spawn({
            let (windows, delivered) = (Arc::clone(&windows), Arc::clone(&delivered));
            move || {
                let mut counts = hand_over(&windows, 10);
                merge_back(&windows, &mut counts);
                let counts = hand_over(&windows, 10);
                let mut delivered = delivered.lock().unwrap();
                *delivered += deliver(&windows, &counts);
            }
        });
        {
            let delivered = delivered.lock().unwrap();
            assert_eq!(*delivered + windows.outstanding(&7), 1);
        }
        worker.join().unwrap();
        assert_eq!((*delivered.lock().unwrap(), windows.outstanding(&7)), (1, 0));
    });
}

/// Fails when a place is taken by a look and a step after it.
#[test]
fn there_are_never_more_keys_than_the_bound_and_their_places_come_back() {
    check(|| {
        let windows = windows(1);
        let producers: Vec<_> = (0..2)
            .map(|key| {
                let windows = Arc::clone(&windows);
                thread::spawn(move || increment(&windows, key).is_ok())
            })
            .collect();
        let accepted: Vec<_> = producers
            .into_iter()
            .map(|producer| producer.join().unwrap())
            .collect();
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1);
        hand_over(&windows, 10);
        windows.sums.forget_idle();
        assert_eq!(increment(&windows, 9), Ok(()));
    });
}

/// The number of executions that loom tells apart for two threads that each have their key in a table of their own.
fn executions(hits: usize, also: fn(&Windows<u32>)) -> usize {
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);
    let hit = |windows: &Windows<u32>, table: usize| {
        let mut table = windows.sums.tables.at(table).lock();
        let hash = windows.sums.hash(&7);
        let changes = windows.sums.add_to(&mut table, hash, &7, 1);
        drop(table);
        windows.note(changes.expect("open"));
    };
    // Relaxed: loom's threads are one.
    EXECUTIONS.store(0, Relaxed);
    check(move || {
        EXECUTIONS.fetch_add(1, Relaxed);
        let windows = windows(10);
        (0..2).for_each(|table| hit(&windows, table));
        let threads: Vec<_> = (0..2)
            .map(|table| {
                let windows = Arc::clone(&windows);
                thread::spawn(move || {
                    (0..hits).for_each(|_| hit(&windows, table));
                    also(&windows);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    EXECUTIONS.load(Relaxed)
}

/// Threads can use what they share in more than one order, and loom tries every order. Fails when a hit looks at the window.
#[test]
fn hits_of_two_threads_at_home_share_nothing() {
    let without = executions(0, |_| {});
    assert_eq!(executions(3, |_| {}), without);
    assert!(
        executions(3, |windows| {
            windows.number();
        }) > without,
        "loom sees what is shared"
    );
}
