//! Many threads and tasks at once, on a real clock: nothing is lost, nothing comes twice, and the ledger adds up meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use buffer_core::testing::ScriptedSink;
use buffer_core::{Buffer, Ledger};

fn assert_adds_up(ledger: &Ledger) {
    let settled = ledger.delivered + ledger.dropped.total() + ledger.returned;
    assert_eq!(ledger.accepted, settled + ledger.pending, "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_item_of_every_producer_is_delivered_once_while_the_ledger_adds_up() {
    const PRODUCERS: u64 = 8;
    const ITEMS: u64 = 20_000;
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .partitions(3)
        .batch_size(50)
        .capacity(600)
        .build(sink.clone())
        .unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: it only ends the loop.
            while !done.load(Ordering::Relaxed) {
                assert_adds_up(&buffer.ledger());
                buffer.request_flush();
            }
        });
        let runtime = tokio::runtime::Handle::current();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let (buffer, runtime) = (buffer.clone(), runtime.clone());
                scope.spawn(move || {
                    for number in 0..ITEMS {
                        let item = producer * ITEMS + number;
                        match number % 3 {
                            0 => runtime.block_on(buffer.insert(item)).unwrap(),
                            1 => runtime.block_on(buffer.insert_batch(&mut vec![item])).unwrap(),
                            _ => {
                                while buffer.try_insert(item).is_err() {
                                    std::thread::yield_now();
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let summary = buffer.close().await;
    assert_adds_up(&summary.ledger);
    assert_eq!(summary.ledger.delivered, PRODUCERS * ITEMS);
    let mut delivered = sink.delivered();
    delivered.sort_unstable();
    assert_eq!(delivered, (0..PRODUCERS * ITEMS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_in_the_middle_of_inserts_accounts_for_each_as_accepted_or_handed_back() {
    for _ in 0..50 {
        let sink = ScriptedSink::new([]);
        let buffer = Buffer::builder()
            .partitions(2)
            .batch_size(7)
            .build(sink.clone())
            .unwrap();
        let producers: Vec<_> = (0..4)
            .map(|_| {
                let buffer = buffer.clone();
                std::thread::spawn(move || {
                    (0..).take_while(|item| buffer.try_insert(*item).is_ok()).count() as u64
                })
            })
            .collect();
        while buffer.ledger().delivered == 0 {
            tokio::task::yield_now().await;
        }
        let summary = buffer.close().await;
        let accepted: u64 = producers
            .into_iter()
            .map(|producer| producer.join().unwrap())
            .sum();
        assert_eq!(
            (summary.ledger.accepted, summary.ledger.delivered),
            (accepted, accepted)
        );
        assert_eq!(sink.delivered().len() as u64, accepted);
    }
}
