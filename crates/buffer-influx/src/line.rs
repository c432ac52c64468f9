//! One point as the server reads it.

use std::fmt;

/// A checked and encoded point: one line of the line protocol, with a timestamp in nanoseconds and without the line
/// break at its end.
///
/// Only an [`Encoder`](crate::Encoder) makes one, so a line is well-formed and holds exactly one point.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Point};
///
/// let point = Point::new("cpu").field("load", 0.5).timestamp_ns(7);
/// let line = Encoder::new(Dialect::Influx1).encode(&point)?;
/// assert_eq!(line.as_str(), "cpu load=0.5 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Line(Box<[u8]>);

impl Line {
    pub(crate) fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into().into())
    }

    /// Bytes that are known to be a text, though not to the compiler: whoever asks for a `str` pays for the check.
    #[inline]
    pub(crate) fn of_bytes(text: &[u8]) -> Self {
        Self(text.into())
    }

    /// The line's text.
    pub fn as_str(&self) -> &str {
        text_of(&self.0)
    }

    /// The line's text as the bytes that are sent.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The text of a line, or of its beginning.
pub(crate) fn text_of(line: &[u8]) -> &str {
    std::str::from_utf8(line).expect("whole texts were written, with ASCII between them")
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({:?})", self.as_str())
    }
}
