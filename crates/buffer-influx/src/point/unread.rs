//! What is left to read of a finished line, and the parts in which it is read.

use thiserror::Error;

use crate::point::Point;
use crate::point::field_value::FieldValue;
use crate::point::precision::Precision;

/// Why a text is not the line of one point.
///
/// # Examples
///
/// ```
/// use buffer_influx::{ParseLineError, Point};
///
/// let error: ParseLineError = "m,t=a v=x 1".parse::<Point>().unwrap_err();
/// assert_eq!(error.to_string(), "the line can't be read at byte 8: a field has no value that can be read");
/// assert_eq!((error.at(), error.problem()), (8, "a field has no value that can be read"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the line can't be read at byte {at}: {problem}")]
pub struct ParseLineError {
    at: usize,
    problem: &'static str,
}

impl ParseLineError {
    /// The byte at which reading stopped, from 0.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is wrong there.
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

/// What is not read yet.
pub(crate) struct Unread<'a> {
    pub(crate) line: &'a str,
    pub(crate) at: usize,
}

impl<'a> Unread<'a> {
    pub(crate) fn left(&self) -> &'a str {
        &self.line[self.at..]
    }

    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let taken = self.left().as_bytes().first() == Some(&byte);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), ParseLineError> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.error(problem))
    }

    pub(crate) fn skip(&mut self, bytes: &[u8]) {
        let left = self.left().bytes();
        self.at += left.take_while(|byte| bytes.contains(byte)).count();
    }

    /// What is left before the next line break.
    pub(crate) fn line_left(&self) -> &'a str {
        let left = self.left();
        &left[..left.find('\n').unwrap_or(left.len())]
    }

    /// Reads a point up to its line break.
    pub(crate) fn point(&mut self, precision: Precision) -> Result<Point, ParseLineError> {
        // InfluxDB passes over tabs, too.
        self.skip(b" \t");
        let point = self.series()?;
        self.expect(b' ', "there is no space before the fields")?;
        self.skip(b" \t");
        let point = self.fields(point)?;
        let before = self.at;
        self.skip(b" ");
        let text = self.line_left().trim_end_matches([' ', '\r']);
        if text.is_empty() {
            return Ok(point);
        }
        if self.at == before {
            return Err(self.error("there is no space before the timestamp"));
        }
        let Some(moment) = integer(text) else {
            return Err(self.error("the timestamp is no number"));
        };
        self.at += text.len();
        Ok(point.timestamp_in(precision, moment))
    }

    pub(crate) fn series(&mut self) -> Result<Point, ParseLineError> {
        let mut point = Point::new(self.name(b", ")?);
        while self.take(b',') {
            let key = self.name(b"=, ")?;
            self.expect(b'=', "a tag's key has no `=` behind it")?;
            point = point.tag(key, self.name(b", =")?);
        }
        Ok(point)
    }

    pub(crate) fn fields(&mut self, mut point: Point) -> Result<Point, ParseLineError> {
        loop {
            let key = self.name(b"=, ")?;
            self.expect(b'=', "a field's key has no `=` behind it")?;
            point = point.field(key, self.value()?);
            if !self.take(b',') {
                return Ok(point);
            }
        }
    }

    /// Reads up to one of `ends` that has no backslash before it.
    fn name(&mut self, ends: &[u8]) -> Result<String, ParseLineError> {
        let (start, bytes) = (self.at, self.line.as_bytes());
        let mut name = String::new();
        let mut written = start;
        while let Some(byte) = bytes.get(self.at) {
            match (byte, bytes.get(self.at + 1)) {
                (b'\\', Some(b',' | b'=' | b' ')) => {
                    name.push_str(&self.line[written..self.at]);
                    written = self.at + 1;
                    self.at += 2;
                }
                (b'\n' | b'\r', _) => return Err(self.error("a name or a tag has a line break")),
                (byte, _) if ends.contains(byte) => break,
                _ => self.at += 1,
            }
        }
        name.push_str(&self.line[written..self.at]);
        if self.at == start {
            return Err(self.error("a name or a tag is empty"));
        }
        Ok(name)
    }

    fn value(&mut self) -> Result<FieldValue, ParseLineError> {
        if self.take(b'"') {
            return self.text();
        }
        let left = self.left();
        let text = &left[..left.find([',', ' ', '\n', '\r']).unwrap_or(left.len())];
        let Some(value) = number_or_truth(text) else {
            return Err(self.error("a field has no value that can be read"));
        };
        self.at += text.len();
        Ok(value)
    }

    /// Reads a text after its first quote.
    fn text(&mut self) -> Result<FieldValue, ParseLineError> {
        let mut text = String::new();
        loop {
            let left = self.left();
            let Some(end) = left.find(['"', '\\']) else {
                return Err(self.error("a text has no closing quote"));
            };
            text.push_str(&left[..end]);
            self.at += end + 1;
            if left[end..].starts_with('"') {
                return Ok(FieldValue::String(text));
            }
            match self.left().as_bytes().first() {
                Some(escaped @ (b'"' | b'\\')) => {
                    text.push(char::from(*escaped));
                    self.at += 1;
                }
                _ => text.push('\\'),
            }
        }
    }

    pub(crate) fn error(&self, problem: &'static str) -> ParseLineError {
        ParseLineError { at: self.at, problem }
    }
}

fn number_or_truth(text: &str) -> Option<FieldValue> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(FieldValue::Boolean(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(FieldValue::Boolean(false)),
        _ => {}
    }
    if let Some(digits) = text.strip_suffix('i') {
        return integer(digits).map(FieldValue::Integer);
    }
    if let Some(digits) = text.strip_suffix('u') {
        return (!digits.starts_with('+'))
            .then(|| digits.parse().ok().map(FieldValue::Unsigned))
            .flatten();
    }
    // Words such as `inf` are numbers to Rust, but not to any server.
    let is_number = !text.starts_with('+') && text.bytes().any(|byte| byte.is_ascii_digit());
    let float: f64 = is_number.then(|| text.parse().ok()).flatten()?;
    float.is_finite().then_some(FieldValue::Float(float))
}

/// Rust takes a plus sign, which the servers refuse.
fn integer(text: &str) -> Option<i64> {
    (!text.starts_with('+')).then(|| text.parse().ok()).flatten()
}
