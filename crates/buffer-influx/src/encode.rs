//! Turns a point into its line, in the dialect of InfluxDB 1.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use crate::field_value::FieldValue;
use crate::line::Line;
use crate::name::push_name;
use crate::point::Point;
use crate::point_error::{Element, PointError};

/// The first and the last nanosecond that InfluxDB stores; it keeps the outermost values of an `i64` for itself.
const NANOSECONDS: RangeInclusive<i128> = -9_223_372_036_854_775_806..=9_223_372_036_854_775_806;

thread_local! {
    /// Where a line grows, so that the line itself is allocated once and at its exact size.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a thread keeps at most after a large point.
const SCRATCH_BYTES: usize = 64 * 1024;

impl Point {
    /// Checks the point and encodes it, stamped with the present time if it has no timestamp.
    ///
    /// # Errors
    ///
    /// A [`PointError`] that names the part which InfluxDB would refuse, misread or lose without an error, and what to do
    /// about it. The point stays with the caller.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Point, PointError};
    ///
    /// let line = Point::new("m").tag("path", "a=b c").field("n", 1).timestamp_ns(9).encode()?;
    /// assert_eq!(line.as_str(), r"m,path=a\=b\ c n=1i 9");
    ///
    /// let error = Point::new("m").tag("path", "a").encode().unwrap_err();
    /// assert_eq!(error, PointError::NoFields);
    /// # Ok::<(), PointError>(())
    /// ```
    pub fn encode(&self) -> Result<Line, PointError> {
        SCRATCH
            .try_with(|scratch| self.encode_by(&mut scratch.borrow_mut()))
            .unwrap_or_else(|_thread_ends| self.encode_by(&mut String::new()))
    }

    fn encode_by(&self, scratch: &mut String) -> Result<Line, PointError> {
        scratch.clear();
        scratch.shrink_to(SCRATCH_BYTES);
        push_series(scratch, self)?;
        push_fields(scratch, self)?;
        push_timestamp(scratch, self.moment())?;
        Ok(Line::new(scratch.as_str()))
    }
}

fn push_series(line: &mut String, point: &Point) -> Result<(), PointError> {
    let measurement = point.measurement();
    if measurement.is_empty() {
        return Err(PointError::EmptyMeasurement);
    }
    if measurement.starts_with('#') {
        return Err(PointError::CommentMeasurement {
            text: measurement.to_owned(),
        });
    }
    push_name(line, Element::Measurement, measurement)?;
    for (key, value) in point
        .tags()
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
    {
        if key == "time" {
            return Err(PointError::ReservedTime {
                element: Element::TagKey,
            });
        }
        line.push(',');
        push_name(line, Element::TagKey, key)?;
        line.push('=');
        push_name(line, Element::TagValue, value)?;
    }
    Ok(())
}

fn push_fields(line: &mut String, point: &Point) -> Result<(), PointError> {
    let series_bytes = line.len();
    let mut separator = ' ';
    for (key, value) in point.fields() {
        if key.is_empty() {
            return Err(PointError::EmptyFieldKey);
        }
        if key == "time" {
            return Err(PointError::ReservedTime {
                element: Element::FieldKey,
            });
        }
        line.push(separator);
        separator = ',';
        let key_start = line.len();
        push_name(line, Element::FieldKey, key)?;
        check_series_key(series_bytes, line.len() - key_start)?;
        line.push('=');
        push_value(line, key, value)?;
    }
    if separator == ' ' {
        return Err(PointError::NoFields);
    }
    Ok(())
}

/// The server keeps each field under the series, four bytes and the field's key, and limits that to 65,535 bytes; here the
/// escapes in the field's key are counted too.
fn check_series_key(series_bytes: usize, field_key_bytes: usize) -> Result<(), PointError> {
    let bytes = series_bytes + 4 + field_key_bytes;
    if bytes > PointError::LONGEST_SERIES_KEY {
        return Err(PointError::SeriesKeyTooLong { bytes });
    }
    Ok(())
}

fn push_value(line: &mut String, key: &str, value: &FieldValue) -> Result<(), PointError> {
    match value {
        FieldValue::Float(float) if float.is_finite() => {
            line.push_str(zmij::Buffer::new().format_finite(*float))
        }
        FieldValue::Float(float) => {
            return Err(PointError::NotFinite {
                field: key.to_owned(),
                value: *float,
            });
        }
        FieldValue::Integer(integer) => {
            line.push_str(itoa::Buffer::new().format(*integer));
            line.push('i');
        }
        FieldValue::Boolean(true) => line.push_str("true"),
        FieldValue::Boolean(false) => line.push_str("false"),
        FieldValue::String(text) => push_text(line, text),
    }
    Ok(())
}

/// Line breaks stay raw: inside the quotes the server takes them for text.
fn push_text(line: &mut String, text: &str) {
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
}

fn push_timestamp(line: &mut String, nanoseconds: i128) -> Result<(), PointError> {
    if !NANOSECONDS.contains(&nanoseconds) {
        return Err(PointError::TimestampOutOfRange { nanoseconds });
    }
    line.push(' ');
    line.push_str(itoa::Buffer::new().format(nanoseconds as i64));
    Ok(())
}
