//! A line as far as it is written, while all of it is usual.

use crate::encode::rules::Rules;
use crate::line::text_of;
use crate::line_builder::known_names::{Place, Slot};
use crate::line_builder::line_cache::{CacheGuard, LineCache};
use crate::line_builder::piece::Block;
use crate::line_builder::scratch::Scratch;
use crate::line_builder::usual::{write_field, write_timestamp};
use crate::point::field_value::FieldValueRef;

/// What is written reads back as it was handed in. Each `write` says whether it has written; it has not if something is not usual,
/// comes in another order, or comes a second time.
#[derive(Debug)]
pub(crate) struct BegunLine<'a> {
    rules: &'a Rules,
    /// Those that are not written yet: sorted by key, no key twice.
    default_tags: &'a [(String, String)],
    next: Next,
    cache: CacheGuard,
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
    /// With a measurement, or [given up](BegunLine::is_given_up) if that is not usual.
    #[inline(always)]
    pub(crate) fn of_measurement(
        measurement: &str,
        default_tags: &'a [(String, String)],
        rules: &'a Rules,
    ) -> Self {
        let mut cache = CacheGuard::of_thread();
        let LineCache { scratch, names } = cache.get_mut();
        names.begin(Slot::of_lines(measurement));
        let end = names.write(scratch, 0, Place::Measurement, measurement);
        scratch.end_at(end.unwrap_or(0));
        let next = match end {
            Some(_) => Next::TagOrFirstField,
            None => Next::Nothing,
        };
        Self {
            rules,
            default_tags,
            next,
            cache,
        }
    }

    /// With the text of a series, which is encoded already: `bytes` of these blocks.
    #[inline(always)]
    pub(crate) fn of_series(slot: Slot, blocks: &[Block], bytes: usize, rules: &'a Rules) -> Self {
        let mut cache = CacheGuard::of_thread();
        let LineCache { scratch, names } = cache.get_mut();
        scratch.begin_with(blocks, bytes);
        names.begin(slot);
        Self {
            rules,
            default_tags: &[],
            next: Next::FirstField,
            cache,
        }
    }

    /// Whether a point has to take over.
    #[inline(always)]
    pub(crate) fn is_given_up(&self) -> bool {
        self.next == Next::Nothing
    }

    /// The rest of the default tags, and the rules.
    pub(crate) fn settings(&self) -> (&'a [(String, String)], &'a Rules) {
        (self.default_tags, self.rules)
    }

    /// Gives up, and shows what is written; nothing more will be.
    pub(crate) fn give_up(&mut self) -> &str {
        self.next = Next::Nothing;
        text_of(self.cache.get().scratch.written())
    }

    /// What is written up to `end`, which is past the line's own end if there is a timestamp.
    #[inline(always)]
    pub(crate) fn up_to(&self, end: usize) -> &[u8] {
        self.cache.get().scratch.up_to(end)
    }

    /// Shows `line` instead.
    pub(crate) fn replace_by(&mut self, line: &[u8]) -> &[u8] {
        let scratch = &mut self.cache.get_mut().scratch;
        // Nothing of it will be read back.
        scratch.end_at(0);
        let mut pen = scratch.pen(0, line.len());
        pen.bytes(line);
        let end = pen.at();
        scratch.up_to(end)
    }

    /// Writes a tag of the line's own, after the default tags that come before it.
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
        let LineCache { scratch, names } = self.cache.get_mut();
        let end = names
            .write(scratch, scratch.end(), Place::TagKey, key)
            .and_then(|at| names.write_value(scratch, at, value));
        if let Some(end) = end {
            scratch.end_at(end);
        }
        end.is_some()
    }

    /// A tag of the line's own replaces the default one of the same key.
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
        let LineCache { scratch, names } = self.cache.get_mut();
        let at = scratch.end();
        let write_key = |scratch: &mut Scratch| names.write(scratch, at, place, key);
        let end = write_field(scratch, write_key, value, self.rules.dialect);
        if let Some(end) = end {
            scratch.end_at(end);
            self.next = Next::Field;
        }
        end.is_some()
    }

    /// Writes a timestamp behind the line, without counting it as part of the line. Says where it ends.
    #[inline]
    pub(crate) fn write_timestamp(&mut self, nanoseconds: i64) -> Option<usize> {
        if self.next != Next::Field || nanoseconds < self.rules.earliest {
            return None;
        }
        let scratch = &mut self.cache.get_mut().scratch;
        let mut pen = scratch.pen(scratch.end(), 0);
        write_timestamp(&mut pen, nanoseconds);
        Some(pen.at()).filter(|end| *end <= USUAL_BYTES.min(self.rules.longest_line))
    }
}
