//! Buffers that drop where there is no room: which item, who is told, and how it is counted.

use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{
    Batch, Buffer, BufferBuilder, DropReason, Flush, FlushError, InsertAndWaitError, Outcome, Overflow,
    TryInsertBatchError, TryInsertError, WeakBuffer, async_trait,
};
use parking_lot::Mutex;
use tokio_test::{assert_ready, task};

/// One partition with batches of two and room for six.
fn small(overflow: Overflow) -> BufferBuilder<u32> {
    Buffer::builder()
        .partitions(1)
        .batch_size(2)
        .capacity(6)
        .overflow(overflow)
}

#[tokio::test(start_paused = true)]
async fn the_oldest_batch_that_is_not_in_the_sink_s_hands_goes() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = small(Overflow::DropOldest).build(sink.clone()).unwrap();
    buffer.insert_batch(&mut vec![0, 1]).await.unwrap();
    // The worker takes the first batch in hand.
    while buffer.info()[0].in_hand < 2 {
        tokio::task::yield_now().await;
    }
    for item in 2..11 {
        assert_ready!(task::spawn(buffer.insert(item)).poll()).unwrap();
    }
    assert_eq!(buffer.try_insert(11), Ok(()));
    let ledger = buffer.ledger();
    assert_eq!((ledger.accepted, ledger.pending), (12, 6));
    assert_eq!(ledger.dropped.count(DropReason::Overflow), 6);
    gate.let_through(9);
    let summary = buffer.close().await;
    assert_eq!(sink.delivered(), [0, 1, 8, 9, 10, 11]);
    assert_eq!((summary.ledger.delivered, summary.ledger.pending), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_go_for_a_batch_that_is_larger_than_the_capacity_and_nothing_waits() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = small(Overflow::DropOldest).build(sink.clone()).unwrap();
    let mut items: Vec<u32> = (0..1_000).collect();
    assert_ready!(task::spawn(buffer.insert_batch(&mut items)).poll()).unwrap();
    let mut more: Vec<u32> = (1_000..1_010).collect();
    assert_eq!(buffer.try_insert_batch(&mut more), Ok(()));
    assert!(items.is_empty() && more.is_empty());
    gate.let_through(1_000);
    let ledger = buffer.close().await.ledger;
    assert_eq!(ledger.accepted, 1_010);
    assert_eq!(sink.delivered(), (1_004..1_010).collect::<Vec<_>>());
    assert_eq!(ledger.dropped.count(DropReason::Overflow), 1_004);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_go_by_weight_until_the_new_one_fits() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = small(Overflow::DropOldest)
        .capacity(100)
        .weigh(|item: &u32| *item as usize)
        .batch_bytes(10)
        .capacity_bytes(20)
        .build(sink.clone())
        .unwrap();
    for item in [1, 1, 2, 2, 3, 3, 9, 10] {
        buffer.insert(item).await.unwrap();
        assert!(buffer.size().bytes <= 20, "{:?}", buffer.size());
    }
    gate.let_through(9);
    let _ = buffer.close().await;
    assert_eq!(sink.delivered(), [9, 10]);
}

#[tokio::test(start_paused = true)]
async fn the_newest_is_dropped_and_counted_and_nothing_waits() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = small(Overflow::DropNewest).build(sink.clone()).unwrap();
    for item in 0..9 {
        assert_ready!(task::spawn(buffer.insert(item)).poll()).unwrap();
    }
    let mut many: Vec<u32> = (9..20).collect();
    assert_ready!(task::spawn(buffer.insert_batch(&mut many)).poll()).unwrap();
    assert!(many.is_empty());
    // Those who can have it back get it back.
    assert_eq!(buffer.try_insert(20), Err(TryInsertError::Full(20)));
    assert_eq!(
        buffer.try_insert_batch(&mut vec![21]),
        Err(TryInsertBatchError::Full)
    );
    let answer = assert_ready!(task::spawn(buffer.insert_and_wait(22)).poll());
    assert_eq!(drop_reason(answer), DropReason::Overflow);
    gate.let_through(9);
    let ledger = buffer.close().await.ledger;
    assert_eq!(sink.delivered(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        (ledger.accepted, ledger.dropped.count(DropReason::Overflow)),
        (21, 15)
    );
}

