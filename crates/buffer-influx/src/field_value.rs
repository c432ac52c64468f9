//! The value of a field, and what it is made from.

use std::borrow::Cow;

/// The value of a field.
///
/// InfluxDB 1 has no unsigned integers: there an unsigned one is written as a signed one, or refused where it is too large.
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

macro_rules! field_value_from {
    ($($variant:ident from $($source:ty),+;)+) => {$($(
        impl From<$source> for FieldValue {
            fn from(value: $source) -> Self {
                Self::$variant(value.into())
            }
        }
    )+)+};
}

field_value_from! {
    Float from f32, f64;
    Integer from i8, i16, i32, i64, u8, u16, u32;
    Unsigned from u64;
    Boolean from bool;
    String from &str, &String, String, Box<str>, Cow<'_, str>, char;
}
