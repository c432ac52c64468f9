//! A line as far as it is written, while all of it is usual.

use crate::field_value::FieldValueRef;
use crate::known_names::{KnownNames, Place};
use crate::line::text_of;
use crate::moment::NANOSECONDS;
use crate::pen::Block;
use crate::rules::Rules;
use crate::scratch::Scratch;
use crate::usual::{write_timestamp, write_value};

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
    names: KnownNames,
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
    pub(crate) fn new(names: KnownNames, default_tags: &'a [(String, String)], rules: &'a Rules) -> Self {
        Self {
            rules,
            default_tags,
            next: Next::TagOrFirstField,
            scratch: Scratch::of_thread(),
            names,
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

    /// The text of a series, which is encoded already: `bytes` of these blocks.
    #[inline(always)]
    pub(crate) fn write_series(&mut self, blocks: &[Block], bytes: usize) {
        let mut pen = self.scratch.pen(bytes);
        pen.blocks(blocks, bytes);
        self.scratch.end_at(bytes);
        self.next = Next::FirstField;
    }

    pub(crate) fn write_measurement(&mut self, measurement: &str) -> bool {
        self.names
            .write(&mut self.scratch, Place::Measurement, measurement)
    }

    /// A tag of the line's own, behind the default tags that come before it.
    #[inline(always)]
    pub(crate) fn write_own_tag(&mut self, key: &str, value: &str) -> bool {
        if self.next != Next::TagOrFirstField {
            return false;
        }
        if !self.default_tags.is_empty() && !self.write_default_tags_before(key) {
            return false;
        }
        self.write_tag(key, value)
    }

    #[inline(always)]
    fn write_tag(&mut self, key: &str, value: &str) -> bool {
        let Self { scratch, names, .. } = self;
        let before = scratch.end();
        let usual = names.write(scratch, Place::TagKey, key) && names.write_value(scratch, value);
        if !usual {
            scratch.end_at(before);
        }
        usual
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
        let place = if self.next == Next::Field {
            Place::NextField
        } else if self.next != Next::Nothing && (self.default_tags.is_empty() || self.write_default_tags()) {
            Place::FirstField
        } else {
            return false;
        };
        let before = self.scratch.end();
        let usual = self.names.write(&mut self.scratch, place, key) && self.write_value(value);
        if usual {
            self.next = Next::Field;
        } else {
            self.scratch.end_at(before);
        }
        usual
    }

    #[inline(always)]
    fn write_value(&mut self, value: FieldValueRef<'_>) -> bool {
        let bytes = match value {
            FieldValueRef::String(text) => text.len(),
            _ => 0,
        };
        let mut pen = self.scratch.pen(bytes);
        let usual = write_value(&mut pen, value, self.rules.dialect);
        let end = pen.at();
        if usual {
            self.scratch.end_at(end);
        }
        usual
    }

    /// Writes a timestamp behind the line, which may go on in its place. Says where it ends.
    #[inline]
    pub(crate) fn write_timestamp(&mut self, nanoseconds: i128) -> Option<usize> {
        if self.next != Next::Field || !NANOSECONDS.contains(&nanoseconds) {
            return None;
        }
        let mut pen = self.scratch.pen(0);
        write_timestamp(&mut pen, nanoseconds as i64);
        Some(pen.at()).filter(|end| *end <= USUAL_BYTES.min(self.rules.longest_line))
    }
}
