//! The value of a field, and what it is made from.

use std::borrow::Cow;

/// The value of a field.
///
/// InfluxDB 1 has no unsigned integers: there, an unsigned one is written as a signed one, or refused if it is too large.
///
/// # Examples
///
/// ```
/// use buffer_influx::FieldValue;
///
/// assert_eq!(FieldValue::from(1.5), FieldValue::Float(1.5));
/// assert_eq!(FieldValue::from(7_u32), FieldValue::Integer(7));
/// assert_eq!(FieldValue::from("seven"), FieldValue::String("seven".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// A 64-bit float; it must be finite.
    Float(f64),
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit integer without a sign.
    Unsigned(u64),
    /// A truth value.
    Boolean(bool),
    /// A text, line breaks included.
    String(String),
}

/// The value of a field whose text is borrowed: what a [`LineBuilder`](crate::LineBuilder) takes.
///
/// # Examples
///
/// ```
/// use buffer_influx::{FieldValue, FieldValueRef};
///
/// assert_eq!(FieldValueRef::from(7_u32), FieldValueRef::Integer(7));
/// assert_eq!(FieldValueRef::from("seven"), FieldValueRef::String("seven"));
/// assert_eq!(FieldValueRef::from(&FieldValue::Float(0.5)), FieldValueRef::Float(0.5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FieldValueRef<'a> {
    /// A 64-bit float; it must be finite.
    Float(f64),
    /// A 64-bit integer.
    Integer(i64),
    /// A 64-bit integer without a sign.
    Unsigned(u64),
    /// A truth value.
    Boolean(bool),
    /// A text, line breaks included.
    String(&'a str),
}

macro_rules! value_from {
    ($value:ty: $($variant:ident from $($source:ty),+;)+) => {$($(
        impl<'a> From<$source> for $value {
            #[inline]
            fn from(value: $source) -> Self {
                Self::$variant(value.into())
            }
        }
    )+)+};
}

value_from! {
    FieldValue:
    Float from f32, f64;
    Integer from i8, i16, i32, i64, u8, u16, u32;
    Unsigned from u64;
    Boolean from bool;
    String from &'a str, &'a String, String, Box<str>, Cow<'a, str>, char;
}

value_from! {
    FieldValueRef<'a>:
    Float from f32, f64;
    Integer from i8, i16, i32, i64, u8, u16, u32;
    Unsigned from u64;
    Boolean from bool;
    String from &'a str;
}

/// Their size depends on the target, so no conversion of the standard library makes 64 bits of them. None has more.
macro_rules! value_from_lengths {
    ($($value:ty),+) => {$(
        impl From<usize> for $value {
            #[inline]
            fn from(value: usize) -> Self {
                Self::Unsigned(value as u64)
            }
        }

        impl From<isize> for $value {
            #[inline]
            fn from(value: isize) -> Self {
                Self::Integer(value as i64)
            }
        }
    )+};
}

value_from_lengths!(FieldValue, FieldValueRef<'_>);

impl<'a> From<&'a String> for FieldValueRef<'a> {
    #[inline]
    fn from(text: &'a String) -> Self {
        Self::String(text)
    }
}

impl<'a> From<&'a FieldValue> for FieldValueRef<'a> {
    #[inline]
    fn from(value: &'a FieldValue) -> Self {
        match value {
            FieldValue::Float(float) => Self::Float(*float),
            FieldValue::Integer(integer) => Self::Integer(*integer),
            FieldValue::Unsigned(integer) => Self::Unsigned(*integer),
            FieldValue::Boolean(boolean) => Self::Boolean(*boolean),
            FieldValue::String(text) => Self::String(text),
        }
    }
}

impl From<FieldValueRef<'_>> for FieldValue {
    fn from(value: FieldValueRef<'_>) -> Self {
        match value {
            FieldValueRef::Float(float) => Self::Float(float),
            FieldValueRef::Integer(integer) => Self::Integer(integer),
            FieldValueRef::Unsigned(integer) => Self::Unsigned(integer),
            FieldValueRef::Boolean(boolean) => Self::Boolean(boolean),
            FieldValueRef::String(text) => Self::String(text.to_owned()),
        }
    }
}
