//! The ways of a hundred items at once from threads to the other side.

use std::sync::{Arc, mpsc};
use std::thread;

use buffer_benches::{Total, add_if_whole, produce};
use buffer_core::{Buffer, TryInsertBatchError};

use crate::bound::Homes;
use crate::{BATCH, CAPACITY, Load, parts, per_item};

/// Lets the threads insert, and says what an item cost.
fn timed(load: Load<'_>, insert: impl Fn(&mut Vec<u64>) + Sync) -> f64 {
    let elapsed = produce(load.producers, load.items, |numbers| {
        let mut part = Vec::new();
        for numbers in parts(numbers) {
            part.extend(numbers);
            insert(&mut part);
        }
    });
    per_item(load, elapsed)
}

/// Runs `drain` on a thread of its own while the threads insert; it ends when `insert` is dropped.
fn drained(load: Load<'_>, insert: impl Fn(&mut Vec<u64>) + Sync, drain: impl FnOnce(&Total) + Send) -> f64 {
    let total = Total::default();
    let cost = thread::scope(|scope| {
        scope.spawn(|| drain(&total));
        let cost = timed(load, &insert);
        drop(insert);
        cost
    });
    total.check(load.items);
    cost
}

pub(crate) fn buffer(load: Load<'_>) -> f64 {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(BATCH)
        .runtime(load.runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let cost = timed(load, |part| match buffer.try_insert_batch(part) {
        Ok(()) => {}
        Err(TryInsertBatchError::Full) => load.runtime.block_on(buffer.insert_batch(part)).expect("open"),
        Err(error) => unreachable!("{error:?}"),
    });
    let _ = load.runtime.block_on(buffer.close());
    total.check(load.items);
    cost
}

pub(crate) fn handed_over(load: Load<'_>) -> f64 {
    let total = Total::default();
    let homes = Homes::new(load.producers as usize, BATCH);
    let (sender, receiver) = mpsc::sync_channel::<Vec<u64>>(CAPACITY / BATCH);
    let cost = thread::scope(|scope| {
        scope.spawn(|| receiver.into_iter().for_each(|batch| total.add(&batch)));
        let cost = timed(load, |part| {
            if let Some(full) = homes.extend(part) {
                sender.send(full).expect("the other side lives");
            }
        });
        drop(sender);
        cost
    });
    total.add(&homes.rest());
    total.check(load.items);
    cost
}

/// Has no way for many at once, so each goes alone.
pub(crate) fn crossbeam(load: Load<'_>) -> f64 {
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(CAPACITY);
    let insert = move |part: &mut Vec<u64>| {
        part.drain(..)
            .for_each(|item| sender.send(item).expect("the other side lives"));
    };
    drained(load, insert, |total| {
        let mut batch = Vec::with_capacity(BATCH);
        while let Ok(item) = receiver.recv() {
            batch.push(item);
            batch.extend(receiver.try_iter().take(BATCH - batch.len()));
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}

/// Has no way for many at once, so each goes alone.
pub(crate) fn kanal(load: Load<'_>) -> f64 {
    let (sender, receiver) = kanal::bounded::<u64>(CAPACITY);
    let insert = move |part: &mut Vec<u64>| {
        part.drain(..)
            .for_each(|item| sender.send(item).expect("the other side lives"));
    };
    drained(load, insert, |total| {
        let mut batch = Vec::with_capacity(CAPACITY);
        while let Ok(item) = receiver.recv() {
            batch.push(item);
            let _closed = receiver.drain_into(&mut batch);
            add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
        }
        total.add(&batch);
    })
}
