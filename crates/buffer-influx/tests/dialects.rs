//! What the dialects differ in, what an encoder can be told, and what it refuses for one of them.

use buffer_influx::{Dialect, Element, Encoder, LargeUnsigned, NonFinite, Point, PointError};

/// The error of a point for version 1.
fn refused(point: Point) -> PointError {
    by(Dialect::Influx1, point).expect_err("an invalid point")
}

fn by(dialect: Dialect, point: Point) -> Result<String, PointError> {
    Encoder::new(dialect)
        .encode(&point.timestamp_ns(1_000_000))
        .map(|line| line.to_string())
}

#[test]
fn victoria_metrics_gets_no_moment_before_1970_and_no_tag_that_renames_the_series() {
    let encoder = Encoder::new(Dialect::VictoriaMetrics);
    let at = |nanoseconds| Point::new("m").field("v", 1).timestamp_ns(nanoseconds);
    for nanoseconds in [-1_000_000_000, 0, 999_999] {
        let refused = Err(PointError::TimestampTooEarly {
            nanoseconds,
            earliest: 1_000_000,
        });
        assert_eq!(encoder.encode(&at(nanoseconds)), refused);
        let mut line = encoder.line("m");
        assert_eq!(line.field("v", 1).timestamp_ns(nanoseconds).finish(), refused);
        assert!(Encoder::new(Dialect::Influx2).encode(&at(nanoseconds)).is_ok());
    }
    assert!(encoder.encode(&at(1_000_000)).is_ok());

    let tagged = at(1_000_000).tag("__name__", "other");
    assert_eq!(encoder.encode(&tagged), Err(PointError::NameTag));
    let mut line = encoder.line("m");
    line.tag("__name__", "other")
        .field("v", 1)
        .timestamp_ns(1_000_000);
    assert_eq!(line.finish(), Err(PointError::NameTag));
    assert!(Encoder::new(Dialect::Influx3).encode(&tagged).is_ok());
}

/// It would cut the key: two that begin alike would be one.
#[test]
fn victoria_metrics_gets_no_key_of_a_tag_that_it_would_cut() {
    for (bytes, is_taken) in [(256, true), (257, false), (5_000, false)] {
        let key = "k".repeat(bytes);
        let refused = PointError::NameTooLong {
            element: Element::TagKey,
            bytes,
            most: 256,
        };
        let point = Point::new("m")
            .tag(&key, "1")
            .field("v", 1)
            .timestamp_ns(1_000_000);
        let encoder = Encoder::new(Dialect::VictoriaMetrics);
        let encoded = encoder.encode(&point);
        let mut line = encoder.line("m");
        let built = line.tag(&key, "1").field("v", 1).timestamp_ns(1_000_000).finish();
        assert_eq!(built, encoded, "{bytes}");
        assert_eq!(encoded.is_ok(), is_taken, "{bytes}");
        assert!(is_taken || encoded == Err(refused), "{bytes}");
        for dialect in [Dialect::Influx1, Dialect::Influx2, Dialect::Influx3] {
            assert!(Encoder::new(dialect).encode(&point).is_ok(), "{dialect:?}");
        }
    }
    // A line break is written as two characters.
    let key = format!("{}\n", "k".repeat(255));
    let point = Point::new("m")
        .tag(key, "1")
        .field("v", 1)
        .timestamp_ns(1_000_000);
    let refused = Encoder::new(Dialect::VictoriaMetrics).encode(&point);
    assert!(matches!(refused, Err(PointError::NameTooLong { bytes: 257, .. })));
}

#[test]
fn unsigned_integers_have_a_suffix_where_the_server_knows_them() {
    let point = |value: u64| Point::new("m").field("v", value);
    for dialect in [Dialect::Influx2, Dialect::Influx3, Dialect::VictoriaMetrics] {
        let line = by(dialect, point(u64::MAX));
        assert_eq!(
            line.as_deref(),
            Ok("m v=18446744073709551615u 1000000"),
            "{dialect:?}"
        );
    }
    assert_eq!(by(Dialect::Influx1, point(7)).as_deref(), Ok("m v=7i 1000000"));
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
    assert_eq!(
        by(Dialect::Influx1, left_out).as_deref(),
        Ok(r"m,a\n=1 v=1i 1000000")
    );
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
    let around = "m v=\"\" 1000000".len();
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
