//! The encoder: turns points into lines in the dialect of one server.

use crate::encode::dialect::Dialect;
use crate::encode::encode;
use crate::encode::rules::{ControlCharacters, LargeUnsigned, NonFinite, Rules, TrailingBackslash};
use crate::line::Line;
use crate::line_builder::LineBuilder;
use crate::point::Point;
use crate::point::point_error::PointError;
use crate::series_key::SeriesKey;

/// Turns points into lines in the dialect of one server; [`Client::encoder`](crate::Client::encoder) has the right one.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, NonFinite, Point, PointError};
///
/// let encoder = Encoder::new(Dialect::Influx2).default_tag("host", "a").non_finite(NonFinite::LeaveOut);
/// let point = Point::new("m").tag("path", "a=b c").field("n", 1_u64).field("x", f64::NAN).timestamp_ns(9);
/// assert_eq!(encoder.encode(&point)?.as_str(), r"m,host=a,path=a\=b\ c n=1u 9");
///
/// let error = encoder.encode(&Point::new("m").field("x", f64::NAN)).unwrap_err();
/// assert_eq!(error, PointError::NoFields);
/// # Ok::<(), PointError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    rules: Rules,
    /// Sorted by key, no key twice.
    default_tags: Vec<(String, String)>,
}

impl Encoder {
    /// An encoder for `dialect` that never changes a meaning: what has no form in the line protocol is refused.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            rules: Rules::new(dialect),
            default_tags: Vec::new(),
        }
    }

    /// Adds a tag to every point that does not set it itself; a point that sets it to the empty string goes without.
    #[must_use]
    pub fn default_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        match self.default_tags.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(index) => self.default_tags[index].1 = value,
            Err(index) => self.default_tags.insert(index, (key, value)),
        }
        self
    }

    /// What becomes of a float that is not a number or infinite. Default: [`NonFinite::Refuse`].
    #[must_use]
    pub fn non_finite(mut self, rule: NonFinite) -> Self {
        self.rules.non_finite = rule;
        self
    }

    /// What becomes of control characters in names and tags. Default: [`ControlCharacters::Escape`].
    #[must_use]
    pub fn control_characters(mut self, rule: ControlCharacters) -> Self {
        self.rules.control_characters = rule;
        self
    }

    /// What becomes of backslashes at the end of a name or a tag. Default: [`TrailingBackslash::Refuse`].
    #[must_use]
    pub fn trailing_backslash(mut self, rule: TrailingBackslash) -> Self {
        self.rules.trailing_backslash = rule;
        self
    }

    /// What becomes of a `u64` above `i64::MAX` on a server without unsigned integers. Default: [`LargeUnsigned::Refuse`].
    #[must_use]
    pub fn large_unsigned(mut self, rule: LargeUnsigned) -> Self {
        self.rules.large_unsigned = rule;
        self
    }

    /// The most bytes of a line. Default: what the dialect's servers take. It can only be lowered.
    #[must_use]
    pub fn longest_line(mut self, bytes: usize) -> Self {
        self.rules.longest_line = self.rules.longest_line.min(bytes);
        self
    }

    /// For lines whose unit of time is not named beside them, as in a datagram.
    pub(crate) fn without_unit(mut self) -> Self {
        self.rules.earliest = self.rules.dialect.earliest_without_unit();
        self
    }

    /// The dialect.
    pub fn dialect(&self) -> Dialect {
        self.rules.dialect
    }

    /// The tags of every point that does not set them itself.
    #[cfg(feature = "recorder")]
    pub(crate) fn default_tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.default_tags
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Checks `point` and encodes it, stamped with the current time if it has no timestamp.
    ///
    /// # Errors
    ///
    /// A [`PointError`] that names the part which the server would refuse, misread or lose without an error, and says what to do
    /// about it.
    pub fn encode(&self, point: &Point) -> Result<Line, PointError> {
        encode(point, &self.default_tags, &self.rules)
    }

    /// Begins a line that is built from plain values: the fast way to text, without a [`Point`] in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Dialect, Encoder};
    ///
    /// let encoder = Encoder::new(Dialect::Influx2).default_tag("host", "a");
    /// let line = encoder.line("cpu").tag("core", "0").field("load", 0.5).timestamp_ns(7).finish()?;
    /// assert_eq!(line.as_str(), "cpu,core=0,host=a load=0.5 7");
    /// # Ok::<(), buffer_influx::PointError>(())
    /// ```
    #[inline]
    pub fn line<'a>(&'a self, measurement: &str) -> LineBuilder<'a> {
        LineBuilder::new(measurement, &self.default_tags, &self.rules)
    }

    /// Checks a measurement with its tags and encodes them once, for any number of lines.
    ///
    /// # Errors
    ///
    /// As for [`encode`](Encoder::encode).
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Dialect, Encoder};
    ///
    /// let encoder = Encoder::new(Dialect::Influx1);
    /// let load = encoder.series("load", [("host", "a b"), ("core", "0")])?;
    /// assert_eq!(load.line().field("v", 0.5).timestamp_ns(7).finish()?.as_str(), r"load,core=0,host=a\ b v=0.5 7");
    /// # Ok::<(), buffer_influx::PointError>(())
    /// ```
    pub fn series<'t>(
        &self,
        measurement: &str,
        tags: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<SeriesKey, PointError> {
        let mut point = Point::new(measurement);
        for (key, value) in &self.default_tags {
            point = point.tag(key, value);
        }
        let point = tags
            .into_iter()
            .fold(point, |point, (key, value)| point.tag(key, value));
        SeriesKey::new(point, self.rules)
    }
}