fn drop_reason(answer: Result<(), InsertAndWaitError<u32>>) -> DropReason {
    match answer {
        Err(InsertAndWaitError::NotDelivered(why)) => why.drop_reason().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_buffer_hands_back_what_it_would_have_dropped() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let (sink, _gate) = ScriptedSink::new([]).gated();
        let buffer = small(overflow).build(sink).unwrap();
        buffer.insert_batch(&mut (0..6).collect()).await.unwrap();
        let _ = buffer.close_within(Duration::ZERO).await;
        assert!(buffer.insert(6).await.is_err());
        let mut many = vec![7, 8, 9];
        assert!(buffer.insert_batch(&mut many).await.is_err());
        assert_eq!((many, buffer.ledger().accepted), (vec![7, 8, 9], 6));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_an_item_that_is_dropped_learns_it_and_the_hook_sees_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (sink, gate) = ScriptedSink::new([]).gated();
    let buffer = small(Overflow::DropOldest)
        .on_outcome({
            let seen = Arc::clone(&seen);
            move |settled| seen.lock().push((settled.outcome, settled.items.to_vec()))
        })
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut vec![0, 1]).await.unwrap();
    while buffer.info()[0].in_hand < 2 {
        tokio::task::yield_now().await;
    }
    let mut waiting = task::spawn(buffer.insert_and_wait(2));
    assert!(waiting.poll().is_pending());
    buffer.insert_batch(&mut (3..8).collect()).await.unwrap();
    assert_eq!(drop_reason(assert_ready!(waiting.poll())), DropReason::Overflow);
    assert_eq!(
        *seen.lock(),
        [(Outcome::Dropped(DropReason::Overflow), vec![2, 3])]
    );
    gate.let_through(9);
    let _ = buffer.close().await;
}

/// In an outage too: what is dropped is buried beside the attempt that hangs.
#[tokio::test(start_paused = true)]
async fn what_overflows_is_buried_while_the_sink_is_out_and_beyond_a_batch_at_a_time_it_is_gone() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (sink, gate) = ScriptedSink::new([]).gated();
        let cemetery = ScriptedSink::new([]);
        let buffer = small(overflow)
            .flush_timeout(Duration::from_secs(3_600))
            .dead_letters(cemetery.clone())
            .build(sink)
            .unwrap();
        buffer.insert_batch(&mut (0..6).collect()).await.unwrap();
        while buffer.info()[0].in_hand < 2 {
            tokio::task::yield_now().await;
        }
        // One batch's worth finds a place, the rest does not.
        for item in 6..12 {
            buffer.insert(item).await.unwrap();
        }
        while buffer.ledger().dead_lettered < 2 {
            tokio::task::yield_now().await;
        }
        let dropped = buffer.ledger().dropped;
        assert_eq!(dropped.count(DropReason::Overflow), 2);
        assert_eq!(dropped.count(DropReason::DeadLetterFull), 4);
        // The place is free again.
        buffer.insert_batch(&mut vec![12, 13]).await.unwrap();
        while buffer.ledger().dead_lettered < 4 {
            tokio::task::yield_now().await;
        }
        let expected = match overflow {
            Overflow::DropOldest => [2, 3, 8, 9],
            _ => [6, 7, 12, 13],
        };
        assert_eq!(cemetery.delivered(), expected, "{overflow:?}");
        assert_eq!(buffer.ledger().pending, 6);
        gate.let_through(9);
        let _ = buffer.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_overflowed_just_before_a_close_is_buried() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let cemetery = ScriptedSink::new([]);
    let buffer = small(Overflow::DropNewest)
        .dead_letters(cemetery.clone())
        .build(sink.clone())
        .unwrap();
    buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
    gate.let_through(9);
    let ledger = buffer.close().await.ledger;
    assert_eq!((ledger.delivered, ledger.dead_lettered), (6, 2));
    assert_eq!(cemetery.delivered(), [6, 7]);
}

/// Fails when a close does not tell whoever waits for letters in vain.
#[tokio::test(start_paused = true)]
async fn a_close_where_nothing_overflowed_waits_for_no_letters() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let sink = ScriptedSink::new([]);
        let buffer = small(overflow)
            .dead_letters(ScriptedSink::new([]))
            .build(sink.clone())
            .unwrap();
        buffer.insert(1).await.unwrap();
        // The worker begins to wait.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begun = tokio::time::Instant::now();
        let _ = buffer.close().await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{overflow:?}");
        assert_eq!(sink.delivered(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_reports_what_was_pending_and_not_what_overflowed_behind_it() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let (sink, gate) = ScriptedSink::new([Reply::Transient]).gated();
        let buffer = small(overflow).build(sink).unwrap();
        buffer.insert_batch(&mut vec![0, 1]).await.unwrap();
        while buffer.info()[0].in_hand < 2 {
            tokio::task::yield_now().await;
        }
        let mut flush = task::spawn(buffer.flush());
        let mut within = task::spawn(buffer.flush_within(Duration::from_millis(1)));
        assert!(flush.poll().is_pending());
        assert!(within.poll().is_pending());
        buffer.insert_batch(&mut (2..100).collect()).await.unwrap();
        let report = within.await;
        assert_eq!((report.pending, report.dropped.total()), (2, 0), "{overflow:?}");
        gate.let_through(9);
        let report = flush.await;
        assert_eq!((report.delivered, report.dropped.total()), (2, 0), "{overflow:?}");
    }
}

