//! Builds a line from values that are at hand, without a point between them and the text.

use std::ops::Range;
use std::time::SystemTime;

use crate::encode::encode;
use crate::field_keys::FieldKeys;
use crate::field_value::FieldValueRef;
use crate::line::{Line, text_of};
use crate::moment::{NANOSECONDS, nanoseconds};
use crate::parse::parse_begun;
use crate::point::Point;
use crate::point_error::{Element, PointError};
use crate::precision::Precision;
use crate::rules::Rules;
use crate::scratch::Scratch;
use crate::usual::{write_name, write_timestamp, write_value};

/// A line that is written while it is built.
///
/// [`Encoder::line`](crate::Encoder::line) and [`SeriesKey::line`](crate::SeriesKey::line) begin one. Setters, checks and
/// errors are those of a [`Point`] and its encoder, and so is the line. What is usual is written at once: tags in the order
/// of their keys, then fields, no key twice, names and texts without control characters. With anything else a point takes over,
/// which costs what it costs there.
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
    rules: &'a Rules,
    /// Sorted by key, no key twice; those that are not written yet.
    default_tags: &'a [(String, String)],
    /// The series that the line began with, and its bytes.
    series: Option<(&'a Point, usize)>,
    stage: Stage,
    /// The line so far, but for a timestamp.
    scratch: Scratch,
    /// Where the key of the last tag stands.
    last_tag: Range<usize>,
    fields: FieldKeys,
    timestamp: Option<i128>,
}

/// What may come next.
#[derive(Debug)]
enum Stage {
    /// A tag, or the first field.
    Tags,
    /// The first field.
    Series,
    Fields,
    /// Something was not usual: anything, and the point has everything.
    Unusual(Box<Point>),
}

/// No server has a lower bound for a name, a text or a series, and none of these is longer than its line.
const USUAL_BYTES: usize = 65_535;

impl<'a> LineBuilder<'a> {
    #[inline]
    pub(crate) fn new(measurement: &str, default_tags: &'a [(String, String)], rules: &'a Rules) -> Self {
        let mut line = Self {
            rules,
            default_tags,
            series: None,
            stage: Stage::Tags,
            scratch: Scratch::of_thread(),
            last_tag: 0..0,
            fields: FieldKeys::new(),
            timestamp: None,
        };
        if !line.write_measurement(measurement) {
            line.stage = Stage::Unusual(Point::new(measurement).into());
        }
        line
    }

    #[inline]
    pub(crate) fn of_series(text: &str, point: &'a Point, rules: &'a Rules) -> Self {
        let mut line = Self {
            rules,
            default_tags: &[],
            series: Some((point, text.len())),
            stage: Stage::Series,
            scratch: Scratch::of_thread(),
            last_tag: 0..0,
            fields: FieldKeys::new(),
            timestamp: None,
        };
        let mut pen = line.scratch.pen(text.len());
        pen.bytes(text.as_bytes());
        line.scratch.end_at(text.len());
        line
    }

    /// Sets the tag `key`; setting it to the empty string leaves it out.
    pub fn tag(&mut self, key: &str, value: &str) -> &mut Self {
        if !self.write_own_tag(key, value) {
            let point = self.take_point().tag(key, value);
            self.stage = Stage::Unusual(point.into());
        }
        self
    }

