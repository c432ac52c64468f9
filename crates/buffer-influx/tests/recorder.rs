//! An application's metrics become points, interval by interval.

mod recorded;

use std::time::Duration;

use buffer_core::BuildError;
use buffer_core::testing::ScriptedSink;
use buffer_influx::{
    Counters, Dialect, Encoder, Gauges, InfluxRecorder, Line, RecorderBuildError, RecorderBuilder,
};
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::recorded::{INTERVAL, intervals, record, recorder, settings, sum, values, written};

#[tokio::test(start_paused = true)]
async fn what_changed_in_an_interval_is_written_at_its_end() {
    let (recorder, _handle, sink) = recorder(settings(), []);
    record(&recorder, || {
        counter!("requests", "path" => "/").increment(2);
        counter!("requests", "path" => "/").increment(1);
        counter!("untouched").increment(0);
        gauge!("queue").set(7.5);
        histogram!("took").record(0.25);
    });
    tokio::time::sleep(INTERVAL - Duration::from_millis(1)).await;
    assert!(sink.attempts().is_empty());
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(
        written(&sink),
        [
            "queue gauge=7.5",
            "requests,path=/ delta=3i",
            "took count=1i,min=0.25,max=0.25,sum=0.25,p50=0.25,p90=0.25,p95=0.25,p99=0.25",
        ]
    );
    intervals(3).await;
    assert_eq!(sink.delivered().len(), 3, "nothing has changed since");
}

#[tokio::test(start_paused = true)]
async fn points_of_one_interval_have_one_stamp_and_later_ones_a_later() {
    let (recorder, handle, sink) = recorder(settings(), []);
    let stamps = || -> Vec<i64> {
        let stamp = |line: &Line| line.as_str().rsplit_once(' ').unwrap().1.parse().unwrap();
        sink.delivered().iter().map(stamp).collect()
    };
    for _ in 0..50 {
        record(&recorder, || {
            counter!("a").increment(1);
            counter!("b").increment(1);
        });
        handle.flush().await;
    }
    let stamps = stamps();
    assert_eq!(stamps.len(), 100);
    for pair in stamps.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert!(stamps.chunks(2).is_sorted_by(|one, other| one[0] < other[0]));
}

#[tokio::test(start_paused = true)]
async fn a_counter_is_written_as_what_was_counted_since_its_last_point() {
    let (recorder, _handle, sink) = recorder(settings(), []);
    for count in [3, 0, 4] {
        record(&recorder, || counter!("a").increment(count));
        intervals(1).await;
    }
    assert_eq!(values(&sink, "a", "delta"), [3.0, 4.0]);
}

#[tokio::test(start_paused = true)]
async fn a_counter_is_written_as_its_total_by_choice() {
    let (recorder, _handle, sink) = recorder(settings().counters(Counters::Totals), []);
    for count in [3, 0, 4] {
        record(&recorder, || counter!("a").increment(count));
        intervals(1).await;
    }
    assert_eq!(values(&sink, "a", "total"), [3.0, 7.0]);
    assert_eq!(written(&sink), ["a total=3i", "a total=7i"]);
}

#[tokio::test(start_paused = true)]
async fn absolute_raises_a_counter_and_never_lowers_it() {
    let (recorder, handle, sink) = recorder(settings(), []);
    let counter = record(&recorder, || counter!("a"));
    for (absolute, delta) in [(10, 10.0), (4, 0.0), (10, 0.0), (15, 5.0)] {
        counter.absolute(absolute);
        let before = sum(&sink, "a", "delta");
        handle.flush().await;
        assert_eq!(sum(&sink, "a", "delta") - before, delta, "{absolute}");
    }
    counter.increment(1);
    counter.absolute(16);
    handle.flush().await;
    assert_eq!(sum(&sink, "a", "delta"), 16.0);
}

#[tokio::test(start_paused = true)]
async fn a_count_beyond_the_server_s_integers_arrives_in_parts() {
    let (recorder, handle, sink) = recorder(settings(), []);
    record(&recorder, || counter!("a").absolute(u64::MAX));
    handle.flush().await;
    let most = i64::MAX;
    assert_eq!(
        written(&sink),
        [
            "a delta=1i".to_owned(),
            format!("a delta={most}i"),
            format!("a delta={most}i")
        ]
    );
    let mut lines = sink.delivered();
    lines.dedup_by_key(|line| line.as_str().rsplit_once(' ').unwrap().1.to_owned());
    assert_eq!(lines.len(), 3, "each has a stamp of its own");
}

#[tokio::test(start_paused = true)]
async fn a_gauge_is_written_when_it_has_changed() {
    let (recorder, _handle, sink) = recorder(settings(), []);
    let gauge = record(&recorder, || gauge!("g"));
    intervals(1).await;
    assert!(sink.delivered().is_empty(), "it was never set");
    gauge.increment(2.0);
    gauge.decrement(0.5);
    intervals(1).await;
    gauge.set(9.0);
    gauge.set(1.5);
    intervals(1).await;
    gauge.set(-1.0);
    intervals(2).await;
    assert_eq!(values(&sink, "g", "gauge"), [1.5, -1.0]);
}

