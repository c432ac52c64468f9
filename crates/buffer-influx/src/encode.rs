//! Writes a point as a line, by the rules of an encoder.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::iter::Peekable;
use std::ops::RangeInclusive;

use crate::dialect::Dialect;
use crate::field_value::FieldValue;
use crate::name::{cleaned, push_name};
use crate::point::Point;
use crate::point_error::{Element, PointError};
use crate::rules::{LargeUnsigned, NonFinite, Rules};

/// The first and the last nanosecond that InfluxDB stores; it keeps the outermost values of an `i64` for itself.
const NANOSECONDS: RangeInclusive<i128> = -9_223_372_036_854_775_806..=9_223_372_036_854_775_806;

/// Appends `point` to `line`, which is empty; the default tags are sorted.
pub(crate) fn push_point(
    line: &mut String,
    point: &Point,
    default_tags: &[(String, String)],
    rules: &Rules,
) -> Result<(), PointError> {
    push_measurement(line, point.measurement(), rules)?;
    if default_tags.is_empty() {
        push_tags(line, || point.tags(), rules)?;
    } else {
        push_tags(line, || merged(point, default_tags), rules)?;
    }
    push_fields(line, point, rules)?;
    push_timestamp(line, point.moment())?;
    if line.len() > rules.longest_line {
        return Err(PointError::LineTooLong {
            bytes: line.len(),
            most: rules.longest_line,
        });
    }
    Ok(())
}

fn push_measurement(line: &mut String, measurement: &str, rules: &Rules) -> Result<(), PointError> {
    let measurement = cleaned(measurement, rules);
    if measurement.is_empty() {
        return Err(PointError::EmptyMeasurement);
    }
    if measurement.starts_with('#') {
        return Err(PointError::CommentMeasurement {
            text: measurement.into_owned(),
        });
    }
    check_name(Element::Measurement, &measurement, rules)?;
    push_name(line, Element::Measurement, &measurement, rules).map(drop)
}

fn push_tags<'a, T: Iterator<Item = (&'a str, &'a str)>>(
    line: &mut String,
    tags: impl Fn() -> T,
    rules: &Rules,
) -> Result<(), PointError> {
    let mut ambiguous = false;
    for (key, value) in tags() {
        let (written_key, value) = (cleaned(key, rules), cleaned(value, rules));
        if written_key.is_empty() || value.is_empty() {
            continue;
        }
        if written_key == "time" {
            return Err(PointError::ReservedTime {
                element: Element::TagKey,
            });
        }
        check_name(Element::TagKey, &written_key, rules)?;
        check_name(Element::TagValue, &value, rules)?;
        line.push(',');
        ambiguous |= push_name(line, Element::TagKey, &written_key, rules)?;
        ambiguous |= matches!(written_key, Cow::Owned(_));
        line.push('=');
        push_name(line, Element::TagValue, &value, rules)?;
    }
    if ambiguous {
        let written = tags().filter(|(_, value)| !cleaned(value, rules).is_empty());
        check_same(Element::TagKey, written.map(|(key, _)| key), rules)?;
    }
    Ok(())
}

fn merged<'a>(
    point: &'a Point,
    default_tags: &'a [(String, String)],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let defaults = default_tags
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()));
    Merged {
        own: point.tags().peekable(),
        defaults: defaults.peekable(),
    }
}

/// The tags of a point and the default ones, in the order of their keys; the point's own win.
struct Merged<'a, P: Iterator<Item = (&'a str, &'a str)>, D: Iterator<Item = (&'a str, &'a str)>> {
    own: Peekable<P>,
    defaults: Peekable<D>,
}

impl<'a, P: Iterator<Item = (&'a str, &'a str)>, D: Iterator<Item = (&'a str, &'a str)>> Iterator
    for Merged<'a, P, D>
{
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (Some((own, _)), Some((default, _))) = (self.own.peek(), self.defaults.peek()) else {
            return self.own.next().or_else(|| self.defaults.next());
        };
        match own.cmp(default) {
            Ordering::Less => self.own.next(),
            Ordering::Equal => {
                self.defaults.next();
                self.own.next()
            }
            Ordering::Greater => self.defaults.next(),
        }
    }
}

fn push_fields(line: &mut String, point: &Point, rules: &Rules) -> Result<(), PointError> {
    let series_bytes = line.len();
    let mut ambiguous = false;
    let mut separator = ' ';
    for (key, value) in point.fields() {
        if is_left_out(value, rules) {
            continue;
        }
        let written_key = cleaned(key, rules);
        if written_key.is_empty() {
            return Err(PointError::EmptyFieldKey);
        }
        if written_key == "time" {
            return Err(PointError::ReservedTime {
                element: Element::FieldKey,
            });
        }
        check_name(Element::FieldKey, &written_key, rules)?;
        line.push(separator);
        separator = ',';
        let start = line.len();
        ambiguous |= push_name(line, Element::FieldKey, &written_key, rules)?;
        ambiguous |= matches!(written_key, Cow::Owned(_));
        check_series_key(series_bytes, line.len() - start, rules)?;
        line.push('=');
        push_value(line, key, value, rules)?;
    }
    if separator == ' ' {
        return Err(PointError::NoFields);
    }
    if ambiguous {
        let written = point.fields().filter(|(_, value)| !is_left_out(value, rules));
        check_same(Element::FieldKey, written.map(|(key, _)| key), rules)?;
    }
    Ok(())
}

