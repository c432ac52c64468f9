//! Builds a line from values that are at hand, without a point between them and the text.

mod begun_line;
mod ends;
pub(crate) mod known_names;
mod line_cache;
mod pen;
pub(crate) mod piece;
mod scratch;
mod short;
mod usual;

use std::time::SystemTime;

use crate::encode::encode;
use crate::encode::rules::Rules;
use crate::line::Line;
use crate::line_builder::begun_line::BegunLine;
use crate::line_builder::known_names::Slot;
use crate::line_builder::piece::Block;
use crate::point::Point;
use crate::point::field_value::FieldValueRef;
use crate::point::moment::{nanoseconds, stored};
use crate::point::parse::parse_begun;
use crate::point::point_error::PointError;
use crate::point::precision::Precision;

/// A line that is written while it is built.
///
/// [`Encoder::line`](crate::Encoder::line) and [`SeriesKey::line`](crate::SeriesKey::line) begin one. Setters, checks, errors and the
/// line are those of a [`Point`] and its encoder, but texts are borrowed. A usual line is written at once: tags in the order of their
/// keys, then fields, no key twice, names and texts without control characters. With anything else a point takes over, at the cost of
/// a point.
///
/// A thread remembers the names of its lines: those of eight measurements at most, and for each up to 256 names of up to 256 bytes,
/// with the last value of each tag if that has up to 32 bytes. If the next line has the same name or value in the same place, and it
/// has up to 32 bytes, it is written without a check. This takes at most about a megabyte for a thread, and mostly a few kilobytes.
/// If a thread builds two lines at once, only one of them has this.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder};
///
/// let encoder = Encoder::new(Dialect::Influx1);
/// let mut line = encoder.line("cpu");
/// line.tag("host", "a");
/// for (core, load) in [("core0", 0.5), ("core1", 0.25)] {
///     line.field(core, load);
/// }
/// assert_eq!(line.timestamp_ns(7).finish()?.as_str(), "cpu,host=a core0=0.5,core1=0.25 7");
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Debug)]
#[must_use = "a line is nothing until it is finished"]
pub struct LineBuilder<'a> {
    begun: BegunLine<'a>,
    /// The series that the line began with, and its bytes.
    series: Option<(&'a Point, usize)>,
    /// Everything, once something was not usual.
    point: Option<Box<Point>>,
    /// A moment that servers store; with any other, a point takes over, too.
    timestamp: Option<i64>,
}

impl<'a> LineBuilder<'a> {
    #[inline(always)]
    pub(crate) fn new(measurement: &str, default_tags: &'a [(String, String)], rules: &'a Rules) -> Self {
        let begun = BegunLine::of_measurement(measurement, default_tags, rules);
        let point = begun.is_given_up().then(|| Point::new(measurement).into());
        Self {
            begun,
            series: None,
            point,
            timestamp: None,
        }
    }

    #[inline(always)]
    pub(crate) fn of_series(
        blocks: &[Block],
        bytes: usize,
        slot: Slot,
        point: &'a Point,
        rules: &'a Rules,
    ) -> Self {
        Self {
            begun: BegunLine::of_series(slot, blocks, bytes, rules),
            series: Some((point, bytes)),
            point: None,
            timestamp: None,
        }
    }

    /// Sets the tag `key`; setting it to the empty string leaves it out.
    pub fn tag(&mut self, key: &str, value: &str) -> &mut Self {
        if !self.begun.write_own_tag(key, value) {
            self.point = Some(self.take_point().tag(key, value).into());
        }
        self
    }

    /// Sets the field `key`.
    #[inline]
    pub fn field<'v>(&mut self, key: &str, value: impl Into<FieldValueRef<'v>>) -> &mut Self {
        let value = value.into();
        if !self.begun.write_field(key, value) {
            self.set_unusual_field(key, value);
        }
        self
    }

    /// Sets the moment of the point; without this, the line is stamped when it is finished.
    pub fn timestamp(&mut self, time: SystemTime) -> &mut Self {
        self.set_moment(nanoseconds(time))
    }

    /// Sets the moment of the point in nanoseconds since 1970; see [`timestamp`](LineBuilder::timestamp).
    #[inline]
    pub fn timestamp_ns(&mut self, nanoseconds: i64) -> &mut Self {
        self.set_moment(nanoseconds.into())
    }

    /// Sets the moment of the point as a number since 1970, in the unit `precision`; see [`timestamp`](LineBuilder::timestamp).
    pub fn timestamp_in(&mut self, precision: Precision, moment: i64) -> &mut Self {
        self.set_moment(precision.nanoseconds(moment))
    }

    /// Checks everything and makes the line.
    ///
    /// # Errors
    ///
    /// A [`PointError`], the same as [`Encoder::encode`](crate::Encoder::encode) has for this point.
    #[inline]
    pub fn finish(&mut self) -> Result<Line, PointError> {
        match self.write_timestamp() {
            Some(end) => Ok(Line::of_bytes(self.begun.up_to(end))),
            None => self.encode_point(),
        }
    }

    /// Checks everything and shows the line's bytes, without a line break: for a file, or a protocol of your own.
    ///
    /// # Errors
    ///
    /// As for [`finish`](LineBuilder::finish).
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_influx::{Dialect, Encoder};
    ///
    /// let encoder = Encoder::new(Dialect::Influx1);
    /// let mut body = Vec::new();
    /// for (host, load) in [("a", 0.5), ("b", 0.25)] {
    ///     body.extend_from_slice(encoder.line("cpu").tag("host", host).field("load", load).timestamp_ns(7).bytes()?);
    ///     body.push(b'\n');
    /// }
    /// assert_eq!(body, b"cpu,host=a load=0.5 7\ncpu,host=b load=0.25 7\n");
    /// # Ok::<(), buffer_influx::PointError>(())
    /// ```
    #[inline]
    pub fn bytes(&mut self) -> Result<&[u8], PointError> {
        if let Some(end) = self.write_timestamp() {
            return Ok(self.begun.up_to(end));
        }
        let line = self.encode_point()?;
        Ok(self.begun.replace_by(line.as_bytes()))
    }

    #[inline(always)]
    fn set_moment(&mut self, nanoseconds: i128) -> &mut Self {
        self.timestamp = stored(nanoseconds);
        if self.timestamp.is_none() {
            self.set_unusual_moment(nanoseconds);
        }
        self
    }

    #[inline]
    fn write_timestamp(&mut self) -> Option<usize> {
        let now = || stored(nanoseconds(SystemTime::now()));
        let moment = self.timestamp.or_else(now)?;
        self.begun.write_timestamp(moment)
    }

    #[cold]
    fn set_unusual_moment(&mut self, nanoseconds: i128) {
        self.point = Some(self.take_point().at(nanoseconds).into());
    }

    #[cold]
    fn set_unusual_field(&mut self, key: &str, value: FieldValueRef<'_>) {
        self.point = Some(self.take_point().field(key, value).into());
    }

    #[cold]
    fn encode_point(&mut self) -> Result<Line, PointError> {
        let mut point = self.take_point();
        if let Some(timestamp) = self.timestamp {
            point = point.timestamp_ns(timestamp);
        }
        let (default_tags, rules) = self.begun.settings();
        encode(self.point.insert(point.into()), default_tags, rules)
    }

    /// The point of what is set so far.
    #[cold]
    fn take_point(&mut self) -> Point {
        let begun = self.begun.give_up();
        match self.point.take() {
            Some(point) => *point,
            None => parse_begun(self.series, begun).expect("what was written reads back"),
        }
    }
}
