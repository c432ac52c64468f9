//! No count, no value is lost: through failed sends, a full buffer, the close, the drop and the runtime's death.

mod recorded;

use std::time::Duration;

use buffer_core::testing::{Reply, ScriptedSink};
use buffer_core::{BufferBuilder, Health};
use buffer_influx::Line;
use metrics::{counter, gauge, histogram};

use crate::recorded::{intervals, record, recorder, settings, sum, values, written};

/// A buffer that holds two points.
fn small(buffer: BufferBuilder<Line>) -> BufferBuilder<Line> {
    buffer.partitions(1).batch_size(2).capacity(2)
}

/// It has failed on a recorder whose buffer gives up after five retries.
#[tokio::test(start_paused = true)]
async fn a_failed_send_loses_no_delta() {
    let script = [
        Reply::Transient,
        Reply::Uncertain,
        Reply::Unavailable,
        Reply::Panic,
        Reply::Never,
    ];
    // Far more failures than any number of retries.
    let (recorder, handle, sink) = recorder(settings(), std::iter::repeat_n(script, 20).flatten());
    for _ in 0..5 {
        record(&recorder, || {
            counter!("a").increment(3);
            histogram!("h").record(2);
        });
        intervals(1).await;
    }
    handle.flush().await;
    assert!(sink.attempts().len() > 100);
    assert_eq!(sum(&sink, "a", "delta"), 15.0);
    assert_eq!((sum(&sink, "h", "count"), sum(&sink, "h", "sum")), (5.0, 10.0));
    assert_eq!(handle.stats().points.dropped.total(), 0);
}

/// It has failed on counters, and on histograms, that begin anew when their points are made.
#[tokio::test(start_paused = true)]
async fn while_the_buffer_is_full_everything_is_summed_on_and_arrives() {
    let outage = vec![Reply::Unavailable; 40];
    let (recorder, handle, sink) = recorder(settings().buffer(small), outage);
    for round in 0..30 {
        record(&recorder, || {
            for name in ["a", "b", "c", "d"] {
                counter!(name).increment(1);
                histogram!(name).record(round);
                gauge!(name).set(round);
            }
        });
        intervals(1).await;
        assert!(handle.stats().points.pending <= 2);
    }
    assert!(matches!(handle.health(), Health::Held { .. }));
    handle.flush().await;
    for name in ["a", "b", "c", "d"] {
        assert_eq!(sum(&sink, name, "delta"), 30.0, "{name}");
        assert_eq!(sum(&sink, name, "count"), 30.0, "{name}");
        assert_eq!(sum(&sink, name, "sum"), 435.0, "{name}");
        assert_eq!(values(&sink, name, "gauge").last(), Some(&29.0), "{name}");
    }
}

