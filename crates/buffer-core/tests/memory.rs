//! What a buffer holds in memory, in tasks and in timers: neither ever new keys nor an endless outage make it grow, and an
//! idle buffer holds nothing. All of it is counted, nothing is timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buffer_core::{
    Batch, Buffer, BufferBuilder, DropReason, Flush, FlushError, Health, InsertTimeoutError, Routing,
    async_trait,
};
use parking_lot::Mutex;
use peak_alloc::PeakAlloc;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What the test runner's own threads may hold at one moment and not at another.
const NOISE: usize = 16 * 1024;

/// The tests share one heap, so each runs while no other does.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs a test alone and with paused time.
fn alone(test: impl Future<Output = ()>) {
    let _alone = ALONE.lock();
    current_thread(|_| {}).block_on(test);
}

fn current_thread(change: impl FnOnce(&mut tokio::runtime::Builder)) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true);
    change(&mut builder);
    builder.build().unwrap()
}

fn assert_flat(base: usize, when: &str) {
    let now = HEAP.current_usage();
    assert!(
        now <= base + NOISE,
        "{when}: {now} bytes are live, and were {base}"
    );
}

/// What a sink answers, every time but where the name says otherwise.
#[derive(Debug)]
enum Always {
    Ok,
    Unavailable,
    Permanent,
    Never,
    /// Out for so many attempts, and well from then on.
    UnavailableAtFirst(AtomicUsize),
}

#[async_trait]
impl<T: Send + Sync + 'static> Flush<T> for Always {
    async fn flush(&self, _: &mut Batch<T>) -> Result<(), FlushError> {
        match self {
            Self::Ok => Ok(()),
            Self::Unavailable => Err(FlushError::unavailable("no connection")),
            Self::Permanent => Err(FlushError::permanent("no such table")),
            // Relaxed: nothing else depends on it.
            Self::UnavailableAtFirst(attempts) => match attempts.fetch_add(1, Ordering::Relaxed) {
                0..8 => Err(FlushError::unavailable("no connection")),
                _ => Ok(()),
            },
            Self::Never => std::future::pending().await,
        }
    }
}

/// How far the heap has grown at any moment while a future ran; the least of some times, as the test runner is not at it each time.
async fn growth(run: impl AsyncFn()) -> usize {
    let mut least = usize::MAX;
    for _ in 0..10 {
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        run().await;
        least = least.min(HEAP.peak_usage() - before);
    }
    least
}

#[test]
fn an_insert_that_finds_room_allocates_nothing_whatever_its_way() {
    alone(async {
        let builder = || Buffer::builder().batch_size(1_000).capacity(100_000);
        for builder in [
            builder(),
            builder().weigh(|_| 8),
            builder().routing(Routing::PerCall).partitions(1),
            builder()
                .routing(Routing::by_key(|item: &u64| item))
                .partitions(1),
        ] {
            let buffer = builder.build(Always::Ok).unwrap();
            // The vector has room for more.
            for item in 0..600 {
                buffer.insert(item).await.unwrap();
            }
            assert_eq!(growth(async || buffer.insert(0).await.unwrap()).await, 0);
        }
    });
}

#[test]
fn hundreds_of_thousands_of_keys_leave_nothing_behind() {
    const KEYS: usize = 300_000;
    alone(async {
        let builder = Buffer::builder().partitions(4).batch_size(100).capacity(2_000);
        let routing = Routing::by_key(|key: &String| key);
        let buffer = builder.routing(routing).build(Always::Ok).unwrap();
        let mut base = None;
        for number in 0..KEYS {
            buffer
                .insert(format!("the key of customer {number}"))
                .await
                .unwrap();
            if number % (KEYS / 20) == 0 {
                buffer.flush().await;
                // The first keys only warm up.
                assert_flat(*base.get_or_insert_with(|| HEAP.current_usage()), "after a flush");
            }
        }
        assert_eq!(buffer.close().await.ledger.delivered, KEYS as u64);
    });
}

/// A small buffer, in which everybody soon waits for room.
fn small() -> BufferBuilder<u32> {
    Buffer::builder()
        .partitions(4)
        .batch_size(5)
        .capacity(40)
        .retries(2)
        .routing(Routing::PerCall)
}

