//! A point becomes a line that the server reads back as it was meant, or is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buffer_influx::{Dialect, Element, Encoder, FieldValue, FieldValueRef, Line, Point, PointError};

fn encode(point: &Point) -> Result<Line, PointError> {
    Encoder::new(Dialect::Influx1).encode(point)
}

fn encoded(point: Point) -> String {
    encode(&point.timestamp_ns(1)).expect("a valid point").to_string()
}

fn refused(point: Point) -> PointError {
    encode(&point.timestamp_ns(1)).expect_err("an invalid point")
}

fn field(value: impl Into<FieldValue>) -> String {
    let line = encoded(Point::new("m").field("v", value));
    line.strip_prefix("m v=")
        .and_then(|rest| rest.strip_suffix(" 1"))
        .expect("one field")
        .to_owned()
}

#[test]
fn every_part_is_escaped_in_its_own_way() {
    let point = Point::new("m, =").tag("t, =", "v, =").field("f, =", "s, =\"\\");
    assert_eq!(encoded(point), r#"m\,\ =,t\,\ \==v\,\ \= f\,\ \=="s, =\"\\" 1"#);
}

/// Hangs when each name is looked for among all before it.
#[test]
fn a_line_of_a_hundred_thousand_fields_is_the_same_however_it_is_made() {
    let encoder = Encoder::new(Dialect::Influx1);
    let keys: Vec<String> = (0..100_000).map(|number| format!("f{number}")).collect();
    let mut line = encoder.line("m");
    for key in &keys {
        line.field(key, 1);
    }
    let line = line
        .field("f70000", 2)
        .timestamp_ns(1)
        .finish()
        .expect("a valid line");
    let point = keys
        .iter()
        .fold(Point::new("m"), |point, key| point.field(key, 1));
    let point = point.field("f70000", 2).timestamp_ns(1);
    assert_eq!(encode(&point).expect("a valid point"), line);
    assert_eq!(line.as_str().parse::<Point>().expect("a line"), point);
}

#[test]
fn tags_are_sorted_by_the_bytes_of_their_keys_before_escaping() {
    let point = Point::new("m")
        .tag("é", "1")
        .tag("a!", "2")
        .tag("a,", "3")
        .tag("a", "4")
        .tag("B", "5")
        .field("v", 1);
    assert_eq!(encoded(point), r"m,B=5,a=4,a!=2,a\,=3,é=1 v=1i 1");
}

#[test]
fn tags_without_a_key_or_a_value_are_left_out() {
    let point = Point::new("m")
        .tag("", "x")
        .tag("a", "")
        .tag("b", "1")
        .tag("b", "")
        .tag("time", "")
        .field("v", 1);
    assert_eq!(encoded(point), "m v=1i 1");
}

#[test]
fn the_last_of_a_key_wins() {
    let point = Point::new("m")
        .tag("t", "1")
        .tag("t", "2")
        .field("v", 1)
        .field("w", 1)
        .field("v", "x");
    assert_eq!(encoded(point), r#"m,t=2 v="x",w=1i 1"#);
}

#[test]
fn a_line_break_in_a_name_can_not_begin_another_point() {
    let point = Point::new("m\nx v=1\n").tag("t\r", "u\t\n").field("f\n", 1);
    assert_eq!(encoded(point), r"m\nx\ v=1\n,t\r=u\t\n f\n=1i 1");
}

#[test]
fn a_line_break_in_a_text_stays() {
    assert_eq!(field("a\r\n\tb\0"), "\"a\r\n\tb\0\"");
}

#[test]
fn numbers_keep_their_type_and_their_last_digit() {
    for (value, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e-7, "1e-7"),
        (1e16, "1e+16"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        assert_eq!(field(value), text);
        assert_eq!(text.parse(), Ok(value));
    }
    assert_eq!(field(i64::MAX), "9223372036854775807i");
    assert_eq!(field(i64::MIN), "-9223372036854775808i");
    assert_eq!(field(7_u8), "7i");
    assert_eq!(
        (field(true), field(false)),
        ("true".to_owned(), "false".to_owned())
    );
}

#[test]
fn a_length_is_a_field_of_64_bits() {
    assert_eq!(field([1, 2].len()), "2i");
    assert_eq!(
        FieldValue::from(usize::MAX),
        FieldValue::Unsigned(usize::MAX as u64)
    );
    assert_eq!(
        FieldValue::from(isize::MIN),
        FieldValue::Integer(isize::MIN as i64)
    );
    assert_eq!(
        FieldValueRef::from(usize::MAX),
        FieldValueRef::Unsigned(usize::MAX as u64)
    );
    assert_eq!(
        FieldValueRef::from(isize::MIN),
        FieldValueRef::Integer(isize::MIN as i64)
    );
}

#[test]
fn floats_that_are_no_numbers_are_refused() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(
            matches!(refused(Point::new("m").field("v", value)), PointError::NotFinite { field, .. } if field == "v")
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(
        refused(Point::new("").field("v", 1)),
        PointError::EmptyMeasurement
    );
    assert_eq!(refused(Point::new("m").field("", 1)), PointError::EmptyFieldKey);
    assert_eq!(refused(Point::new("m").tag("a", "b")), PointError::NoFields);
}

#[test]
fn what_the_server_would_lose_without_an_error_is_refused() {
    assert_eq!(
        refused(Point::new("#m").field("v", 1)),
        PointError::CommentMeasurement {
            text: "#m".to_owned()
        }
    );
    let tag = Point::new("m").tag("time", "1").field("v", 1);
    assert_eq!(
        refused(tag),
        PointError::ReservedTime {
            element: Element::TagKey
        }
    );
    let field = Point::new("m").field("v", 1).field("time", 1);
    assert_eq!(
        refused(field),
        PointError::ReservedTime {
            element: Element::FieldKey
        }
    );
}

#[test]
fn a_refusal_names_the_part_and_prints_it_on_one_line() {
    let error = refused(Point::new("m").tag("host", "a\u{0}\n").field("v", 1));
    assert_eq!(
        error.to_string(),
        r#"the tag value "a\0\n" holds the control character '\0'; remove it"#
    );
    let error = refused(Point::new("m").tag("path", r"C:\").field("v", 1));
    assert_eq!(
        error.to_string(),
        r#"the tag value "C:\\" ends in a backslash, which the line protocol can't express; trim it"#
    );
}

#[test]
fn a_series_key_may_have_65_535_bytes_with_its_field() {
    let point = |bytes| Point::new("m").tag("t", "x".repeat(bytes)).field("field", 1);
    let around = "m,t=".len() + 4 + "field".len();
    assert!(encode(&point(65_535 - around)).is_ok());
    assert_eq!(
        refused(point(65_536 - around)),
        PointError::SeriesKeyTooLong { bytes: 65_536 }
    );
}

#[test]
fn a_text_may_be_long_and_does_not_disturb_the_next_point() {
    assert_eq!(field("x".repeat(1_000_000)).len(), 1_000_002);
    assert_eq!(field("y"), "\"y\"");
}

#[test]
fn timestamps_reach_from_1677_to_2262() {
    for nanoseconds in [-9_223_372_036_854_775_806, -1, 0, 9_223_372_036_854_775_806] {
        let line = encode(&Point::new("m").field("v", 1).timestamp_ns(nanoseconds)).expect("in range");
        assert_eq!(line.as_str(), format!("m v=1i {nanoseconds}"));
    }
    for nanoseconds in [i64::MIN, i64::MIN + 1, i64::MAX] {
        let error =
            encode(&Point::new("m").field("v", 1).timestamp_ns(nanoseconds)).expect_err("out of range");
        assert_eq!(
            error,
            PointError::TimestampOutOfRange {
                nanoseconds: nanoseconds.into()
            }
        );
    }
    let beyond = UNIX_EPOCH + Duration::from_secs(10_000_000_000);
    let error = encode(&Point::new("m").field("v", 1).timestamp(beyond)).expect_err("out of range");
    assert_eq!(
        error,
        PointError::TimestampOutOfRange {
            nanoseconds: 10_000_000_000_000_000_000
        }
    );
}

#[test]
fn a_point_without_a_timestamp_is_stamped_when_it_is_encoded() {
    let nanoseconds = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_nanos()
    };
    let before = nanoseconds();
    let line = encode(&Point::new("m").field("v", 1)).expect("a valid point");
    let stamp: u128 = line
        .as_str()
        .rsplit(' ')
        .next()
        .and_then(|stamp| stamp.parse().ok())
        .expect("a timestamp");
    assert!((before..=nanoseconds()).contains(&stamp));
}

#[test]
fn a_refused_point_leaves_nothing_behind_in_the_next() {
    refused(Point::new("left").tag("a", "b").field("v", f64::NAN));
    assert_eq!(encoded(Point::new("m").field("v", 1)), "m v=1i 1");
}
