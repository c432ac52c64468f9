//! The ways of an item to the other side: ours, what is possible at best, and the channels that services use; and no way at all.

use std::hint::black_box;
use std::sync::{Arc, mpsc};
use std::thread;

use buffer_benches::{Total, add_if_whole};
use buffer_core::Buffer;

use crate::bound::Homes;
use crate::pace::{Latencies, paced};
use crate::{BATCH, CAPACITY, Load};

fn timed(load: Load<'_>, insert: impl Fn(usize, u64) + Sync) -> Latencies {
    paced(load.producers, load.items, load.pace, insert)
}

/// Runs `drain` on a thread of its own while the producers insert; it ends when `insert` is dropped.
fn drained(load: Load<'_>, insert: impl Fn(u64) + Sync, drain: impl FnOnce(&Total) + Send) -> Latencies {
    let total = Total::default();
    let latencies = thread::scope(|scope| {
        scope.spawn(|| drain(&total));
        let latencies = timed(load, |_, item| insert(item));
        drop(insert);
        latencies
    });
    total.check(load.items);
    latencies
}

/// What is in every figure.
pub(crate) fn nothing(load: Load<'_>) -> Latencies {
    timed(load, |_, item| {
        black_box(item);
    })
}

pub(crate) fn buffer(load: Load<'_>) -> Latencies {
    let total = Arc::new(Total::default());
    let buffer = Buffer::builder()
        .batch_size(BATCH)
        .runtime(load.runtime.handle().clone())
        .build(Arc::clone(&total))
        .expect("the settings make sense");
    let latencies = timed(load, |_, item| buffer.try_insert(item).expect("there is room"));
    let _ = load.runtime.block_on(buffer.close());
    total.check(load.items);
    latencies
}

pub(crate) fn handed_over(load: Load<'_>) -> Latencies {
    let total = Total::default();
    let homes = Homes::new(load.producers as usize, BATCH);
    let (sender, receiver) = mpsc::sync_channel::<Vec<u64>>(CAPACITY / BATCH);
    let latencies = thread::scope(|scope| {
        scope.spawn(|| receiver.into_iter().for_each(|batch| total.add(&batch)));
        let latencies = timed(load, |producer, item| homes.insert(producer, item, &sender));
        drop(sender);
        latencies
    });
    total.add(&homes.rest());
    total.check(load.items);
    latencies
}

pub(crate) fn crossbeam(load: Load<'_>) -> Latencies {
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(CAPACITY);
    let insert = move |item| sender.try_send(item).expect("there is room");
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

pub(crate) fn flume(load: Load<'_>) -> Latencies {
    let (sender, receiver) = flume::bounded::<u64>(CAPACITY);
    let insert = move |item| sender.try_send(item).expect("there is room");
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

pub(crate) fn kanal(load: Load<'_>) -> Latencies {
    let (sender, receiver) = kanal::bounded::<u64>(CAPACITY);
    let insert = move |item| {
        assert!(
            sender.try_send(item).expect("the other side lives"),
            "there is room"
        )
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

pub(crate) fn tokio_mpsc(load: Load<'_>) -> Latencies {
    let total = Arc::new(Total::default());
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(CAPACITY);
    let drain = load.runtime.spawn({
        let total = Arc::clone(&total);
        async move {
            let mut batch = Vec::with_capacity(BATCH);
            while receiver.recv_many(&mut batch, BATCH).await > 0 {
                add_if_whole(&mut batch, BATCH, |batch| total.add(batch));
            }
            total.add(&batch);
        }
    });
    let latencies = timed(load, |_, item| sender.try_send(item).expect("there is room"));
    drop(sender);
    load.runtime.block_on(drain).expect("the drain does not panic");
    total.check(load.items);
    latencies
}