/// What the callers of a buffer do in a quarter of an hour of an outage, in all the ways that may leave something behind.
async fn quarter_of_an_hour(buffer: &Buffer<u32>) {
    let limit = Duration::from_secs(20);
    for item in 0..40 {
        let refused = buffer.insert_timeout(item, limit).await;
        assert!(matches!(refused, Ok(()) | Err(InsertTimeoutError::TimedOut(_))));
        buffer.request_flush();
        let _ = buffer.try_insert(item);
        // The time is too short for an answer, so each of these is dropped where it waits.
        let short = Duration::from_millis(1);
        let _ = timeout(short, buffer.insert(item)).await;
        let _ = timeout(short, buffer.insert_and_wait(item)).await;
        let _ = timeout(short, buffer.insert_batch(&mut vec![item; 9])).await;
        let _ = timeout(short, buffer.flush()).await;
        buffer.flush_within(short).await;
        let _ = (buffer.health(), buffer.ledger());
    }
    let aborted: Vec<_> = (0..20)
        .map(|item| {
            let buffer = buffer.clone();
            tokio::spawn(async move { buffer.insert(item).await })
        })
        .collect();
    sleep(limit).await;
    for task in aborted {
        task.abort();
        let _ = task.await;
    }
}

/// Hours in which the sink never delivers: live bytes and tasks stay what they were after the first ones.
async fn assert_flat_in_an_endless_outage(builder: BufferBuilder<u32>, sink: Always) -> buffer_core::Ledger {
    let buffer = builder.build(sink).unwrap();
    for _ in 0..8 {
        quarter_of_an_hour(&buffer).await;
    }
    let (base, tasks) = (
        HEAP.current_usage(),
        Handle::current().metrics().num_alive_tasks(),
    );
    assert_eq!(tasks, 4, "one for each partition");
    for round in 0..80 {
        quarter_of_an_hour(&buffer).await;
        assert_flat(base, &format!("in round {round} of the outage"));
        assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
    }
    assert!(matches!(buffer.health(), Health::Held { .. }));
    let ledger = buffer.ledger();
    assert!(ledger.pending <= 40, "{ledger:?}");
    assert_eq!(ledger.accepted, ledger.dropped.total() + ledger.pending);
    let summary = buffer.close_within(Duration::from_secs(1)).await;
    assert_eq!(summary.undelivered.len() as u64, summary.ledger.returned);
    ledger
}

#[test]
fn an_endless_outage_takes_neither_memory_nor_tasks() {
    alone(async {
        let ledger = assert_flat_in_an_endless_outage(small(), Always::Unavailable).await;
        assert_eq!((ledger.pending, ledger.dropped.total()), (40, 0));
    });
}

#[test]
fn an_endless_outage_with_a_limit_takes_neither_memory_nor_tasks() {
    alone(async {
        let builder = small().give_up_after(Duration::from_secs(60));
        let ledger = assert_flat_in_an_endless_outage(builder, Always::Unavailable).await;
        assert!(ledger.dropped.count(DropReason::GivenUp) > 1_000, "{ledger:?}");
    });
}

#[test]
fn a_sink_that_only_times_out_takes_neither_memory_nor_tasks() {
    alone(async {
        let ledger = assert_flat_in_an_endless_outage(small(), Always::Never).await;
        assert!(
            ledger.dropped.count(DropReason::RetriesExhausted) > 100,
            "{ledger:?}"
        );
    });
}

#[test]
fn an_idle_buffer_gives_the_memory_of_a_burst_back() {
    const BURST: u64 = 1_000_000;
    alone(async {
        let buffer = Buffer::builder().partitions(4).build(Always::Ok).unwrap();
        buffer.insert(0_u64).await.unwrap();
        buffer.flush().await;
        let base = HEAP.current_usage();
        HEAP.reset_peak_usage();
        for item in 0..BURST {
            buffer.insert(item).await.unwrap();
        }
        assert!(
            HEAP.peak_usage() > base + 4 * NOISE,
            "the burst took memory to give back"
        );
        assert_eq!(buffer.flush().await.pending, 0);
        assert_flat(base, "after the burst");

        // Neither does a burst with those who wait for their items leave anything.
        for item in 0..1_000 {
            buffer.insert_and_wait(item).await.unwrap();
        }
        assert_flat(base, "after those who waited");
        drop(buffer);
    });
}

