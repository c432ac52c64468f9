//! A line that is built from values at hand is the line of the point of the same values, or the same error.

use buffer_influx::{
    ControlCharacters, Dialect, Encoder, FieldValue, LargeUnsigned, Line, LineBuilder, NonFinite, Point,
    PointError, TrailingBackslash,
};
use proptest::prelude::*;

/// What a program calls, in any order.
#[derive(Debug, Clone)]
enum Call {
    Tag(String, String),
    Field(String, FieldValue),
}

/// Of everything that means something to some server, and of long runs of what does not.
fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        60 => prop::sample::select(vec!['a', 'b', 'n', 't', '_', '0', '-', 'é', '🦀']),
        10 => prop::sample::select(vec![',', ' ', '=', '"', '!', '#']),
        2 => prop::sample::select(vec!['\\', '\n', '\r', '\t', '\0', '\u{7f}']),
    ];
    prop::collection::vec(character, length).prop_map(String::from_iter)
}

/// Few enough to meet again, some of them the beginnings of others.
fn key() -> impl Strategy<Value = String> {
    let usual = [
        "a",
        "b",
        "c",
        "d",
        "ab",
        "a b",
        "a=b",
        "a,b",
        "é",
        "host",
        "region",
        "a_rather_long_key_of_this_sort",
    ];
    prop_oneof![
        20 => prop::sample::select(usual.to_vec()).prop_map(str::to_owned),
        1 => Just("time".to_owned()),
        1 => Just(String::new()),
        2 => text(1..20),
    ]
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<f64>().prop_map(FieldValue::Float),
        any::<i64>().prop_map(FieldValue::Integer),
        any::<u64>().prop_map(FieldValue::Unsigned),
        any::<bool>().prop_map(FieldValue::Boolean),
        text(0..40).prop_map(FieldValue::String),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (key(), text(0..40)).prop_map(|(key, value)| Call::Tag(key, value)),
        (key(), value()).prop_map(|(key, value)| Call::Field(key, value)),
    ]
}

/// Tags first and in their order, as most programs have them, or as they come.
fn calls() -> impl Strategy<Value = Vec<Call>> {
    let ordered = prop::collection::vec(call(), 0..20).prop_map(|mut calls| {
        calls.sort_by(|one, other| match (one, other) {
            (Call::Tag(one, _), Call::Tag(other, _)) => one.cmp(other),
            (Call::Tag(..), Call::Field(..)) => std::cmp::Ordering::Less,
            (Call::Field(..), Call::Tag(..)) => std::cmp::Ordering::Greater,
            (Call::Field(..), Call::Field(..)) => std::cmp::Ordering::Equal,
        });
        calls
    });
    prop_oneof![3 => ordered, 1 => prop::collection::vec(call(), 0..8)]
}

fn measurement() -> impl Strategy<Value = String> {
    prop_oneof![10 => Just("cpu".to_owned()), 5 => text(0..20), 1 => Just("#a".to_owned())]
}

/// The encoders of every dialect, strict and lenient, with default tags and without.
fn encoder() -> impl Strategy<Value = Encoder> {
    let dialects = [
        Dialect::Influx1,
        Dialect::Influx2,
        Dialect::Influx3,
        Dialect::VictoriaMetrics,
    ];
    let tags = prop::collection::vec((key(), text(0..8)), 0..3);
    let encoder = (
        prop::sample::select(dialects.to_vec()),
        any::<bool>(),
        any::<bool>(),
        tags,
    );
    encoder.prop_map(|(dialect, is_lenient, is_short, tags)| {
        let mut encoder = Encoder::new(dialect);
        if is_lenient {
            encoder = encoder
                .non_finite(NonFinite::LeaveOut)
                .control_characters(ControlCharacters::Remove)
                .trailing_backslash(TrailingBackslash::Trim)
                .large_unsigned(LargeUnsigned::Clamp);
        }
        if is_short {
            encoder = encoder.longest_line(80);
        }
        tags.into_iter()
            .fold(encoder, |encoder, (key, value)| encoder.default_tag(key, value))
    })
}

fn point(measurement: &str, calls: &[Call], moment: i64) -> Point {
    let point = Point::new(measurement).timestamp_ns(moment);
    calls.iter().fold(point, |point, call| match call {
        Call::Tag(key, value) => point.tag(key, value),
        Call::Field(key, value) => point.field(key, value.clone()),
    })
}

/// Both ends of a builder, which may be asked more than once.
fn built(mut line: LineBuilder<'_>, calls: &[Call], moment: i64) -> Result<Line, PointError> {
    for call in calls {
        match call {
            Call::Tag(key, value) => line.tag(key, value),
            Call::Field(key, value) => line.field(key, value),
        };
    }
    line.timestamp_ns(moment);
    let bytes = line.bytes().map(<[u8]>::to_vec);
    let finished = line.finish();
    assert_eq!(bytes.as_deref(), finished.as_ref().map(Line::as_bytes));
    assert_eq!(line.bytes().map(<[u8]>::to_vec), bytes);
    finished
}

