//! The units in which a program may give a moment.

/// The unit of a timestamp that a program gives as a number.
///
/// Only what goes into a [`Point`](crate::Point) has a unit to choose. Lines always carry nanoseconds, because a coarser unit would
/// make points of one series overwrite each other; each target tells its server so in that server's own word.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Point, Precision};
///
/// let point = Point::new("m").field("v", 1).timestamp_in(Precision::Seconds, 1_700_000_000);
/// let line = Encoder::new(Dialect::Influx1).encode(&point)?;
/// assert_eq!(line.as_str(), "m v=1i 1700000000000000000");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    // Complete: no server has another unit below a minute.
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
    /// Microseconds since 1970.
    Microseconds,
    /// Nanoseconds since 1970.
    Nanoseconds,
}

impl Precision {
    /// Wider than any server's moments, so that the encoder sees what does not fit.
    pub(crate) fn nanoseconds(self, moment: i64) -> i128 {
        let scale: i128 = match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        };
        i128::from(moment) * scale
    }
}
