//! Writes what is usual, as fast as it can, and leaves everything else to others.
//!
//! Usual is what all dialects and rules write alike and what reads back as it was: names without control characters and backslashes,
//! finite floats, integers that every server holds. If something is not usual, what was written of it does not count.

use crate::encode::byte_class::{find_unusual, has, places_of};
use crate::encode::dialect::Dialect;
use crate::line_builder::ends::word_of;
use crate::line_builder::pen::Pen;
use crate::line_builder::scratch::Scratch;
use crate::point::field_value::FieldValueRef;
use crate::point::point_error::Element;

/// Writes `name`, escaped as an `element`, and says whether it was usual.
#[inline(always)]
pub(crate) fn write_name(pen: &mut Pen<'_>, element: Element, name: &str) -> bool {
    pen.plain_name(name.as_bytes()) || pen.apart(|room, at| write_escaped(room, at, element, name))
}

#[inline(never)]
fn write_escaped(room: &mut [u8], at: usize, element: Element, name: &str) -> Option<usize> {
    // VictoriaMetrics loses a point that has a quote in the key of a field.
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

/// Writes a field, and says where it ends; none if something is not usual. `write_key` writes everything before the value.
///
/// The digits of a number are made before the key is written, and copied behind it: a processor waits when it reads as a whole what
/// was just stored in parts.
#[inline(always)]
pub(crate) fn write_field(
    scratch: &mut Scratch,
    write_key: impl FnOnce(&mut Scratch) -> Option<usize>,
    value: FieldValueRef<'_>,
    dialect: Dialect,
) -> Option<usize> {
    match value {
        FieldValueRef::Float(float) => {
            if !float.is_finite() {
                return None;
            }
            let mut buffer = zmij::Buffer::new();
            let digits = buffer.format_finite(float).as_bytes();
            let at = write_key(scratch)?;
            let mut pen = scratch.pen(at, 0);
            pen.float_digits(digits);
            Some(pen.at())
        }
        FieldValueRef::Integer(integer) => write_integer(scratch, write_key, integer, b'i'),
        FieldValueRef::Unsigned(integer) if dialect.has_unsigned() => {
            write_integer(scratch, write_key, integer, b'u')
        }
        FieldValueRef::Unsigned(integer) => {
            let integer = i64::try_from(integer).ok()?;
            write_integer(scratch, write_key, integer, b'i')
        }
        FieldValueRef::Boolean(boolean) => {
            let at = write_key(scratch)?;
            let mut pen = scratch.pen(at, 0);
            pen.boolean(boolean);
            Some(pen.at())
        }
        FieldValueRef::String(string) => {
            let at = write_key(scratch)?;
            write_string(scratch.pen(at, string.len()), string, dialect)
        }
    }
}

#[inline(always)]
fn write_integer(
    scratch: &mut Scratch,
    write_key: impl FnOnce(&mut Scratch) -> Option<usize>,
    integer: impl itoa::Integer,
    type_suffix: u8,
) -> Option<usize> {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(integer).as_bytes();
    let at = write_key(scratch)?;
    let mut pen = scratch.pen(at, 0);
    pen.bytes(digits);
    pen.byte(type_suffix);
    Some(pen.at())
}

/// A longer text is not looked through before it is written: it is likely to have something to escape.
const SHORT: usize = 32;

#[inline(always)]
fn write_string(mut pen: Pen<'_>, string: &str, dialect: Dialect) -> Option<usize> {
    pen.byte(b'"');
    let is_plain = string.len() <= SHORT && pen.plain_text(string.as_bytes());
    if !is_plain && !pen.apart(|room, at| write_escaped_string(room, at, string, dialect)) {
        return None;
    }
    pen.byte(b'"');
    Some(pen.at())
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
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(nanoseconds).as_bytes();
    match digits.as_array::<19>() {
        // From 2001 on.
        Some(digits) => pen.array(*digits),
        None => pen.bytes(digits),
    }
}
