//! Writes what is usual, as fast as it can, and leaves everything else to others.
//!
//! Usual is what all dialects and rules write alike and what reads back as it was: names without control characters and
//! backslashes, finite floats, integers that every server holds. Where something is not, what was written of it does not count.

use crate::dialect::Dialect;
use crate::field_value::FieldValueRef;
use crate::pen::Pen;
use crate::point_error::Element;

/// Writes `name`, escaped as an `element`, and says whether it was usual.
#[inline(always)]
pub(crate) fn write_name(pen: &mut Pen<'_>, element: Element, name: &str) -> bool {
    pen.plain_name(name.as_bytes()) || write_escaped(pen, element, name)
}

#[inline(never)]
fn write_escaped(pen: &mut Pen<'_>, element: Element, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    for byte in name.bytes() {
        match byte {
            b',' | b' ' => pen.byte(b'\\'),
            b'=' if element != Element::Measurement => pen.byte(b'\\'),
            b'\\' | 0..0x20 | 0x7f => return false,
            // VictoriaMetrics loses the point.
            b'"' if element == Element::FieldKey => return false,
            _ => {}
        }
        pen.byte(byte);
    }
    true
}

/// Writes the value of a field, and says whether it was usual.
#[inline(always)]
pub(crate) fn write_value(pen: &mut Pen<'_>, value: FieldValueRef<'_>, dialect: Dialect) -> bool {
    match value {
        FieldValueRef::Float(float) => {
            if float.is_finite() {
                pen.bytes(zmij::Buffer::new().format_finite(float).as_bytes());
            }
            return float.is_finite();
        }
        FieldValueRef::Integer(integer) => write_integer(pen, integer),
        FieldValueRef::Unsigned(integer) => return write_unsigned(pen, integer, dialect),
        FieldValueRef::Boolean(true) => pen.bytes(b"true"),
        FieldValueRef::Boolean(false) => pen.bytes(b"false"),
        FieldValueRef::String(string) => return write_string(pen, string, dialect),
    }
    true
}

#[inline(always)]
fn write_integer(pen: &mut Pen<'_>, integer: i64) {
    pen.bytes(itoa::Buffer::new().format(integer).as_bytes());
    pen.byte(b'i');
}

fn write_unsigned(pen: &mut Pen<'_>, integer: u64, dialect: Dialect) -> bool {
    if dialect.has_unsigned() {
        pen.bytes(itoa::Buffer::new().format(integer).as_bytes());
        pen.byte(b'u');
        return true;
    }
    i64::try_from(integer)
        .map(|integer| write_integer(pen, integer))
        .is_ok()
}

#[inline(always)]
fn write_string(pen: &mut Pen<'_>, string: &str, dialect: Dialect) -> bool {
    pen.byte(b'"');
    if !pen.plain_text(string.as_bytes()) && !write_escaped_string(pen, string, dialect) {
        return false;
    }
    pen.byte(b'"');
    true
}

#[inline(never)]
fn write_escaped_string(pen: &mut Pen<'_>, string: &str, dialect: Dialect) -> bool {
    for byte in string.bytes() {
        match byte {
            b'"' | b'\\' => pen.byte(b'\\'),
            b'\n' | b'\r' if !dialect.has_breaks_in_texts() => return false,
            _ => {}
        }
        pen.byte(byte);
    }
    true
}

/// Writes a moment behind the fields.
#[inline(always)]
pub(crate) fn write_timestamp(pen: &mut Pen<'_>, nanoseconds: i64) {
    pen.byte(b' ');
    pen.bytes(itoa::Buffer::new().format(nanoseconds).as_bytes());
}