/// It has failed on hand-overs that always begin with the same series.
#[tokio::test(start_paused = true)]
async fn no_series_is_left_behind_for_ever_where_the_room_is_too_small_for_all() {
    let (recorder, _handle, sink) = recorder(settings().buffer(small), []);
    let names: Vec<String> = (0..9).map(|number| format!("c{number}")).collect();
    for _ in 0..20 {
        record(&recorder, || {
            for name in &names {
                counter!(name.clone()).increment(1);
            }
        });
        intervals(1).await;
    }
    for name in &names {
        assert!(sum(&sink, name, "delta") > 10.0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_heavier_than_a_batch_may_be_is_counted_and_holds_up_no_other() {
    let light = |buffer: BufferBuilder<Line>| buffer.batch_bytes(60);
    let (recorder, handle, sink) = recorder(settings().buffer(light), []);
    record(&recorder, || {
        histogram!("h").record(1);
        counter!("a").increment(1);
    });
    handle.flush().await;
    assert_eq!(written(&sink), ["a delta=1i"]);
    assert_eq!(handle.stats().refused, 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_writes_the_last_interval_and_what_comes_later_is_not_written() {
    let (recorder, handle, sink) = recorder(settings().buffer(small), []);
    let counter = record(&recorder, || counter!("a"));
    counter.increment(2);
    intervals(1).await;
    counter.increment(5);
    record(&recorder, || {
        for number in 0..10 {
            counter!(format!("c{number}")).increment(1);
        }
    });
    let ledger = handle.close().await.ledger;
    assert_eq!((ledger.delivered, ledger.pending), (12, 0));
    assert_eq!(values(&sink, "a", "delta"), [2.0, 5.0]);
    counter.increment(7);
    assert_eq!(handle.flush().await.delivered, 0);
    intervals(2).await;
    assert_eq!(sum(&sink, "a", "delta"), 7.0);
    assert_eq!(sink.closed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_in_an_outage_returns_the_last_interval() {
    let (recorder, handle, sink) = recorder(settings(), vec![Reply::Unavailable; 1_000]);
    record(&recorder, || counter!("a").increment(2));
    let summary = handle.close_within(Duration::from_secs(3)).await;
    assert_eq!((summary.ledger.returned, summary.undelivered.len()), (1, 1));
    assert!(summary.undelivered[0].as_str().starts_with("a delta=2i "));
    assert!(sink.delivered().is_empty());
}

/// It has failed on a flush that went on for as long as there was no room.
#[tokio::test(start_paused = true)]
async fn a_flush_with_a_limit_ends_in_an_outage_and_loses_nothing() {
    let (recorder, handle, sink) = recorder(settings().buffer(small), vec![Reply::Unavailable; 3]);
    record(&recorder, || {
        for name in ["a", "b", "c", "d"] {
            counter!(name).increment(1);
        }
    });
    let report = handle.flush_within(Duration::from_millis(1)).await;
    assert_eq!((report.delivered, report.pending), (0, 2));
    assert_eq!(handle.flush_within(Duration::from_secs(3_600)).await.delivered, 4);
    assert_eq!(sink.delivered().len(), 4);
    assert!(!handle.is_closed());
    let _ = handle.close().await;
    assert!(handle.is_closed());
    assert_eq!(handle.flush_within(Duration::from_secs(1)).await.delivered, 0);
}

#[tokio::test(start_paused = true)]
async fn the_drop_of_the_last_handle_writes_the_last_interval() {
    let (recorder, handle, sink) = recorder(settings(), []);
    record(&recorder, || counter!("a").increment(2));
    drop(handle);
    intervals(1).await;
    record(&recorder, || counter!("a").increment(3));
    drop(recorder);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(values(&sink, "a", "delta"), [2.0, 3.0]);
    assert_eq!(sink.closed(), 1);
}

#[test]
fn the_last_interval_is_written_when_the_runtime_dies_whoever_holds_the_recorder() {
    for holds in [true, false] {
        let sink = ScriptedSink::<Line>::new([Reply::Unavailable]);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let held = runtime.block_on(async {
            let (recorder, handle) = settings().build(sink.clone()).unwrap();
            record(&recorder, || {
                counter!("a").increment(2);
                histogram!("h").record(1.5);
            });
            holds.then_some((recorder, handle))
        });
        drop(runtime);
        assert_eq!(sum(&sink, "a", "delta"), 2.0, "{holds}");
        assert_eq!(sum(&sink, "h", "sum"), 1.5, "{holds}");
        drop(held);
    }
}

/// What a panic brings: it panics when it is dropped.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        panic!("scripted, once more");
    }
}

/// It has failed on a driver that dropped what a panic brings as it was.
#[tokio::test(start_paused = true)]
async fn code_of_the_user_s_that_panics_in_a_hand_over_costs_nothing() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    let calls = Arc::new(AtomicUsize::new(0));
    let heavy = move |line: &Line| {
        // Relaxed: the number alone matters.
        if calls.fetch_add(1, Relaxed) <= 5 {
            std::panic::panic_any(Panics);
        }
        line.as_str().len()
    };
    let (recorder, handle, sink) = recorder(settings().buffer(|buffer| buffer.weigh(heavy)), []);
    for _ in 0..10 {
        record(&recorder, || {
            counter!("a").increment(1);
            histogram!("a").record(1);
        });
        intervals(1).await;
    }
    assert_eq!(sum(&sink, "a", "delta"), 10.0, "the intervals go on");
    let _ = handle.close().await;
    assert_eq!((sum(&sink, "a", "delta"), sum(&sink, "a", "count")), (10.0, 10.0));
}

/// It has failed on a registry that forgets a series while a thread takes a handle to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_threads_count_while_series_come_and_go_is_written_exactly() {
    const ROUNDS: u64 = 20_000;
    let settings = settings()
        .idle_timeout(Duration::ZERO)
        .buffer(|buffer| buffer.capacity(4).batch_size(4));
    let (recorder, handle, sink) = recorder(settings, []);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        record(&recorder, || {
                            counter!("a").increment(1);
                            counter!("b", "x" => (round % 7).to_string()).increment(2);
                            histogram!("h").record(1);
                            gauge!("g").increment(1);
                        });
                    }
                })
            })
            .collect();
        tokio::task::block_in_place(|| {
            while threads.iter().any(|thread| !thread.is_finished()) {
                tokio::runtime::Handle::current().block_on(handle.flush());
            }
        });
    });
    let _ = handle.close().await;
    let all = (4 * ROUNDS) as f64;
    assert_eq!(sum(&sink, "a", "delta"), all);
    assert_eq!(sum(&sink, "b", "delta"), 2.0 * all);
    assert_eq!((sum(&sink, "h", "count"), sum(&sink, "h", "sum")), (all, all));
    assert_eq!(values(&sink, "g", "gauge").into_iter().fold(0.0, f64::max), all);
}