    /// Sets the field `key`.
    #[inline]
    pub fn field<'v>(&mut self, key: &str, value: impl Into<FieldValueRef<'v>>) -> &mut Self {
        let value = value.into();
        if !self.write_field(key, value) {
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
        match self.write_usual_timestamp() {
            Some(end) => Ok(Line::of_bytes(self.scratch.up_to(end))),
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
        if let Some(end) = self.write_usual_timestamp() {
            return Ok(self.scratch.up_to(end));
        }
        let line = self.encode_point()?;
        let mut pen = self.scratch.pen(line.as_bytes().len());
        pen.bytes(line.as_bytes());
        let end = pen.at();
        Ok(&self.scratch.up_to(end)[self.scratch.written().len()..])
    }

    fn write_measurement(&mut self, measurement: &str) -> bool {
        let mut pen = self.scratch.pen(measurement.len());
        let usual = !measurement.starts_with('#') && write_name(&mut pen, Element::Measurement, measurement);
        let end = pen.at();
        if usual {
            self.scratch.end_at(end);
        }
        usual
    }

    fn write_own_tag(&mut self, key: &str, value: &str) -> bool {
        if !matches!(self.stage, Stage::Tags) || !self.is_behind_the_tags(key) {
            return false;
        }
        if !self.default_tags.is_empty() && !self.write_default_tags_before(key) {
            return false;
        }
        self.write_tag(key, value)
    }

    /// Whether `key` is greater than that of the last tag.
    #[inline(always)]
    fn is_behind_the_tags(&self, key: &str) -> bool {
        let last = &self.scratch.written()[self.last_tag.clone()];
        match (last.first(), key.as_bytes().first()) {
            (None, _) => true,
            (Some(last), Some(first)) if last != first && *last != b'\\' => last < first,
            // In what is usual every backslash is an escape. Letter by letter: a call to compare a few would cost more.
            _ => last.iter().filter(|byte| **byte != b'\\').lt(key.as_bytes()),
        }
    }

    #[inline(always)]
    fn write_tag(&mut self, key: &str, value: &str) -> bool {
        let mut pen = self.scratch.pen(key.len() + value.len());
        pen.byte(b',');
        let key_start = pen.at();
        if key == "time" || !write_name(&mut pen, Element::TagKey, key) {
            return false;
        }
        let key_end = pen.at();
        pen.byte(b'=');
        if !write_name(&mut pen, Element::TagValue, value) {
            return false;
        }
        let end = pen.at();
        self.scratch.end_at(end);
        self.last_tag = key_start..key_end;
        true
    }

    /// The line's own tag of a key takes the place of the default one.
    #[inline(never)]
    fn write_default_tags_before(&mut self, own: &str) -> bool {
        while let [(key, value), rest @ ..] = self.default_tags
            && key.as_str() <= own
        {
            if key != own && !self.write_tag(key, value) {
                return false;
            }
            self.default_tags = rest;
        }
        true
    }

    #[inline(never)]
    fn write_default_tags(&mut self) -> bool {
        self.default_tags
            .iter()
            .all(|(key, value)| self.write_tag(key, value))
    }

    #[inline(always)]
    fn write_field(&mut self, key: &str, value: FieldValueRef<'_>) -> bool {
        let begin = self.scratch.written().len();
        if !self.write_field_key(key) {
            return false;
        }
        let bytes = match value {
            FieldValueRef::String(text) => text.len(),
            _ => 0,
        };
        let mut pen = self.scratch.pen(bytes);
        let usual = write_value(&mut pen, value, self.rules.dialect);
        let end = if usual { pen.at() } else { begin };
        self.scratch.end_at(end);
        usual
    }

    fn write_field_key(&mut self, key: &str) -> bool {
        let separator = match self.stage {
            Stage::Fields => b',',
            Stage::Tags | Stage::Series => {
                if !self.write_default_tags() {
                    return false;
                }
                self.stage = Stage::Fields;
                b' '
            }
            Stage::Unusual(_) => return false,
        };
        let mut pen = self.scratch.pen(key.len());
        pen.byte(separator);
        let start = pen.at();
        if key == "time" || !write_name(&mut pen, Element::FieldKey, key) {
            return false;
        }
        let end = pen.at();
        pen.byte(b'=');
        let is_new = self.fields.add(self.scratch.up_to(end), start);
        if is_new {
            self.scratch.end_at(end + 1);
        }
        is_new
    }

    #[cold]
    fn set_unusual_field(&mut self, key: &str, value: FieldValueRef<'_>) {
        let point = self.take_point().field(key, value);
        self.stage = Stage::Unusual(point.into());
    }

    /// Where the line ends then.
    #[inline]
    fn write_usual_timestamp(&mut self) -> Option<usize> {
        let nanoseconds = self.timestamp.unwrap_or_else(|| nanoseconds(SystemTime::now()));
        if !matches!(self.stage, Stage::Fields)
            || self.fields.is_empty()
            || !NANOSECONDS.contains(&nanoseconds)
        {
            return None;
        }
        let mut pen = self.scratch.pen(0);
        write_timestamp(&mut pen, nanoseconds as i64);
        Some(pen.at()).filter(|end| *end <= USUAL_BYTES.min(self.rules.longest_line))
    }

    #[cold]
    fn encode_point(&mut self) -> Result<Line, PointError> {
        let point = self.take_point().at(self.timestamp);
        let line = encode(&point, self.default_tags, self.rules);
        self.stage = Stage::Unusual(point.into());
        line
    }

    /// The point of what is set so far: usual things read back as they were.
    #[cold]
    fn take_point(&mut self) -> Point {
        match std::mem::replace(&mut self.stage, Stage::Tags) {
            Stage::Unusual(point) => *point,
            Stage::Tags | Stage::Series | Stage::Fields => {
                let begun = text_of(self.scratch.written());
                parse_begun(self.series, begun).expect("what was written reads back")
            }
        }
    }
}
