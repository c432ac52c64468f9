//! Makes a point of any bytes, encodes it in every dialect, and reads it back.

use buffer_influx::{
    ControlCharacters, Dialect, Encoder, FieldValue, LargeUnsigned, Line, NonFinite, Point, TrailingBackslash,
};
use influxdb_line_protocol::parse_lines;

/// Texts are divided by this character, so that seeds are easy to write: a measurement, then a kind, a key and a value each.
const DIVIDER: char = '|';

/// # Panics
///
/// When a point that is accepted is not read back as one line, or what is read makes another.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let point = point(&text);
    for dialect in [
        Dialect::Influx1,
        Dialect::Influx2,
        Dialect::Influx3,
        Dialect::VictoriaMetrics,
    ] {
        let strict = Encoder::new(dialect);
        let lenient = Encoder::new(dialect)
            .default_tag("host", "a")
            .non_finite(NonFinite::LeaveOut)
            .control_characters(ControlCharacters::Remove)
            .trailing_backslash(TrailingBackslash::Trim)
            .large_unsigned(LargeUnsigned::Clamp);
        for encoder in [strict, lenient] {
            if let Ok(line) = encoder.encode(&point) {
                check(line.as_str(), dialect);
            }
        }
    }
    // The text as a line of its own: what is read of it is a point like any other.
    if let Ok(point) = text.parse::<Point>()
        && let Ok(line) = Encoder::new(Dialect::Influx3).encode(&point)
    {
        check(line.as_str(), Dialect::Influx3);
    }
}

fn check(line: &str, dialect: Dialect) {
    if dialect == Dialect::Influx3 {
        let lines: Vec<_> = parse_lines(line).collect();
        assert!(matches!(lines[..], [Ok(_)]), "{line:?}: {lines:?}");
    }
    let read: Point = line.parse().unwrap_or_else(|error| panic!("{line:?}: {error}"));
    // The others have `\\` for a backslash in a name, which is read as two.
    if matches!(dialect, Dialect::Influx1 | Dialect::Influx2) {
        let again = Encoder::new(dialect).encode(&read);
        let is_same = |again: &Line| again.as_str().parse() == Ok(read);
        assert!(again.as_ref().is_ok_and(is_same), "{line:?}: {again:?}");
    }
}

fn point(text: &str) -> Point {
    let mut parts = text.split(DIVIDER);
    // Not so early that one of the servers has no such moment.
    let moment = 1_000_000_000 + text.len() as i64;
    let mut point = Point::new(parts.next().unwrap_or_default()).timestamp_ns(moment);
    while let (Some(kind), Some(key), Some(value)) = (parts.next(), parts.next(), parts.next()) {
        point = match kind {
            "t" => point.tag(key, value),
            "f" => point.field(key, value.parse::<f64>().unwrap_or(f64::NAN)),
            "i" => point.field(key, value.parse::<i64>().unwrap_or_default()),
            "u" => point.field(key, value.parse::<u64>().unwrap_or_default()),
            "b" => point.field(key, value == "true"),
            _ => point.field(key, FieldValue::from(value)),
        };
    }
    point
}