/// Notes what it is called with, and takes its time.
struct SlowCemetery {
    calls: Arc<Mutex<Vec<Vec<u32>>>>,
    takes: bool,
}

#[async_trait]
impl Flush<u32> for SlowCemetery {
    async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
        let items = if self.takes { batch.take() } else { batch.to_vec() };
        self.calls.lock().push(items);
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_cut_a_burial_off() {
    for takes in [false, true] {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let cemetery = SlowCemetery {
            calls: Arc::clone(&calls),
            takes,
        };
        let (sink, gate) = ScriptedSink::new([]).gated();
        let buffer = small(Overflow::DropNewest)
            .dead_letters(cemetery)
            .build(sink)
            .unwrap();
        buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.let_through(9);
        let ledger = buffer.close().await.ledger;
        assert_eq!((ledger.dead_lettered, &calls.lock()[..]), (2, &[vec![6, 7]][..]));
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_newcomers_as_many_are_buried_as_find_a_place() {
    let (sink, gate) = ScriptedSink::new([]).gated();
    let cemetery = ScriptedSink::new([]);
    let buffer = small(Overflow::DropNewest)
        .dead_letters(cemetery.clone())
        .build(sink)
        .unwrap();
    buffer.insert_batch(&mut (0..9).collect()).await.unwrap();
    gate.let_through(9);
    let ledger = buffer.close().await.ledger;
    assert_eq!(cemetery.delivered(), [6, 7]);
    assert_eq!(ledger.dropped.count(DropReason::DeadLetterFull), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_dropped_while_another_partition_has_room() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let (sink, gate) = ScriptedSink::new([]).gated();
        let buffer = small(overflow).partitions(2).capacity(12).build(sink).unwrap();
        buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
        let mut more: Vec<u32> = (8..12).collect();
        if overflow == Overflow::DropOldest {
            buffer.try_insert_batch(&mut more).unwrap();
        } else {
            buffer.insert_batch(&mut more).await.unwrap();
        }
        gate.let_through(9);
        let ledger = buffer.close().await.ledger;
        assert_eq!(ledger.delivered, 12, "{overflow:?} {ledger:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_weigh_what_their_items_did() {
    struct Scales(Arc<Mutex<Vec<u64>>>);
    #[async_trait]
    impl Flush<u32> for Scales {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            self.0.lock().push(batch.bytes());
            Ok(())
        }
    }
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sink, gate) = ScriptedSink::new([]).gated();
        let buffer = small(overflow)
            .weigh(|_: &u32| 5)
            .dead_letters(Scales(Arc::clone(&seen)))
            .build(sink)
            .unwrap();
        buffer.insert_batch(&mut (0..8).collect()).await.unwrap();
        gate.let_through(9);
        let _ = buffer.close().await;
        assert_eq!(seen.lock().iter().sum::<u64>(), 10, "{overflow:?}");
    }
}

/// The place is taken under the lock, and filled when the hook has seen the items.
#[test]
fn what_overflows_while_the_buffer_closes_is_buried_however_slow_the_hook_is() {
    let runtime = runtime();
    let (sink, gate) = ScriptedSink::new([]).gated();
    let cemetery = ScriptedSink::new([]);
    let (entered, entering) = mpsc::channel();
    let (leave, leaving) = mpsc::channel::<()>();
    let channels = Mutex::new((entered, leaving));
    let buffer = small(Overflow::DropNewest)
        .dead_letters(cemetery.clone())
        .runtime(runtime.handle().clone())
        .on_outcome(move |settled| {
            if settled.outcome == Outcome::Dropped(DropReason::Overflow) {
                let (entered, leaving) = &*channels.lock();
                entered.send(()).unwrap();
                leaving.recv().unwrap();
            }
        })
        .build(sink)
        .unwrap();
    (0..6).for_each(|item| buffer.insert_blocking(item).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| buffer.insert_blocking(6).unwrap());
        entering.recv().unwrap();
        gate.let_through(9);
        let closing = scope.spawn(|| runtime.block_on(buffer.close()));
        while buffer.ledger().delivered < 6 {
            std::thread::yield_now();
        }
        leave.send(()).unwrap();
        assert_eq!(closing.join().unwrap().ledger.dead_lettered, 1);
    });
    assert_eq!(cemetery.delivered(), [6]);
}

