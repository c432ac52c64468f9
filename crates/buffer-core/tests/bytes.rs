//! Batches and a capacity that are bounded by what the items weigh.

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{
    Buffer, BufferBuilder, BuildError, InsertAndWaitError, InsertBatchError, InsertBlockingError,
    InsertError, InsertTimeoutError, Outcome, Overflow, Routing, Trigger, TryInsertBatchError,
    TryInsertError,
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio_test::{assert_pending, assert_ready, task};

/// One partition of items that weigh what they are, in batches of at most 10 and with room for 20.
fn weighing() -> BufferBuilder<u32> {
    Buffer::builder()
        .partitions(1)
        .weigh(|item: &u32| *item as usize)
        .batch_bytes(10)
        .capacity_bytes(20)
}

fn batches(sink: &ScriptedSink<u32>) -> Vec<Vec<u32>> {
    sink.attempts().into_iter().map(|attempt| attempt.items).collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sealed_when_it_weighs_enough_and_never_heavier_than_it_may_be() {
    let sink = ScriptedSink::new([]);
    let buffer = weighing().build(sink.clone()).unwrap();
    for item in [4, 6, 9, 2, 8, 1] {
        buffer.insert(item).await.unwrap();
    }
    buffer.flush().await;
    assert_eq!(batches(&sink), [vec![4, 6], vec![9], vec![2, 8], vec![1]]);
    let triggers: Vec<_> = sink.attempts().iter().map(|attempt| attempt.trigger).collect();
    assert_eq!(
        triggers,
        [Trigger::Bytes, Trigger::Bytes, Trigger::Bytes, Trigger::Request]
    );
}

#[tokio::test(start_paused = true)]
async fn light_items_in_a_row_take_the_room_to_the_last_byte_and_give_it_back() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = weighing().batch_bytes(15).build(sink.clone()).unwrap();
    buffer.try_insert(15).unwrap();
    for light in 1..=5 {
        buffer.try_insert(1).unwrap();
        let size = buffer.size();
        assert_eq!((size.items, size.bytes), (1 + light, 15 + light));
    }
    assert_eq!(buffer.try_insert(1), Err(TryInsertError::Full(1)));
    gate.open();
    buffer.flush().await;
    let size = buffer.size();
    assert_eq!((size.items, size.bytes), (0, 0));
    assert_eq!(batches(&sink), [vec![15], vec![1; 5]]);
}

#[tokio::test(start_paused = true)]
async fn a_weight_that_is_taken_back_bounds_nothing() {
    let sink = ScriptedSink::new([]);
    let buffer = weighing().unweighed().build(sink.clone()).unwrap();
    for item in [4, 60, 900] {
        buffer.insert(item).await.unwrap();
    }
    buffer.flush().await;
    assert_eq!(batches(&sink), [vec![4, 60, 900]]);
}

#[tokio::test(start_paused = true)]
async fn many_items_at_once_are_cut_by_their_weight_too() {
    let sink = ScriptedSink::new([]);
    let buffer = weighing().build(sink.clone()).unwrap();
    // Far more than there is room for at a time.
    let mut items: Vec<u32> = (0..60).map(|index| index % 7 + 1).collect();
    let all = items.clone();
    buffer.insert_batch(&mut items).await.unwrap();
    buffer.flush().await;
    assert_eq!(sink.delivered(), all);
    for batch in batches(&sink) {
        assert!(batch.iter().sum::<u32>() <= 10, "{batch:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_insert_waits_until_there_is_room_for_its_weight() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = weighing().build(sink.clone()).unwrap();
    for item in [10, 5] {
        buffer.try_insert(item).unwrap();
    }
    assert_eq!(buffer.size().bytes, 15);
    assert_eq!(buffer.try_insert(6), Err(TryInsertError::Full(6)));
    let mut heavy = task::spawn(buffer.insert(6));
    assert_pending!(heavy.poll());
    // What is light enough waits behind it.
    assert_eq!(buffer.try_insert(5), Err(TryInsertError::Full(5)));
    gate.let_through(1);
    while !heavy.is_woken() {
        tokio::task::yield_now().await;
    }
    assert_ready!(heavy.poll()).unwrap();
    gate.let_through(9);
    buffer.flush().await;
    assert_eq!(buffer.size(), Default::default());
    assert_eq!(sink.delivered(), [10, 5, 6]);
}

/// Light ones, of which there are always more, would take all room before there is enough for a heavy one.
#[tokio::test(start_paused = true)]
async fn a_light_one_waits_behind_a_heavy_one_until_that_has_room_or_gives_up() {
    for gives_up in [false, true] {
        let (sink, gate) = ScriptedSink::new([]).gated();
        let buffer = weighing().batch_size(1).batch_bytes(20).build(sink).unwrap();
        buffer.insert(5).await.unwrap();
        buffer.insert(15).await.unwrap();
        let mut heavy = task::spawn(buffer.insert(10));
        let mut light = task::spawn(buffer.insert(3));
        assert_pending!(heavy.poll());
        assert_pending!(light.poll());
        gate.let_through(1);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        // There is room for five.
        assert!(!light.is_woken());
        if gives_up {
            drop(heavy);
        } else {
            gate.let_through(1);
            heavy.await.unwrap();
        }
        assert_ready!(light.poll()).unwrap();
        gate.let_through(9);
        let _ = buffer.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_later_is_not_let_in_beside_a_heavy_one_that_waits() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = weighing().batch_bytes(20).build(sink).unwrap();
    buffer.insert(20).await.unwrap();
    let mut first = task::spawn(buffer.insert(5));
    let mut heavy = task::spawn(buffer.insert(18));
    assert_pending!(first.poll());
    assert_pending!(heavy.poll());
    gate.let_through(1);
    while !first.is_woken() {
        tokio::task::yield_now().await;
    }
    assert_ready!(first.poll()).unwrap();
    // There is room for 15, and a batch is open.
    assert_eq!(buffer.try_insert(1), Err(TryInsertError::Full(1)));
    let mut items = vec![1, 1];
    assert_eq!(
        buffer.try_insert_batch(&mut items),
        Err(TryInsertBatchError::Full)
    );
    assert_eq!(items, [1, 1]);
    gate.open();
    heavy.await.unwrap();
    let _ = buffer.close().await;
}

/// Nothing is settled there that would tell the light one.
#[tokio::test(start_paused = true)]
async fn a_light_one_gets_in_wherever_only_a_heavy_one_stood_before_it() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = weighing()
        .partitions(2)
        .batch_size(1)
        .batch_bytes(20)
        .capacity_bytes(40)
        .build(sink.clone())
        .unwrap();
    buffer.insert(20).await.unwrap();
    sink.attempted(1).await;
    buffer.insert(14).await.unwrap();
    sink.attempted(2).await;
    let mut heavy = task::spawn(buffer.insert(18));
    let mut light = task::spawn(buffer.insert(5));
    assert_pending!(heavy.poll());
    assert_pending!(light.poll());
    // The first that waits at the gate is the first that came.
    gate.let_through(1);
    while !heavy.is_woken() {
        tokio::task::yield_now().await;
    }
    assert!(light.is_woken());
    assert_ready!(heavy.poll()).unwrap();
    assert_ready!(light.poll()).unwrap();
    gate.open();
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_room_that_is_kept_is_as_large_as_its_item_is_heavy() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = weighing().batch_bytes(20).build(sink).unwrap();
    buffer.insert(20).await.unwrap();
    let mut heavy = task::spawn(buffer.insert(15));
    assert_pending!(heavy.poll());
    gate.open();
    while !heavy.is_woken() {
        tokio::task::yield_now().await;
    }
    assert_eq!(buffer.try_insert(6), Err(TryInsertError::Full(6)));
    buffer.try_insert(5).unwrap();
    assert_ready!(heavy.poll()).unwrap();
    assert_eq!(buffer.size().bytes, 20);
    let _ = buffer.close().await;
}

/// Without `batch_bytes` nothing else would seal the open batch that takes all the room before its interval.
fn unhurried(sink: ScriptedSink<u32>) -> Buffer<u32> {
    Buffer::builder()
        .partitions(1)
        .weigh(|item: &u32| *item as usize)
        .capacity_bytes(20)
        .flush_interval(Duration::from_secs(3_600))
        .build(sink)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_that_takes_all_the_room_is_flushed_for_the_one_who_waits() {
    let sink = ScriptedSink::new([]);
    let buffer = unhurried(sink.clone());
    let begun = tokio::time::Instant::now();
    for item in [12, 12, 12] {
        buffer.insert(item).await.unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "nobody sat out the interval"
    );
    assert_eq!(batches(&sink), [[12], [12]]);
}

/// The one in front leaves too little room for the next when it comes in.
#[tokio::test(start_paused = true)]
async fn an_open_batch_is_flushed_for_the_next_in_line() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = unhurried(sink);
    buffer.insert(20).await.unwrap();
    let mut first = task::spawn(buffer.insert(5));
    let mut heavy = task::spawn(buffer.insert(18));
    assert_pending!(first.poll());
    assert_pending!(heavy.poll());
    gate.open();
    let begun = tokio::time::Instant::now();
    first.await.unwrap();
    heavy.await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "nobody sat out the interval"
    );
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_is_flushed_for_the_one_in_line_when_nothing_else_is_left_to_settle() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = unhurried(sink.clone());
    buffer.insert(10).await.unwrap();
    buffer.request_flush();
    sink.attempted(1).await;
    buffer.insert(5).await.unwrap();
    let mut heavy = task::spawn(buffer.insert(18));
    assert_pending!(heavy.poll());
    gate.open();
    tokio::time::timeout(Duration::from_secs(1), heavy)
        .await
        .expect("nobody sits out the interval")
        .unwrap();
    let _ = buffer.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_batch_that_takes_all_the_room_is_flushed_for_the_others_of_many() {
    let sink = ScriptedSink::new([]);
    let buffer = unhurried(sink.clone());
    let mut items = vec![12, 12, 12];
    assert_eq!(
        buffer.try_insert_batch(&mut items),
        Err(TryInsertBatchError::Full)
    );
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(buffer.size().items, 0, "nobody sits out the interval");
    let begun = tokio::time::Instant::now();
    buffer.insert_batch(&mut items).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "nobody sat out the interval"
    );
    assert_eq!(batches(&sink), [[12], [12]]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_too_heavy_is_refused_at_every_door_and_costs_nothing() {
    let buffer = weighing().build(ScriptedSink::new([])).unwrap();
    let limit = Duration::from_secs(1);
    assert_eq!(buffer.insert(11).await, Err(InsertError::Oversized(11)));
    assert_eq!(buffer.try_insert(11), Err(TryInsertError::Oversized(11)));
    assert_eq!(
        buffer.insert_timeout(11, limit).await,
        Err(InsertTimeoutError::Oversized(11))
    );
    let refused = buffer.insert_and_wait(11).await;
    assert!(matches!(refused, Err(InsertAndWaitError::Oversized(11))));
    let refused = buffer.insert_with_receipt(11).await;
    assert_eq!(refused.map(drop), Err(InsertError::Oversized(11)));
    let refused = buffer.try_insert_with_receipt(11);
    assert_eq!(refused.map(drop), Err(TryInsertError::Oversized(11)));
    let blocking = std::thread::scope(|scope| scope.spawn(|| buffer.insert_blocking(11)).join());
    assert_eq!(blocking.unwrap(), Err(InsertBlockingError::Oversized(11)));
    let mut items = vec![1, 2, 11, 3];
    assert_eq!(
        buffer.insert_batch(&mut items).await,
        Err(InsertBatchError::Oversized { index: 2 })
    );
    assert_eq!(
        buffer.try_insert_batch(&mut items),
        Err(TryInsertBatchError::Oversized { index: 2 })
    );
    assert_eq!(items, [1, 2, 11, 3]);
    assert_eq!(buffer.ledger().accepted, 0);
    buffer.insert(10).await.unwrap();
    assert_eq!(buffer.close().await.ledger.delivered, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_by_key_is_weighed_item_by_item() {
    let sink = ScriptedSink::new([]);
    let buffer = weighing()
        .partitions(3)
        .capacity_bytes(60)
        .routing(Routing::by_key(|item: &u32| item))
        .build(sink.clone())
        .unwrap();
    let mut items: Vec<u32> = (1..=10).cycle().take(200).collect();
    buffer.insert_batch(&mut items).await.unwrap();
    buffer.flush().await;
    assert!(batches(&sink).iter().all(|batch| batch.iter().sum::<u32>() <= 10));
    assert_eq!((sink.delivered().len(), buffer.size().bytes), (200, 0));
}

/// Whatever becomes of items, their bytes are free again.
#[tokio::test(start_paused = true)]
async fn the_weight_is_freed_by_every_outcome() {
    let sink = ScriptedSink::new([
        Reply::Transient,
        Reply::reject(0, Reply::Ok),
        Reply::deliver(0..1, Reply::Transient),
        Reply::Ok,
        Reply::Permanent,
    ]);
    let buffer = weighing().batch_size(3).build(sink.clone()).unwrap();
    for item in [1, 2, 3, 4, 5, 1, 3, 3, 3] {
        buffer.insert(item).await.unwrap();
    }
    buffer.flush().await;
    let ledger = buffer.ledger();
    assert_eq!((ledger.delivered, ledger.dropped.total()), (5, 4));
    assert_eq!(buffer.size(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn a_split_keeps_the_weights_apart() {
    struct Strict(Arc<Mutex<Vec<(usize, u64)>>>);
    #[buffer_core::async_trait]
    impl buffer_core::Flush<u32> for Strict {
        async fn flush(&self, batch: &mut buffer_core::Batch<u32>) -> Result<(), buffer_core::FlushError> {
            self.0.lock().push((batch.len(), batch.bytes()));
            match batch.contains(&7) {
                true => Err(buffer_core::FlushError::divisible("seven")),
                false => Ok(()),
            }
        }
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let buffer = weighing()
        .batch_bytes(20)
        .batch_size(4)
        .build(Strict(Arc::clone(&seen)))
        .unwrap();
    buffer.insert_batch(&mut vec![1, 2, 7, 5]).await.unwrap();
    buffer.flush().await;
    assert_eq!(*seen.lock(), [(4, 15), (2, 3), (2, 12), (1, 7), (1, 5)]);
    assert_eq!(buffer.size(), Default::default());
}

#[tokio::test(start_paused = true)]
async fn last_items_come_in_whatever_they_weigh() {
    let sink = ScriptedSink::new([]);
    let buffer = weighing()
        .last_items(|| vec![15, 30])
        .build(sink.clone())
        .unwrap();
    buffer.insert(5).await.unwrap();
    assert_eq!(buffer.close().await.ledger.delivered, 3);
    assert_eq!(batches(&sink), [[5], [15], [30]]);
}

/// The hook of outcomes is a user's too.
#[tokio::test(start_paused = true)]
async fn a_weight_that_changes_in_the_buffer_frees_what_it_took() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    let weight = Arc::new(AtomicUsize::new(3));
    let buffer = Buffer::builder()
        .partitions(1)
        .weigh({
            let weight = Arc::clone(&weight);
            move |_: &u32| weight.load(Relaxed)
        })
        .batch_bytes(9)
        .on_outcome(|settled| assert_eq!(settled.outcome, Outcome::Delivered))
        .build(ScriptedSink::new([]))
        .unwrap();
    buffer.insert(1).await.unwrap();
    weight.store(9, Relaxed);
    buffer.insert(1).await.unwrap();
    assert_eq!(buffer.size().bytes, 12);
    buffer.flush().await;
    assert_eq!(buffer.size(), Default::default());
}

#[tokio::test]
async fn settings_of_bytes_that_make_no_sense_name_both() {
    let build = |builder: BufferBuilder<u32>| builder.build(ScriptedSink::new([])).map(drop).unwrap_err();
    let missing = |setting| BuildError::Missing {
        setting,
        other: "weigh",
        reason: "without it nothing has a weight",
    };
    assert_eq!(build(Buffer::builder().batch_bytes(9)), missing("batch_bytes"));
    assert_eq!(
        build(Buffer::builder().capacity_bytes(9)),
        missing("capacity_bytes")
    );
    assert!(matches!(
        build(weighing().batch_bytes(0)),
        BuildError::Zero {
            setting: "batch_bytes",
            ..
        }
    ));
    assert!(matches!(
        build(weighing().partitions(3)),
        BuildError::Contradiction {
            setting: "capacity_bytes",
            other: "batch_bytes",
            ..
        }
    ));
    for builder in [
        weighing().batch_bytes(11).overflow(Overflow::DropOldest),
        weighing()
            .batch_size(10)
            .capacity(19)
            .overflow(Overflow::DropOldest),
    ] {
        let error = build(builder).to_string();
        assert!(error.contains("two batches"), "{error}");
    }
}

/// Fails when the buffer is locked, or an item of many is taken out, while the weight is asked for.
#[tokio::test(start_paused = true)]
async fn a_weight_or_a_key_that_panics_costs_its_item_alone_and_of_many_none() {
    fn trips(item: &u32) -> &u32 {
        assert_ne!(*item, 13, "scripted");
        item
    }
    let builder = || Buffer::builder().partitions(2);
    let weighing = builder().weigh(|item| *trips(item) as usize);
    let routing = builder().routing(Routing::by_key(trips));
    for builder in [weighing, routing] {
        let sink = ScriptedSink::new([]);
        let buffer = builder.build(sink.clone()).unwrap();
        let inserting = tokio::spawn({
            let buffer = buffer.clone();
            async move { buffer.insert(13).await }
        });
        assert!(inserting.await.is_err_and(|error| error.is_panic()));
        let inserting = tokio::spawn({
            let buffer = buffer.clone();
            async move {
                let mut items = vec![1, 13, 2];
                let insert = std::panic::AssertUnwindSafe(|| buffer.try_insert_batch(&mut items));
                assert!(std::panic::catch_unwind(insert).is_err());
                items.retain(|item| *item != 13);
                buffer.insert_batch(&mut items).await
            }
        });
        inserting.await.unwrap().unwrap();
        let ledger = buffer.close().await.ledger;
        assert_eq!((ledger.accepted, ledger.delivered), (2, 2));
    }
}
