//! Writes the fields of a point.

use std::borrow::Cow;

use crate::encode::dialect::Dialect;
use crate::encode::keys::{check_name, check_same};
use crate::encode::name::{cleaned, push_name};
use crate::encode::rules::{LargeUnsigned, NonFinite, Rules};
use crate::point::Point;
use crate::point::field_value::FieldValue;
use crate::point::point_error::{Element, PointError};

/// Appends the fields of `point` to `line`, which already has its series.
pub(crate) fn push_fields(line: &mut String, point: &Point, rules: &Rules) -> Result<(), PointError> {
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

/// The server stores each field under the series, four bytes and the field's key, and limits these to 65,535 bytes together; here the
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

/// Line breaks stay raw: inside quotes, servers take them for text, except for those that can't.
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
