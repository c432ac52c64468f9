//! The names of a line before: the next one of its measurement mostly has the same, in the same order.
//!
//! Invariants
//! 1. The entries up to the first that has no place stood in one line, in this order: every name is usual, the keys of tags ascend,
//!    and no key of a field comes twice.
//! 2. The first `at` of them are the names of the line that is being written.

use std::cell::Cell;
use std::fmt;

use crate::ends::is_same_short;
use crate::pen::{Pen, Piece};
use crate::point_error::Element;
use crate::scratch::Scratch;
use crate::usual::write_name;

/// Where a name stands in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The name was behind one that another line has not.
    None,
    Measurement,
    TagKey,
    FirstField,
    NextField,
}

/// A name as it was written, with the separators around it.
struct Entry {
    place: Place,
    name: String,
    written: Piece,
    /// Of the tag of this key, the value that it had last.
    value: String,
    written_value: Piece,
}

/// What a thread remembers of the lines of a measurement.
#[derive(Default)]
struct Lines {
    entries: Vec<Entry>,
    /// There are more names, or longer ones, than are to be kept.
    is_large: bool,
}

/// The names of the line that is being written, before those that it is likely to have. They are given back with the drop.
pub(crate) struct KnownNames {
    /// None where nothing is remembered so far.
    lines: Option<Box<Lines>>,
    at: usize,
    slot: usize,
}

/// Where a thread remembers the lines of a measurement. Those that have the same only forget each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot(usize);

/// Of how many measurements a thread remembers the lines, at most.
const SLOTS: usize = 8;

/// How many names are remembered of a line, and how long they are at most: more would be memory that stays.
const KEPT: usize = 256;
const KEPT_BYTES: usize = 256;

thread_local! {
    static LINES: [Cell<Option<Box<Lines>>>; SLOTS] = const { [const { Cell::new(None) }; SLOTS] };
}

impl KnownNames {
    /// Those that begin with `measurement`.
    #[inline(always)]
    pub(crate) fn of_lines(measurement: &str) -> Self {
        Self::at_slot(Slot::of_lines(measurement))
    }

    /// Those of a slot.
    #[inline(always)]
    pub(crate) fn at_slot(Slot(slot): Slot) -> Self {
        let lines = LINES.try_with(|all| all[slot].take());
        Self {
            lines: lines.ok().flatten(),
            at: 0,
            slot,
        }
    }

    /// Writes a name with the separators around it, and says whether it was usual, and in its place in the order; if not, nothing
    /// counts as written.
    ///
    /// Called for every name, so that there is one copy of it to keep in the cache.
    #[inline(never)]
    pub(crate) fn write(&mut self, scratch: &mut Scratch, place: Place, name: &str) -> bool {
        if let Some(lines) = &self.lines
            && let Some(entry) = lines.entries.get(self.at)
            && entry.place == place
            && is_same_short(&entry.name, name)
            && scratch.write_piece(&entry.written)
        {
            self.at += 1;
            return true;
        }
        self.write_new(scratch, place, name)
    }

    /// Writes the value of the tag whose key was written last, and says whether it was usual; if not, nothing counts as written.
    #[inline(always)]
    pub(crate) fn write_value(&mut self, scratch: &mut Scratch, value: &str) -> bool {
        let entry = self
            .lines
            .as_mut()
            .and_then(|lines| lines.entries.get_mut(self.at - 1));
        entry.is_some_and(|entry| entry.write_value(scratch, value))
    }

    #[inline(never)]
    fn write_new(&mut self, scratch: &mut Scratch, place: Place, name: &str) -> bool {
        let mut pen = scratch.pen(name.len());
        let start = pen.at();
        let Lines { entries, is_large } = &mut **self.lines.get_or_insert_default();
        let (before, likely) = entries.split_at(self.at);
        let is_known = likely
            .first()
            .is_some_and(|entry| entry.place == place && entry.name == name);
        if !is_known && !is_in_order(before, place, name) {
            return false;
        }
        let usual = match place {
            Place::None => false,
            Place::Measurement => write_name(&mut pen, Element::Measurement, name),
            Place::TagKey => write_key(&mut pen, b',', Element::TagKey, name),
            Place::FirstField => write_key(&mut pen, b' ', Element::FieldKey, name),
            Place::NextField => write_key(&mut pen, b',', Element::FieldKey, name),
        };
        if !usual {
            return false;
        }
        if !is_known {
            if self.at == entries.len() {
                entries.push(Entry::new());
            }
            entries[self.at].become_name(place, name, pen.since(start));
            if let Some(behind) = entries.get_mut(self.at + 1) {
                // By invariant 1: it may be this very name.
                behind.place = Place::None;
            }
            *is_large |= name.len() > KEPT_BYTES || self.at >= KEPT;
        }
        self.at += 1;
        let end = pen.at();
        scratch.end_at(end);
        true
    }
}

