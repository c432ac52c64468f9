//! The dialects of the line protocol: what each family of servers reads in its own way.

use crate::point::moment::EARLIEST;
use crate::point::point_error::Element;

/// What VictoriaMetrics calls the name of a series among its labels.
pub(crate) const SERIES_NAME: &str = "__name__";

/// A family of servers that read the line protocol in the same way.
///
/// A target has the right one; you only choose one for an [`Encoder`](crate::Encoder) of your own.
///
/// | | a backslash before a separator | `u64` | bounds |
/// |---|---|---|---|
/// | `Influx1` | stays single | written as `i64` | names and tags 65,535 bytes together |
/// | `Influx2` | stays single | written with `u` | the same, and a text of 1,048,576 bytes |
/// | `Influx3` | is doubled | written with `u` | a name or a text of 65,536 bytes |
/// | `VictoriaMetrics` | is doubled | written with `u` | a line of 262,144 bytes; no line breaks in texts, no quotes in field keys, no tag `__name__`; moments from 1970 on |
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Point};
///
/// let point = Point::new("m").tag("path", r"C:\,D:").field("n", 1_u64).timestamp_ns(7);
/// let line = |dialect| Encoder::new(dialect).encode(&point);
/// assert_eq!(line(Dialect::Influx1)?.as_str(), r"m,path=C:\\,D: n=1i 7");
/// assert_eq!(line(Dialect::Influx3)?.as_str(), r"m,path=C:\\\,D: n=1u 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// InfluxDB 1, as observed on 1.6.7.
    Influx1,
    /// InfluxDB 2, whose parser is that of version 1 with unsigned integers.
    Influx2,
    /// InfluxDB 3 and the cloud services built on it.
    Influx3,
    /// VictoriaMetrics, which takes the requests of version 1 and keeps milliseconds.
    ///
    /// Start it with `-dedup.minScrapeInterval=1ms`. Otherwise it keeps a line that is sent again beside the first one.
    VictoriaMetrics,
}

impl Dialect {
    /// Whether the server takes `\\` in a name for one backslash.
    pub(crate) fn doubles_backslashes(self) -> bool {
        match self {
            Self::Influx1 | Self::Influx2 => false,
            Self::Influx3 | Self::VictoriaMetrics => true,
        }
    }

    pub(crate) fn has_unsigned(self) -> bool {
        match self {
            Self::Influx1 => false,
            Self::Influx2 | Self::Influx3 | Self::VictoriaMetrics => true,
        }
    }

    /// VictoriaMetrics ends the line at the break and loses both halves.
    pub(crate) fn has_breaks_in_texts(self) -> bool {
        match self {
            Self::Influx1 | Self::Influx2 | Self::Influx3 => true,
            Self::VictoriaMetrics => false,
        }
    }

    /// The first moment that may be written, in nanoseconds since 1970. VictoriaMetrics takes zero for now, has nothing before it, and
    /// counts in milliseconds.
    pub(crate) fn earliest(self) -> i64 {
        match self {
            Self::Influx1 | Self::Influx2 | Self::Influx3 => EARLIEST,
            Self::VictoriaMetrics => 1_000_000,
        }
    }

    /// How far apart moments are that the server tells from each other, in nanoseconds.
    pub(crate) fn tick(self) -> i64 {
        match self {
            Self::Influx1 | Self::Influx2 | Self::Influx3 => 1,
            Self::VictoriaMetrics => 1_000_000,
        }
    }

    /// The first moment that is read in nanoseconds where nothing says their unit, as in a datagram. VictoriaMetrics takes smaller
    /// numbers for other units.
    pub(crate) fn earliest_without_unit(self) -> i64 {
        match self {
            Self::Influx1 | Self::Influx2 | Self::Influx3 => EARLIEST,
            Self::VictoriaMetrics => 100_000_000_000_000_000,
        }
    }

    /// Whether the tag `key` would replace the name of the series.
    pub(crate) fn renames_series(self, key: &str) -> bool {
        self == Self::VictoriaMetrics && key == SERIES_NAME
    }

    /// The most bytes of a name, where the server has a bound of its own. InfluxDB 3 has columns, and bounds the name of each; the others
    /// bound the series. VictoriaMetrics cuts the keys of tags, and stores two that begin alike as one.
    pub(crate) fn longest_name(self, element: Element) -> usize {
        match (self, element) {
            (Self::Influx3, _) => 65_536,
            (Self::VictoriaMetrics, Element::TagKey) => 256,
            _ => usize::MAX,
        }
    }

    /// The most bytes of a text, where the server has a bound of its own.
    pub(crate) fn longest_text(self) -> usize {
        match self {
            Self::Influx1 | Self::VictoriaMetrics => usize::MAX,
            Self::Influx2 => 1_048_576,
            Self::Influx3 => 65_536,
        }
    }

    /// The most bytes of a line, where the server has a bound of its own.
    pub(crate) fn longest_line(self) -> usize {
        match self {
            Self::Influx1 | Self::Influx2 | Self::Influx3 => usize::MAX,
            Self::VictoriaMetrics => 262_144,
        }
    }
}