/// Long enough to leave the room that a thread's lines begin with.
fn moment() -> impl Strategy<Value = i64> {
    prop_oneof![9 => any::<i64>(), 1 => Just(i64::MAX), 1 => Just(i64::MIN + 1)]
}

/// How a line differs from the one before: most names stay what and where they were.
#[derive(Debug, Clone)]
enum Edit {
    Leave(usize),
    Repeat(usize),
    Swap(usize, usize),
    Set(usize, FieldValue),
    Tag(usize, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = || 0..8_usize;
    prop_oneof![
        place().prop_map(Edit::Leave),
        place().prop_map(Edit::Repeat),
        (place(), place()).prop_map(|(one, other)| Edit::Swap(one, other)),
        (place(), value()).prop_map(|(place, value)| Edit::Set(place, value)),
        (place(), text(0..40)).prop_map(|(place, value)| Edit::Tag(place, value)),
    ]
}

fn edited(calls: &mut Vec<Call>, edit: Edit) {
    let length = calls.len().max(1);
    match edit {
        Edit::Leave(place) if !calls.is_empty() => drop(calls.remove(place % length)),
        Edit::Repeat(place) if !calls.is_empty() => calls.push(calls[place % length].clone()),
        Edit::Swap(one, other) if !calls.is_empty() => calls.swap(one % length, other % length),
        Edit::Set(place, new) => {
            if let Some(Call::Field(_, value)) = calls.get_mut(place % length) {
                *value = new;
            }
        }
        Edit::Tag(place, new) => {
            if let Some(Call::Tag(_, value)) = calls.get_mut(place % length) {
                *value = new;
            }
        }
        Edit::Leave(_) | Edit::Repeat(_) | Edit::Swap(..) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_that_is_built_is_that_of_its_point(
        encoder in encoder(), measurement in measurement(), calls in calls(), moment in moment(),
    ) {
        let expected = encoder.encode(&point(&measurement, &calls, moment));
        prop_assert_eq!(built(encoder.line(&measurement), &calls, moment), expected);
    }

    /// A thread remembers the names of its lines.
    #[test]
    fn a_line_is_that_of_its_point_whatever_came_before(
        encoder in encoder(), measurement in measurement(), calls in calls(), edits in prop::collection::vec(edit(), 1..10),
    ) {
        let mut calls = calls;
        for edit in edits {
            let expected = encoder.encode(&point(&measurement, &calls, 7));
            prop_assert_eq!(built(encoder.line(&measurement), &calls, 7), expected);
            edited(&mut calls, edit);
        }
    }

    #[test]
    fn a_line_of_a_series_is_that_of_its_point(
        encoder in encoder(), measurement in measurement(), calls in calls(), moment in moment(), late in any::<bool>(),
    ) {
        let is_tag = |call: &Call| matches!(call, Call::Tag(..));
        let (tags, fields): (Vec<Call>, Vec<Call>) = calls.iter().cloned().partition(is_tag);
        let own = tags.iter().filter_map(|call| match call {
            Call::Tag(key, value) => Some((key.as_str(), value.as_str())),
            Call::Field(..) => None,
        });
        match encoder.series(&measurement, own) {
            Ok(series) => {
                // Tags that are set again change nothing.
                let more = if late { calls } else { fields };
                let expected = encoder.encode(&point(&measurement, &[tags, more.clone()].concat(), moment));
                prop_assert_eq!(built(series.clone().line(), &more, moment), expected);
            }
            Err(error) => {
                prop_assert_eq!(encoder.encode(&point(&measurement, &calls, moment)), Err(error));
            }
        }
    }
}

#[test]
fn a_line_is_stamped_when_it_is_finished() {
    let encoder = Encoder::new(Dialect::Influx1);
    let stamp = || -> i64 {
        let line = encoder.line("m").field("v", 1).finish().expect("a valid point");
        let (_, stamp) = line.as_str().rsplit_once(' ').expect("a timestamp");
        stamp.parse().expect("a number")
    };
    let now = || {
        let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        i64::try_from(since.as_nanos()).expect("before 2262")
    };
    let before = now();
    let stamp = stamp();
    assert!((before..=now()).contains(&stamp));
}

#[test]
fn moments_come_in_any_unit_and_those_beyond_the_server_s_are_refused() {
    let encoder = Encoder::new(Dialect::Influx1);
    let mut line = encoder.line("m");
    line.field("v", 1);
    let moment = std::time::UNIX_EPOCH - std::time::Duration::from_nanos(5);
    assert_eq!(
        line.timestamp(moment).finish().expect("a valid point").as_str(),
        "m v=1i -5"
    );
    let seconds = buffer_influx::Precision::Seconds;
    let in_time = line.timestamp_in(seconds, 7).finish().expect("a valid point");
    assert_eq!(in_time.as_str(), "m v=1i 7000000000");
    assert_eq!(
        line.timestamp_in(seconds, i64::MAX).finish(),
        Err(PointError::TimestampOutOfRange {
            nanoseconds: i128::from(i64::MAX) * 1_000_000_000
        })
    );
}

#[test]
fn of_many_moments_the_last_counts() {
    let encoder = Encoder::new(Dialect::Influx1);
    let refused = |nanoseconds: i64| {
        let nanoseconds = nanoseconds.into();
        Err(PointError::TimestampOutOfRange { nanoseconds })
    };
    let mut line = encoder.line("m");
    for beyond in [i64::MIN, i64::MIN + 1, i64::MAX] {
        line.timestamp_ns(7).timestamp_ns(beyond).field("v", 1);
        assert_eq!(line.finish(), refused(beyond));
        for stored in [i64::MIN + 2, i64::MAX - 1] {
            let finished = line.timestamp_ns(stored).finish().expect("a valid point");
            assert_eq!(finished.as_str(), format!("m v=1i {stored}"));
        }
    }
}

#[test]
fn a_line_may_be_long_and_some_may_grow_at_once() {
    let encoder = Encoder::new(Dialect::Influx1);
    let keys: Vec<String> = (0..500).map(|number| format!("field_{number:03}")).collect();
    let (mut one, mut other, mut of_others) = (encoder.line("m"), encoder.line("m"), encoder.line("other"));
    let mut point = Point::new("m").timestamp_ns(1);
    let mut point_of_others = Point::new("other").timestamp_ns(1);
    for key in &keys {
        let text = key.repeat(30);
        one.field(key, &text);
        other.field(key, &text);
        of_others.field(key, &text);
        point = point.field(key, &text);
        point_of_others = point_of_others.field(key, &text);
    }
    let expected = encoder.encode(&point);
    assert_eq!(one.timestamp_ns(1).finish(), expected);
    assert_eq!(other.timestamp_ns(1).finish(), expected);
    assert_eq!(
        of_others.timestamp_ns(1).finish(),
        encoder.encode(&point_of_others)
    );
}

#[test]
fn a_field_that_is_set_twice_is_noticed_among_any_number() {
    let encoder = Encoder::new(Dialect::Influx1);
    let keys: Vec<String> = (0..40).map(|number| format!("f{number}")).collect();
    for again in &keys {
        let mut line = encoder.line("m");
        let mut point = Point::new("m").timestamp_ns(1);
        for key in keys.iter().chain([again]) {
            line.field(key, key.as_str());
            point = point.field(key, key.as_str());
        }
        let point = point.field(again, true);
        assert_eq!(
            line.field(again, true).timestamp_ns(1).finish(),
            encoder.encode(&point)
        );
    }
}

/// The thread knows the names of the first line, in their places.
#[test]
fn a_name_that_another_line_had_elsewhere_is_checked_anew() {
    let encoder = Encoder::new(Dialect::Influx1);
    let line = |tags: &[&str], fields: &[&str]| {
        let (mut line, mut point) = (encoder.line("m"), Point::new("m"));
        for tag in tags {
            line.tag(tag, "x");
            point = point.tag(*tag, "x");
        }
        for field in fields {
            line.field(field, 1);
            point = point.field(*field, 1);
        }
        assert_eq!(
            line.timestamp_ns(1).finish(),
            encoder.encode(&point.timestamp_ns(1))
        );
    };
    line(&["a", "b"], &["c", "d"]);
    // A field twice, which stood where it stands.
    line(&["a", "b"], &["d", "d"]);
    line(&["a", "b"], &["c", "d"]);
    // A tag out of order, which stood where it stands.
    line(&["c", "b"], &["d"]);
    // Where a tag stood, a field.
    line(&["a"], &["b"]);
    line(&[], &["a"]);
}

#[test]
fn a_line_that_is_printed_shows_nothing_of_others() {
    let encoder = Encoder::new(Dialect::Influx1);
    let mut other = encoder.line("m");
    other.tag("token", "secret").field("v", 1).timestamp_ns(1);
    drop(other.finish());
    let mut line = encoder.line("n");
    let printed = format!("{:?}", line.tag("a", "b"));
    assert!(
        printed.contains("n,a=b") && !printed.contains("secret"),
        "{printed}"
    );
    assert!(!printed.contains("115, 101, 99"), "{printed}");
}