/// A lane that is always ready uses up what the task may do at a time.
#[tokio::test(start_paused = true)]
async fn a_busy_lane_does_not_keep_what_overflows_from_its_burial() {
    struct Again(Arc<Mutex<Option<WeakBuffer<u32>>>>);
    #[async_trait]
    impl Flush<u32> for Again {
        async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> {
            if let Some(buffer) = self.0.lock().as_ref().and_then(WeakBuffer::upgrade) {
                // Handed back when it is full: then there is enough to do.
                let _ = buffer.try_insert(0);
            }
            Ok(())
        }
    }
    struct Channel(tokio::sync::mpsc::Sender<u32>);
    #[async_trait]
    impl Flush<u32> for Channel {
        async fn flush(&self, batch: &mut Batch<u32>) -> Result<(), FlushError> {
            for item in batch.iter() {
                self.0.send(*item).await.map_err(FlushError::permanent)?;
            }
            Ok(())
        }
    }
    let own = Arc::new(Mutex::new(None));
    let (sender, _receiver) = tokio::sync::mpsc::channel(100);
    let buffer = small(Overflow::DropNewest)
        .batch_size(1)
        .dead_letters(Channel(sender))
        .build(Again(Arc::clone(&own)))
        .unwrap();
    *own.lock() = Some(buffer.downgrade());
    buffer.insert_batch(&mut (1..9).collect()).await.unwrap();
    assert!(buffer.ledger().dropped.count(DropReason::Overflow) > 0);
    while buffer.ledger().dead_lettered == 0 {
        assert!(buffer.ledger().delivered < 1_000_000, "{:?}", buffer.ledger());
        tokio::task::yield_now().await;
    }
    *own.lock() = None;
}

#[test]
fn what_overflowed_is_buried_by_a_rescue() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Its first attempt hangs, as on a connection of the dead runtime.
        let (sink, cemetery) = (ScriptedSink::new([]), ScriptedSink::new([Reply::Never]));
        let buffer = small(overflow)
            .dead_letters(cemetery.clone())
            .drain_timeout(Duration::from_secs(3))
            .runtime(runtime.handle().clone())
            .build(sink.clone())
            .unwrap();
        (0..8).for_each(|item| buffer.insert_blocking(item).unwrap());
        drop(runtime);
        let ledger = buffer.ledger();
        assert_eq!((ledger.delivered, ledger.dead_lettered), (6, 2), "{overflow:?}");
        assert_eq!(cemetery.delivered().len(), 2);
    }
}

#[test]
fn a_waker_that_panics_costs_no_letters() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("scripted")
        }
    }
    let runtime = runtime();
    let (sink, gate) = ScriptedSink::new([]).gated();
    let cemetery = ScriptedSink::new([]);
    let buffer = small(Overflow::DropOldest)
        .dead_letters(cemetery.clone())
        .runtime(runtime.handle().clone())
        .build(sink)
        .unwrap();
    (0..2).for_each(|item| buffer.insert_blocking(item).unwrap());
    while buffer.info()[0].in_hand == 0 {
        std::thread::yield_now();
    }
    let mut waiting = Box::pin(buffer.insert_and_wait(2));
    let waker = Waker::from(Arc::new(Panics));
    assert!(
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    (3..7).for_each(|item| buffer.insert_blocking(item).unwrap());
    gate.let_through(9);
    let ledger = runtime.block_on(buffer.close()).ledger;
    assert_eq!((ledger.delivered, ledger.dead_lettered), (5, 2));
    assert_eq!(cemetery.delivered(), [2, 3]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn many_threads_that_overflow_are_all_accounted_for() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest] {
        let runtime = runtime();
        let (sink, cemetery) = (ScriptedSink::new([]), ScriptedSink::new([]));
        let buffer = Buffer::builder()
            .partitions(2)
            .batch_size(3)
            .capacity(12)
            .weigh(|item: &u32| *item as usize % 5)
            .batch_bytes(8)
            .capacity_bytes(40)
            .overflow(overflow)
            .dead_letters(cemetery.clone())
            .runtime(runtime.handle().clone())
            .build(sink.clone())
            .unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let buffer = &buffer;
                scope.spawn(move || {
                    for item in 0..5_000 {
                        buffer.insert_blocking(thread * 5_000 + item).unwrap();
                    }
                });
            }
        });
        let ledger = runtime.block_on(buffer.close()).ledger;
        assert_eq!(ledger.accepted, 20_000);
        assert_eq!(ledger.delivered + ledger.dropped.total(), 20_000);
        assert_eq!(ledger.delivered, sink.delivered().len() as u64);
        assert_eq!(ledger.dead_lettered, cemetery.delivered().len() as u64);
        assert_eq!(ledger.dead_lettered, ledger.dropped.count(DropReason::Overflow));
        assert_eq!(buffer.size(), Default::default());
        let mut all = [sink.delivered(), cemetery.delivered()].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len() as u64, ledger.delivered + ledger.dead_lettered);
    }
}
