//! What is encoded is read back as it was meant: by InfluxDB 3's own parser, and by the reader of finished lines.

use std::collections::BTreeMap;

use buffer_influx::{Dialect, Encoder, FieldValue, Point};
use influxdb_line_protocol::{FieldValue as Read, ParsedLine, parse_lines};
use proptest::prelude::*;

/// Of everything that means something to some parser.
fn text(length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let character = prop_oneof![
        40 => prop::sample::select(vec![',', ' ', '=', '"', '\\', '\'', '#', '\n', '\r', '\t']),
        40 => prop::sample::select(vec!['a', 'n', 't', '_', '0', 'é', '🦀', ':', '\u{85}', '\u{2028}']),
        2 => any::<char>(),
        1 => prop::sample::select(vec!['\0', '\u{7f}']),
    ];
    prop::collection::vec(character, length).prop_map(String::from_iter)
}

fn value() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<f64>().prop_map(FieldValue::Float),
        any::<i64>().prop_map(FieldValue::Integer),
        any::<u64>().prop_map(FieldValue::Unsigned),
        any::<bool>().prop_map(FieldValue::Boolean),
        text(0..20).prop_map(FieldValue::String),
    ]
}

const MOMENT: i64 = -5;

prop_compose! {
    fn point()(
        measurement in text(1..8),
        tags in prop::collection::vec((text(0..5), text(0..8)), 0..4),
        fields in prop::collection::vec((text(1..5), value()), 1..4),
    ) -> Point {
        let point = Point::new(measurement).timestamp_ns(MOMENT);
        let point = tags.iter().fold(point, |point, (key, value)| point.tag(key, value));
        fields.into_iter().fold(point, |point, (key, value)| point.field(key, value))
    }
}

/// A name as it is written: line breaks and tabs are two characters each.
fn as_written(name: &str) -> String {
    name.replace('\n', r"\n")
        .replace('\r', r"\r")
        .replace('\t', r"\t")
}

fn is(read: &Read<'_>, meant: &FieldValue) -> bool {
    match (read, meant) {
        (Read::F64(read), FieldValue::Float(meant)) => read.to_bits() == meant.to_bits(),
        (Read::I64(read), FieldValue::Integer(meant)) => read == meant,
        (Read::U64(read), FieldValue::Unsigned(meant)) => read == meant,
        (Read::Boolean(read), FieldValue::Boolean(meant)) => read == meant,
        (Read::String(read), FieldValue::String(meant)) => read.as_str() == meant,
        _ => false,
    }
}

fn check(line: &ParsedLine<'_>, point: &Point) -> Result<(), TestCaseError> {
    prop_assert_eq!(line.series.measurement.as_str(), as_written(point.measurement()));
    let read: BTreeMap<String, String> = line
        .series
        .tag_set
        .iter()
        .flatten()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let meant: BTreeMap<String, String> = point
        .tags()
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .map(|(key, value)| (as_written(key), as_written(value)))
        .collect();
    prop_assert_eq!(read, meant);
    prop_assert_eq!(line.field_set.len(), point.fields().count());
    for (key, meant) in point.fields() {
        let key = as_written(key);
        let read = line.field_set.iter().find(|(name, _)| *name == key.as_str());
        prop_assert!(
            read.is_some_and(|(_, read)| is(read, meant)),
            "{:?} {:?}",
            key,
            meant
        );
    }
    Ok(())
}

/// The point that the server has then.
fn as_stored(point: &Point, dialect: Dialect) -> Point {
    let mut stored = Point::new(as_written(point.measurement())).timestamp_ns(MOMENT);
    for (key, value) in point
        .tags()
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
    {
        stored = stored.tag(as_written(key), as_written(value));
    }
    for (key, value) in point.fields() {
        let value = match (value, dialect) {
            (FieldValue::Unsigned(value), Dialect::Influx1) => FieldValue::Integer(*value as i64),
            (value, _) => value.clone(),
        };
        stored = stored.field(as_written(key), value);
    }
    stored
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_parser_of_influxdb_3_reads_every_accepted_point_as_it_was_meant(point in point()) {
        let Ok(line) = Encoder::new(Dialect::Influx3).encode(&point) else {
            return Ok(());
        };
        let text = line.to_string();
        let lines: Vec<_> = parse_lines(&text).collect();
        prop_assert_eq!(lines.len(), 1, "{}", text);
        match &lines[0] {
            Ok(line) => check(line, &point)?,
            Err(error) => prop_assert!(false, "{}: {}", text, error),
        }
    }

    /// Many lines in one body do not touch each other.
    #[test]
    fn the_parser_of_influxdb_3_finds_as_many_lines_as_were_written(points in prop::collection::vec(point(), 0..10)) {
        let encoder = Encoder::new(Dialect::Influx3);
        let lines: Vec<_> = points.iter().filter_map(|point| encoder.encode(point).ok()).collect();
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let read = parse_lines(&body).filter(Result::is_ok).count();
        prop_assert_eq!(read, lines.len(), "{}", body);
    }

    #[test]
    fn a_line_of_versions_1_and_2_is_read_as_the_point_that_it_was(point in point()) {
        for dialect in [Dialect::Influx1, Dialect::Influx2] {
            let Ok(line) = Encoder::new(dialect).encode(&point) else {
                continue;
            };
            prop_assert_eq!(line.as_str().parse(), Ok(as_stored(&point, dialect)), "{}", line);
        }
    }

    #[test]
    fn whatever_is_read_as_a_point_comes_out_as_one_line_or_not_at_all(line in text(0..40)) {
        let line = format!("m v=1{line}");
        let Ok(point) = line.parse::<Point>() else {
            return Ok(());
        };
        if let Ok(line) = Encoder::new(Dialect::Influx3).encode(&point) {
            prop_assert_eq!(parse_lines(line.as_str()).count(), 1);
        }
    }
}
