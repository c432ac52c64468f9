//! A point becomes a line that the server reads back as it was meant, or is refused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buffer_influx::{
    Dialect, Element, Encoder, FieldValue, LargeUnsigned, Line, NonFinite, Point, PointError,
};

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

fn by(dialect: Dialect, point: Point) -> Result<String, PointError> {
    Encoder::new(dialect)
        .encode(&point.timestamp_ns(1))
        .map(|line| line.to_string())
}

#[test]
fn unsigned_integers_have_a_suffix_where_the_server_knows_them() {
    let point = |value: u64| Point::new("m").field("v", value);
    for dialect in [Dialect::Influx2, Dialect::Influx3, Dialect::VictoriaMetrics] {
        let line = by(dialect, point(u64::MAX));
        assert_eq!(line.as_deref(), Ok("m v=18446744073709551615u 1"), "{dialect:?}");
    }
    assert_eq!(by(Dialect::Influx1, point(7)).as_deref(), Ok("m v=7i 1"));
    assert_eq!(
        by(Dialect::Influx1, point(u64::MAX)),
        Err(PointError::UnsignedTooLarge {
            field: "v".to_owned(),
            value: u64::MAX
        })
    );
    let clamps = Encoder::new(Dialect::Influx1).large_unsigned(LargeUnsigned::Clamp);
    let line = clamps
        .encode(&point(u64::MAX).timestamp_ns(1))
        .expect("a valid point");
    assert_eq!(line.as_str(), "m v=9223372036854775807i 1");
}

#[test]
fn fields_that_are_no_numbers_are_left_out_if_asked_for() {
    let encoder = Encoder::new(Dialect::Influx1).non_finite(NonFinite::LeaveOut);
    let point = Point::new("m").field("a", f64::NAN).field("b", 1).timestamp_ns(1);
    assert_eq!(
        encoder.encode(&point).map(|line| line.to_string()).as_deref(),
        Ok("m b=1i 1")
    );
    let nothing_else = Point::new("m").field("a", f64::INFINITY);
    assert_eq!(encoder.encode(&nothing_else), Err(PointError::NoFields));
}

#[test]
fn default_tags_join_in_their_order_and_the_point_s_own_win() {
    let encoder = Encoder::new(Dialect::Influx1)
        .default_tag("c", "3")
        .default_tag("a", "old")
        .default_tag("a", "1")
        .default_tag("e", "5")
        .default_tag("f", "6");
    let point = Point::new("m")
        .tag("b", "2")
        .tag("e", "own")
        .tag("f", "")
        .field("v", 1)
        .timestamp_ns(1);
    let line = encoder.encode(&point).expect("a valid point");
    assert_eq!(line.as_str(), "m,a=1,b=2,c=3,e=own v=1i 1");
}

#[test]
fn keys_that_would_be_written_alike_are_refused() {
    let written = r"a\n".to_owned();
    let tags = Point::new("m").tag("a\n", "1").tag(r"a\n", "2").field("v", 1);
    assert_eq!(
        refused(tags),
        PointError::SameKeys {
            element: Element::TagKey,
            written: written.clone()
        }
    );
    let fields = Point::new("m").field("a\n", 1).field(r"a\n", 2);
    assert_eq!(
        refused(fields),
        PointError::SameKeys {
            element: Element::FieldKey,
            written
        }
    );
    let left_out = Point::new("m").tag("a\n", "1").tag(r"a\n", "").field("v", 1);
    assert_eq!(encoded(left_out), r"m,a\n=1 v=1i 1");
}

#[test]
fn what_a_server_bounds_is_refused_before_it_is_sent() {
    let text = |bytes: usize| Point::new("m").field("v", "x".repeat(bytes));
    assert!(by(Dialect::Influx2, text(1_048_576)).is_ok());
    assert!(matches!(
        by(Dialect::Influx2, text(1_048_577)),
        Err(PointError::TextTooLong { bytes: 1_048_577, .. })
    ));
    assert!(by(Dialect::Influx3, text(65_536)).is_ok());
    assert!(matches!(
        by(Dialect::Influx3, text(65_537)),
        Err(PointError::TextTooLong { .. })
    ));
    let around = "m v=\"\" 1".len();
    assert!(by(Dialect::VictoriaMetrics, text(262_144 - around)).is_ok());
    assert_eq!(
        by(Dialect::VictoriaMetrics, text(262_145 - around)),
        Err(PointError::LineTooLong {
            bytes: 262_145,
            most: 262_144
        })
    );
    let name = Point::new("m").tag("x".repeat(65_537), "1").field("v", 1);
    assert!(matches!(
        by(Dialect::Influx3, name),
        Err(PointError::NameTooLong {
            element: Element::TagKey,
            ..
        })
    ));
    let short = Encoder::new(Dialect::Influx1).longest_line(10).longest_line(100);
    assert!(matches!(
        short.encode(&text(10)),
        Err(PointError::LineTooLong { most: 10, .. })
    ));
}

#[test]
fn a_line_break_in_a_text_is_refused_where_the_server_loses_it() {
    for text in ["a\nb", "a\rb"] {
        assert_eq!(
            by(Dialect::VictoriaMetrics, Point::new("m").field("v", text)),
            Err(PointError::LineBreakInText {
                field: "v".to_owned()
            })
        );
    }
}

#[test]
fn a_quote_in_a_field_key_is_refused_where_the_server_loses_the_point() {
    let point = Point::new("m\"").tag("t\"", "\"").field("f\"", 1);
    assert_eq!(
        by(Dialect::VictoriaMetrics, point.clone()),
        Err(PointError::QuoteInFieldKey {
            field: "f\"".to_owned()
        })
    );
    assert!(by(Dialect::Influx1, point).is_ok());
}

/// A second line in a finished one is not smuggled in: it is an error, or text.
#[test]
fn a_finished_line_comes_out_as_one_line_of_the_dialect() {
    let point: Point = "m,b=2,a=1 v=1u,s=\"a\nm v=2\" 5".parse().expect("a line");
    assert_eq!(
        Encoder::new(Dialect::Influx1)
            .encode(&point)
            .map(|line| line.to_string())
            .as_deref(),
        Ok("m,a=1,b=2 v=1i,s=\"a\nm v=2\" 5")
    );
    for line in ["m v=1 5\nm v=2 6", "m,t=a\nb v=1 5", "m v=1\n"] {
        let point = line.parse::<Point>();
        assert!(point.is_err() || line.ends_with('\n'), "{line}");
    }
}
