//! A line as far as it is written, while all of it is usual.

use std::ops::Range;

use crate::field_keys::FieldKeys;
use crate::field_value::FieldValueRef;
use crate::line::text_of;
use crate::moment::NANOSECONDS;
use crate::point_error::Element;
use crate::rules::Rules;
use crate::scratch::Scratch;
use crate::usual::{write_name, write_timestamp, write_value};

/// What is written reads back as it was handed in. Each `write` says whether it has written; it has not where something is not
/// usual, comes in another order, or a second time.
#[derive(Debug)]
pub(crate) struct BegunLine<'a> {
    rules: &'a Rules,
    /// Sorted by key, no key twice; those that are not written yet.
    default_tags: &'a [(String, String)],
    next: Next,
    /// The line so far, but for a timestamp.
    scratch: Scratch,
    /// Where the key of the last tag stands.
    last_tag: Range<usize>,
    fields: FieldKeys,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    TagOrFirstField,
    FirstField,
    Field,
    Nothing,
}

/// No server has a lower bound for a name, a text or a series, and none of these is longer than its line.
const USUAL_BYTES: usize = 65_535;

impl<'a> BegunLine<'a> {
    /// Empty.
    #[inline(always)]
    pub(crate) fn new(default_tags: &'a [(String, String)], rules: &'a Rules) -> Self {
        Self {
            rules,
            default_tags,
            next: Next::TagOrFirstField,
            scratch: Scratch::of_thread(),
            last_tag: 0..0,
            fields: FieldKeys::new(),
        }
    }

    /// The rest of the default tags, and the rules.
    pub(crate) fn settings(&self) -> (&'a [(String, String)], &'a Rules) {
        (self.default_tags, self.rules)
    }

    /// What is written; nothing more will be.
    pub(crate) fn give_up(&mut self) -> &str {
        self.next = Next::Nothing;
        text_of(self.scratch.written())
    }

    /// What is written up to `end`, which is behind the line where a timestamp is.
    #[inline(always)]
    pub(crate) fn up_to(&self, end: usize) -> &[u8] {
        self.scratch.up_to(end)
    }

    /// Shows `line` instead.
    pub(crate) fn replace_by(&mut self, line: &[u8]) -> &[u8] {
        self.scratch.end_at(0);
        let mut pen = self.scratch.pen(line.len());
        pen.bytes(line);
        let end = pen.at();
        self.scratch.up_to(end)
    }

    /// The text of a series, which is encoded already.
    #[inline(always)]
    pub(crate) fn write_series(&mut self, series: &str) {
        let mut pen = self.scratch.pen(series.len());
        pen.bytes(series.as_bytes());
        self.scratch.end_at(series.len());
        self.next = Next::FirstField;
    }

    pub(crate) fn write_measurement(&mut self, measurement: &str) -> bool {
        let mut pen = self.scratch.pen(measurement.len());
        let usual = !measurement.starts_with('#') && write_name(&mut pen, Element::Measurement, measurement);
        let end = pen.at();
        if usual {
            self.scratch.end_at(end);
        }
        usual
    }

    /// A tag of the line's own, behind the default tags that come before it.
    #[inline(always)]
    pub(crate) fn write_own_tag(&mut self, key: &str, value: &str) -> bool {
        if self.next != Next::TagOrFirstField || !self.is_behind_the_tags(key) {
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
    pub(crate) fn write_field(&mut self, key: &str, value: FieldValueRef<'_>) -> bool {
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
        let separator = match self.next {
            Next::Field => b',',
            Next::TagOrFirstField | Next::FirstField => {
                if !self.write_default_tags() {
                    return false;
                }
                self.next = Next::Field;
                b' '
            }
            Next::Nothing => return false,
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

    /// Writes a timestamp behind the line, which may go on in its place. Says where it ends.
    #[inline]
    pub(crate) fn write_timestamp(&mut self, nanoseconds: i128) -> Option<usize> {
        let is_whole = self.next == Next::Field && !self.fields.is_empty();
        if !is_whole || !NANOSECONDS.contains(&nanoseconds) {
            return None;
        }
        let mut pen = self.scratch.pen(0);
        write_timestamp(&mut pen, nanoseconds as i64);
        Some(pen.at()).filter(|end| *end <= USUAL_BYTES.min(self.rules.longest_line))
    }
}
