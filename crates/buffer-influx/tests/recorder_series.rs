//! Series: what they are called, how many there are, and when they are forgotten.

mod recorded;

use std::collections::HashSet;
use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_influx::{
    ControlCharacters, Counters, Dialect, Encoder, FieldValue, Gauges, InfluxRecorder, Point,
    TrailingBackslash,
};
use metrics::{Key, Label, Level, Metadata, Recorder as _, counter, gauge, histogram};

use crate::recorded::{INTERVAL, intervals, record, recorder, settings, sum, values, written};

const METADATA: Metadata<'static> = Metadata::new("test", Level::INFO, None);
/// More intervals than a series is kept for without a handle.
const LONG: u32 = 40;

#[tokio::test(start_paused = true)]
async fn labels_that_the_line_protocol_has_no_form_for_are_changed_until_it_has() {
    let (recorder, handle, sink) = recorder(settings(), []);
    for (label, value) in [
        ("plain", "São Paulo, a=b \"c\""),
        ("two lines", "one\ntwo\r\n\u{0}"),
        ("drive", r"C:\"),
        ("share", r"\\server\x"),
        ("misread", r"a\ b\,c\=d"),
        ("empty", ""),
        ("", "no key"),
        ("time", "noon"),
    ] {
        record(&recorder, || counter!("a", label => value).increment(1));
    }
    let twice = vec![Label::new("k", "first"), Label::new("k", "last")];
    record(&recorder, || counter!("a", twice).increment(1));
    for name in ["", "#comment", "new\nline", r"back\", "sp ace"] {
        record(&recorder, || counter!(name).increment(1));
    }
    handle.flush().await;
    assert_eq!(
        written(&sink),
        [
            "_ delta=1i",
            "_#comment delta=1i",
            "a delta=2i",
            r"a,drive=C:_ delta=1i",
            r"a,k=last delta=1i",
            r"a,misread=a_\ b_\,c_\=d delta=1i",
            r#"a,plain=São\ Paulo\,\ a\=b\ "c" delta=1i"#,
            r"a,share=\\server\x delta=1i",
            r"a,time_=noon delta=1i",
            r"a,two\ lines=one_two___ delta=1i",
            "back_ delta=1i",
            "new_line delta=1i",
            r"sp\ ace delta=1i",
        ]
    );
    assert_eq!(handle.stats().refused, 0);
}

/// It has failed on keys that were written alike only when their points were made: what two series have counted still added up.
#[tokio::test(start_paused = true)]
async fn no_label_of_any_length_or_content_is_refused_by_a_server_s_encoder() {
    for dialect in [
        Dialect::Influx1,
        Dialect::Influx2,
        Dialect::Influx3,
        Dialect::VictoriaMetrics,
    ] {
        let (recorder, handle, sink) = recorder(InfluxRecorder::builder(Encoder::new(dialect)), []);
        let mut counted = 0;
        for character in (0..=0x17f).filter_map(char::from_u32) {
            for text in [
                format!("{character}"),
                format!("\\{character}"),
                format!("{character}\\"),
                format!("x{character}").repeat(5_000),
            ] {
                record(&recorder, || {
                    counter!(text.clone(), text.clone() => text.clone()).increment(1)
                });
                counted += 1;
            }
        }
        record(&recorder, || {
            counter!("n\n").increment(1);
            counter!("n\r").increment(1);
        });
        counted += 2;
        handle.flush().await;
        let mut keys = HashSet::new();
        for line in sink.delivered() {
            let (series, rest) = line.as_str().rsplit_once(" delta=").unwrap();
            let (_, stamp) = rest.split_once(' ').unwrap();
            let key = (series.to_owned(), stamp.to_owned());
            assert!(
                keys.insert(key),
                "the second of these overwrites the first: {line}"
            );
        }
        assert_eq!(handle.stats().refused, 0, "{dialect:?}");
        let points = recorded::points(&sink);
        let fields = points.iter().flat_map(Point::fields);
        let deltas = fields.map(|(_, value)| match value {
            FieldValue::Integer(delta) => *delta,
            other => panic!("{other:?}"),
        });
        assert_eq!(deltas.sum::<i64>(), counted, "{dialect:?}");
    }
}

/// It has failed on a registry that keeps the keys as they come: the second point overwrites the first.
#[tokio::test(start_paused = true)]
async fn keys_that_are_written_alike_are_one_series() {
    let encoder = Encoder::new(Dialect::Influx1).default_tag("host", "a");
    let (recorder, handle, sink) = recorder(InfluxRecorder::builder(encoder), []);
    record(&recorder, || {
        counter!("a").increment(1);
        counter!("a", "user" => "").increment(1);
        counter!("a", "host" => "a").increment(1);
        counter!("b", "x" => "1", "y" => "2").increment(1);
        counter!("b", "y" => "2", "x" => "1").increment(1);
        counter!("c", "x" => "1\n").increment(1);
        counter!("c", "x" => "1\r").increment(1);
        counter!("c", "x" => "1_").increment(1);
    });
    handle.flush().await;
    assert_eq!(
        written(&sink),
        [
            "a,host=a delta=3i",
            "b,host=a,x=1,y=2 delta=2i",
            "c,host=a,x=1_ delta=3i"
        ]
    );
}

/// VictoriaMetrics keeps milliseconds. It has failed on stamps that differ by nanoseconds: of three points it kept one.
#[tokio::test(start_paused = true)]
async fn the_points_of_a_series_are_as_far_apart_as_their_server_can_tell() {
    let encoder = Encoder::new(Dialect::VictoriaMetrics);
    let (recorder, handle, sink) = recorder(InfluxRecorder::builder(encoder), []);
    for _ in 0..2 {
        record(&recorder, || counter!("x").increment(u64::MAX));
        handle.flush().await;
    }
    let mut moments = HashSet::new();
    for line in sink.delivered() {
        let (_, moment) = line.as_str().rsplit_once(' ').unwrap();
        assert!(moment.ends_with("000000"), "{line}");
        assert!(moments.insert(moment.to_owned()), "{line}");
    }
    assert_eq!(moments.len(), 6);
}

/// It has failed on labels that were compared with the default tag before the encoder changes it.
#[tokio::test(start_paused = true)]
async fn a_label_that_is_written_like_a_default_tag_is_no_series_of_its_own() {
    let plain = || Encoder::new(Dialect::Influx1);
    for (encoder, default, same) in [
        (
            plain().control_characters(ControlCharacters::Remove),
            "web1\n",
            "web1",
        ),
        (plain().control_characters(ControlCharacters::Remove), "\u{1}", ""),
        (plain().trailing_backslash(TrailingBackslash::Trim), "C:\\", "C:"),
        (plain(), "a\tb", r"a\tb"),
    ] {
        let builder = InfluxRecorder::builder(encoder.default_tag("host", default));
        let (recorder, handle, sink) = recorder(builder, []);
        record(&recorder, || {
            counter!("x").increment(5);
            counter!("x", "host" => same).increment(3);
            counter!("x", "host" => "other").increment(1);
        });
        handle.flush().await;
        let mut sums: Vec<_> = recorded::points(&sink)
            .iter()
            .map(|point| format!("{:?}", point.fields().next()))
            .collect();
        sums.sort_unstable();
        assert_eq!(sums.len(), 2, "{default:?}: {sums:?}");
        assert!(sums[1].contains('8'), "{default:?}: {sums:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn global_tags_and_a_prefix_are_those_of_every_series_that_does_not_say_otherwise() {
    let encoder = Encoder::new(Dialect::Influx1)
        .default_tag("host", "a")
        .default_tag("zone", "z");
    let (recorder, handle, sink) = recorder(InfluxRecorder::builder(encoder).prefix("shop_"), []);
    record(&recorder, || {
        counter!("orders").increment(1);
        counter!("orders", "host" => "b").increment(1);
        gauge!("#queue", "zone" => "").set(1.5);
    });
    handle.flush().await;
    assert_eq!(
        written(&sink),
        [
            "shop_#queue,host=a gauge=1.5",
            "shop_orders,host=a,zone=z delta=1i",
            "shop_orders,host=b,zone=z delta=1i",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_series_that_can_t_be_written_is_refused_and_counted() {
    let (recorder, handle, sink) = recorder(settings(), []);
    let labels: Vec<Label> = (0..100)
        .map(|number| Label::new(format!("label{number}"), "x".repeat(1_000)))
        .collect();
    let key = Key::from_parts("a", labels);
    let counter = recorder.register_counter(&key, &METADATA);
    counter.increment(5);
    counter.absolute(7);
    recorder.register_gauge(&key, &METADATA).set(1.0);
    recorder.register_histogram(&key, &METADATA).record_many(1.0, 3);
    record(&recorder, || counter!("a").increment(1));
    handle.flush().await;
    assert_eq!(written(&sink), ["a delta=1i"]);
    assert_eq!((handle.stats().refused, handle.stats().series), (6, 1));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_series_are_summed_up_by_name_and_no_count_is_lost() {
    let (recorder, handle, sink) = recorder(settings().series_limit(10), []);
    for number in 0..1_000 {
        let user = number.to_string();
        record(&recorder, || {
            counter!("requests", "user" => user.clone()).increment(1);
            histogram!("took", "user" => user.clone()).record(2);
            gauge!("queue", "user" => user).set(1);
        });
    }
    handle.flush().await;
    let stats = handle.stats();
    assert_eq!(stats.series, 12, "ten, and one for each name that adds up");
    assert_eq!(sum(&sink, "requests", "delta"), 1_000.0);
    assert_eq!(sum(&sink, "took", "count"), 1_000.0);
    assert_eq!(sum(&sink, "took", "sum"), 2_000.0);
    assert_eq!(
        values(&sink, "queue", "gauge").len() as u64 + stats.refused,
        1_000
    );
    let written = written(&sink);
    assert!(
        written
            .iter()
            .any(|line| line == "requests,overflow=true delta=996i"),
        "{written:?}"
    );

    // The greatest of many counters is not their sum, so it is not taken for one.
    record(&recorder, || {
        counter!("requests", "user" => "new").absolute(1_000_000)
    });
    // Nor is there a place for ever more names.
    for number in 0..100 {
        record(&recorder, || counter!(format!("name{number}")).increment(1));
    }
    assert_eq!(handle.stats().series, 20);
    assert_eq!(handle.stats().refused, stats.refused + 1 + 92);
}

/// It has failed on a recorder whose rest only a change of a series ends.
#[tokio::test(start_paused = true)]
async fn a_gauge_that_is_refused_takes_the_place_of_one_that_nobody_holds_any_more() {
    let (recorder, handle, sink) = recorder(settings().series_limit(2), []);
    let held = record(&recorder, || [gauge!("a"), gauge!("b")]);
    for gauge in &held {
        gauge.set(1);
    }
    intervals(3).await;
    drop(held);
    record(&recorder, || gauge!("c").set(1));
    assert_eq!((handle.stats().series, handle.stats().refused), (2, 1));
    intervals(LONG).await;
    record(&recorder, || gauge!("c").set(2));
    intervals(1).await;
    assert_eq!(values(&sink, "c", "gauge"), [2.0]);
    assert_eq!(handle.stats().refused, 1);
}

/// It has failed on a registry that held all series against the limit.
#[tokio::test(start_paused = true)]
async fn the_recorder_s_own_series_and_the_shared_ones_take_no_place_from_the_application() {
    let (recorder, handle, sink) = recorder(settings().series_limit(2), []);
    let own = || counter!("own", "buffer" => "metrics").increment(1);
    record(&recorder, || {
        own();
        gauge!("own", "buffer" => "metrics").set(1);
    });
    let held = record(&recorder, || [counter!("a"), counter!("b")]);
    for counter in &held {
        counter.increment(1);
    }
    record(&recorder, || {
        counter!("c").increment(1);
        own();
    });
    handle.flush().await;
    assert_eq!(handle.stats().refused, 1, "there are two series beside the limit");
    assert_eq!(
        written(&sink),
        [
            "a delta=1i",
            "b delta=1i",
            "own,buffer=metrics delta=2i",
            "own,buffer=metrics gauge=1.0"
        ]
    );
}

/// It has failed on the same registry.
#[tokio::test(start_paused = true)]
async fn a_place_that_an_idle_series_leaves_is_free_though_others_are_shared() {
    let (recorder, handle, sink) = recorder(settings().series_limit(2), []);
    record(&recorder, || counter!("a").increment(1));
    let _held = record(&recorder, || [counter!("b"), counter!("c")]);
    intervals(LONG).await;
    record(&recorder, || {
        counter!("c").increment(1);
        counter!("d").increment(1);
    });
    handle.flush().await;
    assert_eq!(
        written(&sink),
        ["a delta=1i", "c delta=1i", "d,overflow=true delta=1i"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_label_that_would_rename_the_series_is_renamed_itself() {
    let sink = ScriptedSink::new([]);
    let encoder = Encoder::new(Dialect::VictoriaMetrics);
    let (recorder, handle) = InfluxRecorder::builder(encoder)
        .build(sink.clone())
        .expect("valid settings");
    record(&recorder, || counter!("a", "__name__" => "b").increment(1));
    handle.flush().await;
    assert_eq!(written(&sink), ["a,__name___=b delta=1i"]);
}

/// VictoriaMetrics would cut them by itself, and take both for one.
#[tokio::test(start_paused = true)]
async fn names_of_labels_are_cut_where_the_server_would_cut_them() {
    let sink = ScriptedSink::new([]);
    let encoder = Encoder::new(Dialect::VictoriaMetrics);
    let (recorder, handle) = InfluxRecorder::builder(encoder)
        .build(sink.clone())
        .expect("valid settings");
    for end in ["a", "b"] {
        let label = format!("{}{end}", "l".repeat(256));
        record(&recorder, || counter!("m", label => "1").increment(1));
    }
    handle.flush().await;
    assert_eq!(written(&sink), [format!("m,{}=1 delta=2i", "l".repeat(256))]);
}

#[tokio::test(start_paused = true)]
async fn names_that_are_cut_alike_are_those_of_one_series_beyond_the_limit_alone() {
    let (recorder, handle, sink) = recorder(settings().series_limit(2), []);
    // As long as a name may be, with an underscore before it as it is no comment.
    let name = |end: char| format!("#{}{end}", "x".repeat(1_022));
    record(&recorder, || {
        for (end, value) in [('a', 1), ('b', 2)] {
            counter!(name(end)).increment(value);
        }
        for (end, value) in [('a', 10), ('b', 20)] {
            counter!(name(end), "beyond" => "the limit").increment(value);
        }
    });
    handle.flush().await;
    let written = written(&sink);
    let ends = [
        "a delta=1i",
        "a,overflow=true delta=10i",
        "b delta=2i",
        "b,overflow=true delta=20i",
    ];
    assert_eq!(written.len(), 4, "{written:?}");
    for (line, end) in written.iter().zip(ends) {
        assert!(line.starts_with("_#x") && line.ends_with(end), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_default_tag_like_that_of_a_shared_series_makes_no_second_series_of_it() {
    let encoder = Encoder::new(Dialect::Influx1).default_tag("overflow", "true");
    let sink = ScriptedSink::new([]);
    let (recorder, handle) = InfluxRecorder::builder(encoder)
        .series_limit(1)
        .build(sink.clone())
        .expect("valid settings");
    record(&recorder, || {
        counter!("c").increment(1);
        counter!("c", "a" => "1").increment(10);
        counter!("c", "a" => "2").increment(100);
    });
    handle.flush().await;
    assert_eq!(written(&sink), ["c,overflow=true delta=111i"]);
}

#[tokio::test(start_paused = true)]
async fn a_gauge_that_is_always_written_is_so_until_it_is_forgotten() {
    let settings = settings().gauges(Gauges::Always).idle_timeout(INTERVAL * 3);
    let (recorder, _handle, sink) = recorder(settings, []);
    let held = record(&recorder, || gauge!("held"));
    held.set(1);
    record(&recorder, || gauge!("set").set(1));
    intervals(20).await;
    assert_eq!(values(&sink, "held", "gauge").len(), 20);
    let set = values(&sink, "set", "gauge").len();
    assert!((3..6).contains(&set), "{set}");
}

#[tokio::test(start_paused = true)]
async fn a_series_without_a_handle_is_forgotten_when_it_is_idle_and_counts_on_when_it_comes_back() {
    let (recorder, handle, sink) = recorder(settings(), []);
    for round in 1..=3_u32 {
        record(&recorder, || {
            counter!("a").increment(2);
            histogram!("h").record(1);
            gauge!("g").set(7);
        });
        assert_eq!(handle.stats().series, 3);
        intervals(LONG).await;
        assert_eq!(handle.stats().series, 0);
        assert_eq!(sum(&sink, "a", "delta"), f64::from(2 * round));
        assert_eq!(values(&sink, "g", "gauge").len() as u32, round);
    }
}

#[tokio::test(start_paused = true)]
async fn a_series_that_changes_now_and_then_is_kept() {
    let (recorder, handle, _sink) = recorder(settings().idle_timeout(Duration::from_secs(35)), []);
    for _ in 0..10 {
        record(&recorder, || counter!("a").increment(1));
        intervals(3).await;
        assert_eq!(handle.stats().series, 1);
    }
    intervals(5).await;
    assert_eq!(handle.stats().series, 0);
}

/// It has failed on a registry that does not ask whether a handle is held.
#[tokio::test(start_paused = true)]
async fn a_handle_that_is_held_is_never_orphaned_however_long_it_is_idle() {
    let (recorder, handle, sink) = recorder(settings().idle_timeout(Duration::ZERO), []);
    let (counter, gauge, histogram) = record(&recorder, || (counter!("a"), gauge!("g"), histogram!("h")));
    for round in 1..=3 {
        counter.increment(1);
        gauge.set(round);
        histogram.record(round);
        // Others of the same name are the same.
        record(&recorder, || counter!("a").increment(1));
        for _ in 0..LONG {
            record(&recorder, || counter!("busy").increment(1));
            intervals(1).await;
        }
        assert!(handle.stats().series >= 3);
    }
    let _ = handle.close().await;
    assert_eq!(values(&sink, "a", "delta"), [2.0, 2.0, 2.0]);
    assert_eq!(values(&sink, "g", "gauge"), [1.0, 2.0, 3.0]);
    assert_eq!(sum(&sink, "h", "sum"), 6.0);
}

#[tokio::test(start_paused = true)]
async fn what_a_new_series_could_not_go_on_with_is_kept_however_long_it_is_idle() {
    let (recorder, handle, sink) = recorder(settings(), []);
    for round in 1..=3_u32 {
        record(&recorder, || {
            // Its next delta needs the value before.
            counter!("absolute").absolute(u64::from(round) * 10);
            // Its next difference needs the sum before.
            gauge!("in_flight").increment(1);
            gauge!("at_zero").increment(1);
            gauge!("at_zero").decrement(1);
        });
        intervals(LONG).await;
        assert_eq!(handle.stats().series, 2);
    }
    assert_eq!(values(&sink, "absolute", "delta"), [10.0, 10.0, 10.0]);
    assert_eq!(values(&sink, "in_flight", "gauge"), [1.0, 2.0, 3.0]);
}

/// A limit: that another kind of update will come, a series does not tell.
#[tokio::test(start_paused = true)]
async fn a_series_whose_updates_change_their_kind_after_its_idle_time_goes_on_only_with_a_handle() {
    for (is_held, gauge, delta) in [(true, 15.0, 2.0), (false, -1.0, 7.0)] {
        let (recorder, _handle, sink) = recorder(settings(), []);
        let handles = record(&recorder, || (gauge!("pool"), counter!("a")));
        handles.0.set(16);
        handles.1.increment(5);
        let held = is_held.then_some(handles);
        intervals(LONG).await;
        record(&recorder, || {
            gauge!("pool").decrement(1);
            counter!("a").absolute(7);
        });
        intervals(1).await;
        assert_eq!(values(&sink, "pool", "gauge"), [16.0, gauge]);
        assert_eq!(values(&sink, "a", "delta"), [5.0, delta]);
        drop(held);
    }
}

/// It has failed on a gauge that takes a refused difference for the start of a sum.
#[tokio::test(start_paused = true)]
async fn a_gauge_whose_differences_were_all_refused_is_forgotten() {
    let (recorder, handle, sink) = recorder(settings(), []);
    record(&recorder, || {
        gauge!("unset").increment(f64::NAN);
        gauge!("set").set(f64::MAX);
        gauge!("set").increment(f64::MAX);
    });
    intervals(LONG).await;
    assert_eq!((handle.stats().series, handle.stats().non_finite), (0, 2));
    assert_eq!(values(&sink, "set", "gauge"), [f64::MAX]);
}

#[tokio::test(start_paused = true)]
async fn totals_are_kept_however_long_they_are_idle() {
    let (recorder, _handle, sink) = recorder(settings().counters(Counters::Totals), []);
    for _ in 0..3 {
        record(&recorder, || counter!("a").increment(5));
        intervals(LONG).await;
    }
    assert_eq!(values(&sink, "a", "total"), [5.0, 10.0, 15.0]);
}

#[tokio::test(start_paused = true)]
async fn a_gauge_that_is_always_written_ends_with_its_last_handle() {
    let (recorder, handle, sink) = recorder(settings().gauges(Gauges::Always), []);
    let gauge = record(&recorder, || gauge!("g"));
    gauge.set(1);
    intervals(LONG).await;
    assert_eq!(values(&sink, "g", "gauge").len() as u32, LONG);
    drop(gauge);
    intervals(LONG).await;
    assert_eq!(handle.stats().series, 0);
    let before = sink.delivered().len();
    intervals(LONG).await;
    assert_eq!(sink.delivered().len(), before);
}
