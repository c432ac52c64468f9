//! What an encoder does with values that the line protocol has no good form for.

use crate::encode::dialect::Dialect;

/// What becomes of a float that is not a number or infinite.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, NonFinite, Point};
///
/// let encoder = Encoder::new(Dialect::Influx1).non_finite(NonFinite::LeaveOut);
/// let point = Point::new("m").field("a", f64::NAN).field("b", 1).timestamp_ns(7);
/// assert_eq!(encoder.encode(&point)?.as_str(), "m b=1i 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonFinite {
    /// The point is refused.
    #[default]
    Refuse,
    /// The field is left out; a point that has only such fields is refused.
    LeaveOut,
}

/// What becomes of control characters in names and tags.
///
/// # Examples
///
/// ```
/// use buffer_influx::{ControlCharacters, Dialect, Encoder, Point};
///
/// let encoder = Encoder::new(Dialect::Influx1);
/// let point = Point::new("two\nlines").field("v", 1).timestamp_ns(7);
/// assert_eq!(encoder.encode(&point)?.as_str(), r"two\nlines v=1i 7");
///
/// let encoder = encoder.control_characters(ControlCharacters::Remove);
/// assert_eq!(encoder.encode(&point)?.as_str(), "twolines v=1i 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlCharacters {
    /// Line breaks and tabs become `\n`, `\r` and `\t`, two characters each; with any other the point is refused.
    #[default]
    Escape,
    /// They are left out.
    Remove,
    /// The point is refused.
    Refuse,
}

/// What becomes of backslashes at the end of a name or a tag, which no server can read.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Point, TrailingBackslash};
///
/// let encoder = Encoder::new(Dialect::Influx1).trailing_backslash(TrailingBackslash::Trim);
/// let point = Point::new("m").tag("drive", r"C:\").field("v", 1).timestamp_ns(7);
/// assert_eq!(encoder.encode(&point)?.as_str(), "m,drive=C: v=1i 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrailingBackslash {
    /// The point is refused.
    #[default]
    Refuse,
    /// They are left out.
    Trim,
}

/// What becomes of a `u64` above `i64::MAX` on a server without unsigned integers.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, LargeUnsigned, Point};
///
/// let encoder = Encoder::new(Dialect::Influx1).large_unsigned(LargeUnsigned::Clamp);
/// let point = Point::new("m").field("v", u64::MAX).timestamp_ns(7);
/// assert_eq!(encoder.encode(&point)?.as_str(), "m v=9223372036854775807i 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LargeUnsigned {
    /// The point is refused.
    #[default]
    Refuse,
    /// It becomes `i64::MAX`.
    Clamp,
}

/// All rules of one encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) dialect: Dialect,
    pub(crate) non_finite: NonFinite,
    pub(crate) control_characters: ControlCharacters,
    pub(crate) trailing_backslash: TrailingBackslash,
    pub(crate) large_unsigned: LargeUnsigned,
    pub(crate) longest_line: usize,
    /// In nanoseconds since 1970.
    pub(crate) earliest: i64,
}

impl Rules {
    /// By default no meaning is changed, so what has no form is refused.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            non_finite: NonFinite::default(),
            control_characters: ControlCharacters::default(),
            trailing_backslash: TrailingBackslash::default(),
            large_unsigned: LargeUnsigned::default(),
            longest_line: dialect.longest_line(),
            earliest: dialect.earliest(),
        }
    }
}