/// What each of many buffers takes an hour after `used` was done with it.
async fn each_of_many(
    partitions: usize,
    used: impl AsyncFn(&Buffer<u64>),
    sink: impl Fn() -> Always,
) -> usize {
    const BUFFERS: usize = 200;
    let mut buffers = Vec::with_capacity(BUFFERS);
    let before = HEAP.current_usage();
    for _ in 0..BUFFERS {
        let buffer = Buffer::builder().partitions(partitions).build(sink()).unwrap();
        used(&buffer).await;
        buffers.push(buffer);
    }
    sleep(Duration::from_secs(60 * 60)).await;
    let each = (HEAP.current_usage() - before) / BUFFERS;
    for buffer in buffers {
        let ledger = buffer.close().await.ledger;
        assert_eq!(ledger.accepted, ledger.delivered + ledger.dropped.total());
    }
    each
}

/// Fails when a worker that has nothing to do keeps the future of its work.
#[test]
fn an_idle_buffer_takes_less_than_four_kibibytes_whatever_was_done_with_it() {
    const MOST: usize = 4 * 1024;
    alone(async {
        let new = async |_: &Buffer<u64>| ();
        let used = async |buffer: &Buffer<u64>| {
            buffer.insert_batch(&mut (0..20_000).collect()).await.unwrap();
            buffer.insert_and_wait(1).await.unwrap();
            buffer.insert(2).await.unwrap();
        };
        let refused = async |buffer: &Buffer<u64>| {
            buffer.insert(1).await.unwrap();
            assert_eq!(buffer.flush().await.dropped.total(), 1);
        };
        let held = async |buffer: &Buffer<u64>| {
            buffer.insert(1).await.unwrap();
            let report = buffer.flush_within(Duration::from_secs(1)).await;
            assert_eq!((report.pending, buffer.health() == Health::Well), (1, false));
        };
        for (use_of_it, each) in [
            ("new", each_of_many(2, new, || Always::Ok).await),
            ("used", each_of_many(2, used, || Always::Ok).await),
            ("refused", each_of_many(2, refused, || Always::Permanent).await),
            (
                "held for a while",
                each_of_many(2, held, || Always::UnavailableAtFirst(AtomicUsize::new(0))).await,
            ),
        ] {
            assert!(each < MOST, "{use_of_it}: {each} bytes");
        }
        // What one partition more costs.
        let (many, few) = (
            each_of_many(18, used, || Always::Ok).await,
            each_of_many(2, used, || Always::Ok).await,
        );
        assert!(
            (many - few) / 16 < MOST * 3 / 8,
            "{few} bytes, and {many} with 16 partitions more"
        );
    });
}

/// How often the runtime's thread went to sleep in a thousand hours, in which a timer of an hour would be a thousand times.
fn parks_in_a_thousand_hours(with: impl AsyncFnOnce()) -> usize {
    let parks = Arc::new(AtomicUsize::new(0));
    let runtime = current_thread(|builder| {
        let parks = Arc::clone(&parks);
        // Relaxed: only the number matters, and it is read on the same thread.
        builder.on_thread_park(move || {
            parks.fetch_add(1, Ordering::Relaxed);
        });
    });
    runtime.block_on(async {
        with().await;
        let before = parks.load(Ordering::Relaxed);
        sleep(Duration::from_secs(1_000 * 60 * 60)).await;
        parks.load(Ordering::Relaxed) - before
    })
}

#[test]
fn an_idle_buffer_wakes_nothing() {
    let _alone = ALONE.lock();
    // The sleep's own timer moves from wheel to wheel, which takes a few.
    const OF_THE_SLEEP: usize = 20;
    assert!(parks_in_a_thousand_hours(async || ()) <= OF_THE_SLEEP);
    let buffer = Mutex::new(None);
    let parks = parks_in_a_thousand_hours(async || {
        let built = Buffer::builder().partitions(4).build(Always::Ok).unwrap();
        built.insert_batch(&mut (0..20_000).collect()).await.unwrap();
        built.insert(1).await.unwrap();
        built.flush().await;
        sleep(Duration::from_secs(60)).await;
        *buffer.lock() = Some(built);
    });
    assert!(parks <= OF_THE_SLEEP, "{parks}");

    // A sleep of an hour would have been seen.
    let parks = parks_in_a_thousand_hours(async || {
        tokio::spawn(async {
            loop {
                sleep(Duration::from_secs(60 * 60)).await;
            }
        });
    });
    assert!(parks >= 999, "{parks}");
}