fn is_left_out(value: &FieldValue, rules: &Rules) -> bool {
    matches!(value, FieldValue::Float(float) if !float.is_finite()) && rules.non_finite == NonFinite::LeaveOut
}

/// Looks for two keys that are written alike; asked only where a key is ambiguous.
fn check_same<'a>(
    element: Element,
    keys: impl Iterator<Item = &'a str>,
    rules: &Rules,
) -> Result<(), PointError> {
    let mut seen = HashSet::new();
    for key in keys {
        let mut written = String::new();
        push_name(&mut written, element, &cleaned(key, rules), rules)?;
        if !written.is_empty() && !seen.insert(written.clone()) {
            return Err(PointError::SameKeys { element, written });
        }
    }
    Ok(())
}

/// What only one dialect can't read. InfluxDB 3 has columns, and bounds the name of each; the others bound the series.
fn check_name(element: Element, name: &str, rules: &Rules) -> Result<(), PointError> {
    const LONGEST_NAME: usize = 65_536;
    match rules.dialect {
        Dialect::Influx3 if name.len() > LONGEST_NAME => Err(PointError::NameTooLong {
            element,
            bytes: name.len(),
            most: LONGEST_NAME,
        }),
        Dialect::VictoriaMetrics if element == Element::FieldKey && name.contains('"') => {
            Err(PointError::QuoteInFieldKey {
                field: name.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// The server keeps each field under the series, four bytes and the field's key, and limits that to 65,535 bytes; here the
/// escapes in the field's key are counted too.
fn check_series_key(series_bytes: usize, field_key_bytes: usize, rules: &Rules) -> Result<(), PointError> {
    let bytes = series_bytes + 4 + field_key_bytes;
    match rules.dialect {
        Dialect::Influx1 | Dialect::Influx2 if bytes > PointError::LONGEST_SERIES_KEY => {
            Err(PointError::SeriesKeyTooLong { bytes })
        }
        _ => Ok(()),
    }
}

fn push_value(line: &mut String, key: &str, value: &FieldValue, rules: &Rules) -> Result<(), PointError> {
    match value {
        FieldValue::Float(float) if float.is_finite() => {
            line.push_str(zmij::Buffer::new().format_finite(*float));
        }
        FieldValue::Float(float) => {
            return Err(PointError::NotFinite {
                field: key.to_owned(),
                value: *float,
            });
        }
        FieldValue::Integer(integer) => push_integer(line, *integer),
        FieldValue::Unsigned(integer) => return push_unsigned(line, key, *integer, rules),
        FieldValue::Boolean(true) => line.push_str("true"),
        FieldValue::Boolean(false) => line.push_str("false"),
        FieldValue::String(text) => return push_text(line, key, text, rules),
    }
    Ok(())
}

fn push_integer(line: &mut String, integer: i64) {
    line.push_str(itoa::Buffer::new().format(integer));
    line.push('i');
}

fn push_unsigned(line: &mut String, key: &str, integer: u64, rules: &Rules) -> Result<(), PointError> {
    if rules.dialect.has_unsigned() {
        line.push_str(itoa::Buffer::new().format(integer));
        line.push('u');
        return Ok(());
    }
    match (i64::try_from(integer), rules.large_unsigned) {
        (Ok(integer), _) => push_integer(line, integer),
        (Err(_), LargeUnsigned::Clamp) => push_integer(line, i64::MAX),
        (Err(_), LargeUnsigned::Refuse) => {
            return Err(PointError::UnsignedTooLarge {
                field: key.to_owned(),
                value: integer,
            });
        }
    }
    Ok(())
}

/// Line breaks stay raw: inside the quotes the servers take them for text, but for those that can't.
fn push_text(line: &mut String, key: &str, text: &str, rules: &Rules) -> Result<(), PointError> {
    let most = rules.dialect.longest_text();
    if text.len() > most {
        return Err(PointError::TextTooLong {
            field: key.to_owned(),
            bytes: text.len(),
            most,
        });
    }
    if !rules.dialect.has_breaks_in_texts() && text.contains(['\n', '\r']) {
        return Err(PointError::LineBreakInText {
            field: key.to_owned(),
        });
    }
    line.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if matches!(byte, b'"' | b'\\') {
            line.push_str(&text[written..at]);
            line.push('\\');
            written = at;
        }
    }
    line.push_str(&text[written..]);
    line.push('"');
    Ok(())
}

fn push_timestamp(line: &mut String, nanoseconds: i128) -> Result<(), PointError> {
    if !NANOSECONDS.contains(&nanoseconds) {
        return Err(PointError::TimestampOutOfRange { nanoseconds });
    }
    line.push(' ');
    line.push_str(itoa::Buffer::new().format(nanoseconds as i64));
    Ok(())
}
