//! Builds a line from values that are at hand, without a point between them and the text.

use std::time::SystemTime;

use crate::begun_line::BegunLine;
use crate::encode::encode;
use crate::field_value::FieldValueRef;
use crate::known_names::{KnownNames, Slot};
use crate::line::Line;
use crate::moment::nanoseconds;
use crate::parse::parse_begun;
use crate::pen::Block;
use crate::point::Point;
use crate::point_error::PointError;
use crate::precision::Precision;
use crate::rules::Rules;

/// A line that is written while it is built.
///
/// [`Encoder::line`](crate::Encoder::line) and [`SeriesKey::line`](crate::SeriesKey::line) begin one. Setters, checks and
/// errors are those of a [`Point`] and its encoder, and so is the line; texts are borrowed. What is usual is written at once: tags in the order
/// of their keys, then fields, no key twice, names and texts without control characters. With anything else a point takes over,
/// which costs what it costs there.
///
/// A thread remembers the names of its lines, of eight measurements at most, and of each line up to 256 names of up to 256 bytes, with the
/// last value of each tag of up to 48 bytes: what the next line has in the same places is written without a check, where it is no longer
/// than 32 bytes. That is less than a megabyte for a thread, and mostly a few kilobytes.
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
    timestamp: Option<i128>,
}

impl<'a> LineBuilder<'a> {
    #[inline(always)]
    pub(crate) fn new(measurement: &str, default_tags: &'a [(String, String)], rules: &'a Rules) -> Self {
        let mut line = Self {
            begun: BegunLine::new(KnownNames::of_lines(measurement), default_tags, rules),
            series: None,
            point: None,
            timestamp: None,
        };
        if !line.begun.write_measurement(measurement) {
            line.begun.give_up();
            line.point = Some(Point::new(measurement).into());
        }
        line
    }

    #[inline(always)]
    pub(crate) fn of_series(
        blocks: &[Block],
        bytes: usize,
        slot: Slot,
        point: &'a Point,
        rules: &'a Rules,
    ) -> Self {
        let mut line = Self {
            begun: BegunLine::new(KnownNames::at_slot(slot), &[], rules),
            series: Some((point, bytes)),
            point: None,
            timestamp: None,
        };
        line.begun.write_series(blocks, bytes);
        line
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

    /// Sets the moment of the point; without one, the line is stamped when it is finished.
    pub fn timestamp(&mut self, time: SystemTime) -> &mut Self {
        self.timestamp = Some(nanoseconds(time));
        self
    }

    /// Sets the moment of the point in nanoseconds since 1970; see [`timestamp`](LineBuilder::timestamp).
    #[inline]
    pub fn timestamp_ns(&mut self, nanoseconds: i64) -> &mut Self {
        self.timestamp = Some(nanoseconds.into());
        self
    }

    /// Sets the moment of the point as a number since 1970, in the unit that the program has; see
    /// [`timestamp`](LineBuilder::timestamp).
    pub fn timestamp_in(&mut self, precision: Precision, moment: i64) -> &mut Self {
        self.timestamp = Some(precision.nanoseconds(moment));
        self
    }

    /// Checks everything and makes the line.
    ///
    /// # Errors
    ///
    /// A [`PointError`], as [`Encoder::encode`](crate::Encoder::encode) has it for the same point.
    pub fn finish(&mut self) -> Result<Line, PointError> {
        match self.write_timestamp() {
            Some(end) => Ok(Line::of_bytes(self.begun.up_to(end))),
            None => self.encode_point(),
        }
    }

    /// Checks everything and shows the line's bytes, without a line break: for a file, or a protocol of one's own.
    ///
    /// # Errors
    ///
    /// As [`finish`](LineBuilder::finish).
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
    pub fn bytes(&mut self) -> Result<&[u8], PointError> {
        if let Some(end) = self.write_timestamp() {
            return Ok(self.begun.up_to(end));
        }
        let line = self.encode_point()?;
        Ok(self.begun.replace_by(line.as_bytes()))
    }

    #[inline]
    fn write_timestamp(&mut self) -> Option<usize> {
        let moment = self.timestamp.unwrap_or_else(|| nanoseconds(SystemTime::now()));
        self.begun.write_timestamp(moment)
    }

    #[cold]
    fn set_unusual_field(&mut self, key: &str, value: FieldValueRef<'_>) {
        self.point = Some(self.take_point().field(key, value).into());
    }

    #[cold]
    fn encode_point(&mut self) -> Result<Line, PointError> {
        let point = self.take_point().at(self.timestamp);
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
