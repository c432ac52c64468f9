//! Writes what is usual, as fast as it can, and leaves everything else to others.
//!
//! Usual is what all dialects and rules write alike and what reads back as it was: names without control characters and
//! backslashes, finite floats, integers that every server holds. Where something is not, what was written of it does not count.

use crate::byte_class::{find_unusual, has, places_of};
use crate::dialect::Dialect;
use crate::ends::word_of;
use crate::field_value::FieldValueRef;
use crate::pen::Pen;
use crate::point_error::Element;

/// Writes `name`, escaped as an `element`, and says whether it was usual.
#[inline(always)]
pub(crate) fn write_name(pen: &mut Pen<'_>, element: Element, name: &str) -> bool {
    pen.plain_name(name.as_bytes()) || pen.apart(|room, at| write_escaped(room, at, element, name))
}

#[inline(never)]
fn write_escaped(room: &mut [u8], at: usize, element: Element, name: &str) -> Option<usize> {
    // VictoriaMetrics loses a point with a quote in the key of a field.
    let has_quote = |word| element == Element::FieldKey && has(word, b'"');
    let (words, rest) = name.as_bytes().as_chunks::<8>();
    let is_usual = |word| find_unusual(word) == 0 && !has_quote(word);
    let rest = filled_up(word_of(rest), rest.len());
    if name.is_empty() || !words.iter().all(|word| is_usual(u64::from_le_bytes(*word))) || !is_usual(rest) {
        return None;
    }
    let mut pen = Pen::new(room, at);
    pen.escaped(name.as_bytes(), |word| {
        let in_all = places_of(word, b',') | places_of(word, b' ');
        match element {
            Element::Measurement => in_all,
            Element::TagKey | Element::TagValue | Element::FieldKey => in_all | places_of(word, b'='),
        }
    });
    Some(pen.at())
}

/// A word of `length` bytes, and letters behind them.
fn filled_up(word: u64, length: usize) -> u64 {
    word | u64::from_le_bytes([b'x'; 8]) << (8 * length)
}

/// Writes the value of a field, and says whether it was usual.
#[inline(always)]
pub(crate) fn write_value(pen: &mut Pen<'_>, value: FieldValueRef<'_>, dialect: Dialect) -> bool {
    match value {
        FieldValueRef::Float(float) => {
            if float.is_finite() {
                pen.float_digits(zmij::Buffer::new().format_finite(float).as_bytes());
            }
            return float.is_finite();
        }
        FieldValueRef::Integer(integer) => write_integer(pen, integer),
        FieldValueRef::Unsigned(integer) => return write_unsigned(pen, integer, dialect),
        FieldValueRef::Boolean(boolean) => pen.boolean(boolean),
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

/// What is longer is not looked through before it is written: it is likely to have something to escape.
const SHORT: usize = 32;

#[inline(always)]
fn write_string(pen: &mut Pen<'_>, string: &str, dialect: Dialect) -> bool {
    pen.byte(b'"');
    let is_plain = string.len() <= SHORT && pen.plain_text(string.as_bytes());
    if !is_plain && !pen.apart(|room, at| write_escaped_string(room, at, string, dialect)) {
        return false;
    }
    pen.byte(b'"');
    true
}

#[inline(never)]
fn write_escaped_string(room: &mut [u8], at: usize, string: &str, dialect: Dialect) -> Option<usize> {
    if !dialect.has_breaks_in_texts() && string.contains(['\n', '\r']) {
        return None;
    }
    let mut pen = Pen::new(room, at);
    pen.escaped(string.as_bytes(), |word| {
        places_of(word, b'"') | places_of(word, b'\\')
    });
    Some(pen.at())
}

/// Writes a moment behind the fields.
#[inline(always)]
pub(crate) fn write_timestamp(pen: &mut Pen<'_>, nanoseconds: i64) {
    pen.byte(b' ');
    pen.bytes(itoa::Buffer::new().format(nanoseconds).as_bytes());
}