impl Lines {
    /// Keeps what comes before: it stood in one line, too.
    fn forget_large(&mut self) {
        let is_long = |entry: &Entry| entry.name.len() > KEPT_BYTES;
        let kept = self.entries.iter().position(is_long).unwrap_or(KEPT);
        self.entries.truncate(kept.min(KEPT));
        self.entries.shrink_to(KEPT);
        self.is_large = false;
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            place: Place::None,
            name: String::new(),
            written: Piece::none(),
            value: String::new(),
            written_value: Piece::none(),
        }
    }

    fn become_name(&mut self, place: Place, name: &str, written: Piece) {
        self.place = place;
        self.name.clear();
        self.name.push_str(name);
        self.written = written;
    }

    /// Called for every tag, as for every name.
    #[inline(never)]
    fn write_value(&mut self, scratch: &mut Scratch, value: &str) -> bool {
        let is_known = is_same_short(&self.value, value);
        is_known && scratch.write_piece(&self.written_value) || self.write_new_value(scratch, value)
    }

    #[inline(never)]
    fn write_new_value(&mut self, scratch: &mut Scratch, value: &str) -> bool {
        let mut pen = scratch.pen(value.len());
        let start = pen.at();
        if !write_name(&mut pen, Element::TagValue, value) {
            return false;
        }
        self.written_value = pen.since(start);
        if self.written_value.is_some() {
            self.value.clear();
            self.value.push_str(value);
        }
        let end = pen.at();
        scratch.end_at(end);
        true
    }
}

/// Whether `name` may come behind the names `before`.
fn is_in_order(before: &[Entry], place: Place, name: &str) -> bool {
    match place {
        Place::None => false,
        Place::Measurement => !name.starts_with('#'),
        Place::TagKey => {
            let last = before.last().filter(|last| last.place == Place::TagKey);
            name != "time" && last.is_none_or(|last| *last.name < *name)
        }
        Place::FirstField | Place::NextField => {
            let fields = before
                .iter()
                .rev()
                .take_while(|entry| matches!(entry.place, Place::FirstField | Place::NextField));
            name != "time" && fields.map(|entry| &entry.name).all(|other| other != name)
        }
    }
}

fn write_key(pen: &mut Pen<'_>, separator: u8, element: Element, key: &str) -> bool {
    pen.byte(separator);
    let usual = write_name(pen, element, key);
    pen.byte(b'=');
    usual
}

impl Slot {
    #[inline(always)]
    fn of_lines(measurement: &str) -> Self {
        match measurement.as_bytes() {
            [first, .., last] => {
                Self(usize::from(first.wrapping_mul(5) ^ last).wrapping_add(measurement.len()) % SLOTS)
            }
            _ => Self(0),
        }
    }

    /// Of lines that begin with a series of `measurement`, which is written as a whole.
    pub(crate) fn of_series_lines(measurement: &str) -> Self {
        let Self(slot) = Self::of_lines(measurement);
        Self(slot ^ (SLOTS / 2))
    }
}

impl fmt::Debug for KnownNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.lines.iter().flat_map(|lines| &lines.entries[..self.at]);
        f.debug_list().entries(written.map(|entry| &entry.name)).finish()
    }
}

impl Drop for KnownNames {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut lines) = self.lines.take() {
            if lines.is_large {
                lines.forget_large();
            }
            // The thread ends otherwise, and what it remembers with it.
            let _ = LINES.try_with(|all| all[self.slot].set(Some(lines)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn measurements_that_differ_in_their_last_letter_have_slots_of_their_own() {
        for begin in ["m", "cpu", "requests_"] {
            let slots = (0..8).map(|number| Slot::of_lines(&format!("{begin}{number}")).0);
            assert_eq!(slots.collect::<HashSet<_>>().len(), SLOTS);
        }
    }

    #[test]
    fn of_a_large_line_its_begin_is_kept() {
        let of = |fields: usize, last: &str| {
            let mut names = KnownNames::at_slot(Slot(0));
            let mut scratch = Scratch::of_thread();
            for field in 0..fields {
                assert!(names.write(&mut scratch, Place::NextField, &format!("f{field}")));
            }
            assert!(names.write(&mut scratch, Place::NextField, last));
            drop(names);
            let names = KnownNames::at_slot(Slot(0));
            names.lines.as_ref().map_or(0, |lines| lines.entries.len())
        };
        assert_eq!(of(2, "g"), 3);
        assert_eq!(of(3, &"g".repeat(300)), 3);
        assert_eq!(of(300, "g"), KEPT);
    }
}