#[tokio::test(start_paused = true)]
async fn a_gauge_is_written_in_every_interval_by_choice() {
    let (recorder, _handle, sink) = recorder(settings().gauges(Gauges::Always), []);
    let (set, _unset) = record(&recorder, || (gauge!("g"), gauge!("h")));
    set.set(1.0);
    intervals(3).await;
    assert_eq!(written(&sink), ["g gauge=1.0"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_histogram_is_drained_each_interval() {
    let (recorder, _handle, sink) = recorder(settings(), []);
    let histogram = record(&recorder, || histogram!("h"));
    for value in 1..=1_000 {
        histogram.record(f64::from(value));
    }
    intervals(1).await;
    histogram.record_many(-2.0, 3);
    intervals(1).await;
    assert_eq!(values(&sink, "h", "count"), [1_000.0, 3.0]);
    assert_eq!(values(&sink, "h", "sum"), [500_500.0, -6.0]);
    assert_eq!(values(&sink, "h", "min"), [1.0, -2.0]);
    assert_eq!(values(&sink, "h", "max"), [1_000.0, -2.0]);
    for (field, exact) in [("p50", 500.0), ("p90", 900.0), ("p95", 950.0), ("p99", 990.0)] {
        let [first, second] = values(&sink, "h", field)[..] else {
            panic!("two points")
        };
        assert!((first - exact).abs() <= exact / 100.0, "{field}: {first}");
        assert_eq!(second, -2.0, "{field} lies between the least and the greatest");
    }
}

#[tokio::test(start_paused = true)]
async fn quantiles_that_differ_in_a_digit_have_fields_of_their_own() {
    let (recorder, handle, sink) = recorder(settings().quantiles(&[0.99, 0.999, 0.9999]), []);
    record(&recorder, || histogram!("h").record(1));
    handle.flush().await;
    assert_eq!(
        written(&sink),
        ["h count=1i,min=1.0,max=1.0,sum=1.0,p99=1.0,p99_9=1.0,p99_99=1.0"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_finite_is_left_out_and_counted() {
    let (recorder, handle, sink) = recorder(settings(), []);
    record(&recorder, || {
        gauge!("g").set(2.0);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            gauge!("g").set(value);
            gauge!("g").increment(value);
            gauge!("g").decrement(value);
            gauge!("never").set(value);
            histogram!("h").record(value);
            histogram!("h").record_many(value, 2);
        }
        histogram!("h").record(2);
        gauge!("big").set(f64::MAX);
        gauge!("big").increment(f64::MAX);
        histogram!("wide").record_many(f64::MAX, 2);
    });
    handle.flush().await;
    let max = f64::MAX;
    let text = Encoder::new(Dialect::Influx1)
        .encode(
            &buffer_influx::Point::new("big")
                .field("gauge", max)
                .timestamp_ns(7),
        )
        .unwrap();
    let big = text.as_str().trim_end_matches(" 7").to_owned();
    let max = big.trim_start_matches("big gauge=");
    assert_eq!(
        written(&sink),
        [
            big.clone(),
            "g gauge=2.0".to_owned(),
            "h count=1i,min=2.0,max=2.0,sum=2.0,p50=2.0,p90=2.0,p95=2.0,p99=2.0".to_owned(),
            // Their sum is beyond a float, and the rest is not.
            format!("wide count=2i,min={max},max={max},p50={max},p90={max},p95={max},p99={max}"),
        ]
    );
    assert_eq!(handle.stats().non_finite, 3 * 7 + 1 + 1);
    assert_eq!(handle.stats().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn no_two_kinds_of_one_name_share_a_field() {
    let (recorder, handle, sink) = recorder(settings(), []);
    record(&recorder, || {
        counter!("a").increment(1);
        gauge!("a").set(2);
        histogram!("a").record(3);
    });
    handle.flush().await;
    assert_eq!(
        written(&sink),
        [
            "a count=1i,min=3.0,max=3.0,sum=3.0,p50=3.0,p90=3.0,p95=3.0,p99=3.0",
            "a delta=1i",
            "a gauge=2.0",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_description_is_taken_for_any_metric_at_any_time() {
    let (recorder, handle, sink) = recorder(settings(), []);
    record(&recorder, || {
        for name in ["", "a", "two\nlines", "#", "a"] {
            describe_counter!(name, "first");
            describe_gauge!(name, Unit::Seconds, "second");
            describe_histogram!(name, Unit::Bytes, "");
        }
        counter!("a").increment(1);
        describe_gauge!("a", "again, as another kind");
    });
    handle.flush().await;
    assert_eq!(written(&sink), ["a delta=1i"]);
}

fn refused(settings: RecorderBuilder) -> RecorderBuildError {
    settings
        .build_recorder(ScriptedSink::<Line>::new([]))
        .expect_err("refused")
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    for quantile in [-0.1, 95.0, f64::NAN] {
        let error = refused(settings().quantiles(&[0.5, quantile]));
        assert!(matches!(error, RecorderBuildError::Quantile { .. }), "{error}");
    }
    let error = refused(settings().prefix("\u{1}"));
    assert!(matches!(error, RecorderBuildError::Names(_)), "{error}");
    let encoder = Encoder::new(Dialect::Influx1).default_tag("time", "now");
    let error = refused(InfluxRecorder::builder(encoder));
    assert!(matches!(error, RecorderBuildError::Names(_)), "{error}");
    for (settings, name) in [
        (settings().flush_interval(Duration::ZERO), "flush_interval"),
        (settings().series_limit(0), "series_limit"),
        (settings().flush_interval(Duration::MAX), "flush_interval"),
        (settings().flush_jitter(Duration::MAX), "flush_jitter"),
        (settings().buffer(|buffer| buffer.batch_size(0)), "batch_size"),
    ] {
        let RecorderBuildError::Buffer(error) = refused(settings) else {
            panic!("{name}")
        };
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn outside_of_a_runtime_a_recorder_needs_its_handle() {
    let error = refused(settings());
    assert!(
        matches!(error, RecorderBuildError::Buffer(BuildError::NoRuntime)),
        "{error}"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (recorder, handle, sink) = recorder(settings().runtime(runtime.handle().clone()), []);
    record(&recorder, || counter!("a").increment(1));
    assert_eq!(runtime.block_on(handle.close()).ledger.delivered, 1);
    assert_eq!(written(&sink), ["a delta=1i"]);
}
