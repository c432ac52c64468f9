//! What a buffer holds that nobody uses.

use std::sync::Arc;
use std::time::Duration;

use buffer_benches::Total;
use buffer_core::Buffer;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::{HEAP, runtime};

const BURST: u64 = 1_000_000;
const BUFFERS: usize = 1_000;

/// What was done with it before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    None,
    Item,
}

fn buffer(total: &Arc<Total>, partitions: usize) -> Buffer<u64> {
    let builder = Buffer::builder().partitions(partitions);
    builder.build(Arc::clone(total)).expect("the settings make sense")
}

async fn hours(hours: u64) {
    sleep(Duration::from_secs(hours * 60 * 60)).await;
}

/// What `hold` takes; what it returns is held meanwhile.
async fn bytes_of<R>(hold: impl AsyncFnOnce() -> R) -> (f64, R) {
    let before = HEAP.current_usage();
    let held = hold().await;
    (HEAP.current_usage() as f64 - before as f64, held)
}

pub(crate) fn new() -> f64 {
    let total = Arc::new(Total::default());
    runtime().block_on(async {
        hours(1).await;
        let (bytes, _buffer) = bytes_of(async || {
            let buffer = buffer(&total, 2);
            hours(1).await;
            buffer
        })
        .await;
        bytes
    })
}

pub(crate) fn after_a_burst(later: u64) -> f64 {
    let total = Arc::new(Total::default());
    runtime().block_on(async {
        hours(1).await;
        let (bytes, buffer) = bytes_of(async || {
            let buffer = buffer(&total, 2);
            for item in 0..BURST {
                buffer.insert(item).await.expect("open");
            }
            buffer.flush().await;
            hours(later).await;
            buffer
        })
        .await;
        let _ = buffer.close().await;
        total.check(BURST);
        bytes
    })
}

/// What it holds after so many hours in which an item came every minute.
pub(crate) fn after_a_trickle(of_hours: u64) -> f64 {
    let total = Arc::new(Total::default());
    let items = of_hours * 60;
    runtime().block_on(async {
        hours(1).await;
        let (bytes, buffer) = bytes_of(async || {
            let buffer = buffer(&total, 2);
            for minute in 0..items {
                buffer.insert(minute).await.expect("open");
                sleep(Duration::from_secs(60)).await;
            }
            buffer
        })
        .await;
        let _ = buffer.close().await;
        total.check(items);
        bytes
    })
}

pub(crate) fn each_of_many(partitions: usize, usage: Use) -> f64 {
    let total = Arc::new(Total::default());
    runtime().block_on(async {
        hours(1).await;
        let mut buffers = Vec::with_capacity(BUFFERS);
        let (bytes, ()) = bytes_of(async || {
            for number in 0..BUFFERS {
                let buffer = buffer(&total, partitions);
                if usage == Use::Item {
                    buffer.insert(number as u64).await.expect("open");
                }
                buffers.push(buffer);
            }
            hours(1).await;
        })
        .await;
        for buffer in &buffers {
            let _ = buffer.close().await;
        }
        total.check(if usage == Use::Item { BUFFERS as u64 } else { 0 });
        bytes / BUFFERS as f64
    })
}

/// A channel, and a task that collects what comes through it.
pub(crate) fn each_channel_of_many(usage: Use) -> f64 {
    let total = Arc::new(Total::default());
    runtime().block_on(async {
        hours(1).await;
        let mut senders = Vec::with_capacity(BUFFERS);
        let (bytes, ()) = bytes_of(async || {
            for number in 0..BUFFERS {
                let (sender, mut receiver) = mpsc::channel::<u64>(100_000);
                let total = Arc::clone(&total);
                tokio::spawn(async move {
                    let mut batch = Vec::new();
                    while receiver.recv_many(&mut batch, 5_000).await > 0 {
                        total.add(&batch);
                        batch = Vec::new();
                    }
                });
                if usage == Use::Item {
                    sender.send(number as u64).await.expect("the other side lives");
                }
                senders.push(sender);
            }
            hours(1).await;
        })
        .await;
        total.check(if usage == Use::Item { BUFFERS as u64 } else { 0 });
        bytes / BUFFERS as f64
    })
}
