//! The names of a line before: the next one of its measurement mostly has the same, in the same order.
//!
//! Invariants
//! 1. The first `sound` entries stood in one line, in this order: every name is usual, the keys of tags ascend, and no key of a
//!    field comes twice.
//! 2. The first `at` of them, which are sound, are the names of the line that is being written.

use std::cell::Cell;
use std::fmt;

use crate::ends::is_same;
use crate::pen::{Pen, Piece};
use crate::point_error::Element;
use crate::usual::write_name;

/// Where a name stands in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
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
    sound: usize,
    /// There is a name that is too long to be kept.
    is_large: bool,
}

/// The names of the line that is being written, before those that it is likely to have. They are given back with the drop.
pub(crate) struct KnownNames {
    lines: Lines,
    at: usize,
    slot: usize,
}

/// Of how many measurements a thread remembers the lines, at most.
const SLOTS: usize = 8;

/// How many names are remembered of a line, and how long they are at most: more would be memory that stays.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 256;

thread_local! {
    static LINES: [Cell<Lines>; SLOTS] = const { [const { Cell::new(Lines { entries: Vec::new(), sound: 0, is_large: false }) }; SLOTS] };
}

impl KnownNames {
    /// Those that begin with `measurement`.
    #[inline(always)]
    pub(crate) fn of_lines(measurement: &str) -> Self {
        Self::at_slot(slot_of(measurement))
    }

    /// Those of lines that begin with a series of `measurement`, which is written as a whole.
    #[inline(always)]
    pub(crate) fn of_series_lines(measurement: &str) -> Self {
        Self::at_slot(slot_of(measurement) ^ (SLOTS / 2))
    }

    #[inline(always)]
    fn at_slot(slot: usize) -> Self {
        Self {
            lines: LINES.try_with(|lines| lines[slot].take()).unwrap_or_default(),
            at: 0,
            slot,
        }
    }

    /// Writes a name with the separators around it, and says whether it was usual, and in its place in the order.
    #[inline(always)]
    pub(crate) fn write(&mut self, pen: &mut Pen<'_>, place: Place, name: &str) -> bool {
        if let Some(entry) = self.lines.entries.get(self.at)
            && self.at < self.lines.sound
            && entry.place == place
            && is_same(&entry.name, name)
            && pen.piece(&entry.written)
        {
            self.at += 1;
            return true;
        }
        self.write_new(pen, place, name)
    }

    /// Writes the value of the tag whose key was written last, and says whether it was usual.
    #[inline(always)]
    pub(crate) fn write_value(&mut self, pen: &mut Pen<'_>, value: &str) -> bool {
        let entry = &mut self.lines.entries[self.at - 1];
        if is_same(&entry.value, value) && pen.piece(&entry.written_value) {
            return true;
        }
        entry.write_new_value(pen, value)
    }

    #[inline(never)]
    fn write_new(&mut self, pen: &mut Pen<'_>, place: Place, name: &str) -> bool {
        let Lines {
            entries,
            sound,
            is_large,
        } = &mut self.lines;
        let (before, likely) = entries.split_at(self.at);
        let is_known = self.at < *sound && likely[0].place == place && likely[0].name == name;
        if !is_known && !is_in_order(before, place, name) {
            return false;
        }
        let start = pen.at();
        let usual = match place {
            Place::Measurement => write_name(pen, Element::Measurement, name),
            Place::TagKey => write_key(pen, b',', Element::TagKey, name),
            Place::FirstField => write_key(pen, b' ', Element::FieldKey, name),
            Place::NextField => write_key(pen, b',', Element::FieldKey, name),
        };
        if !usual {
            return false;
        }
        if !is_known {
            if self.at == entries.len() {
                entries.push(Entry::new());
            }
            let entry = &mut entries[self.at];
            entry.place = place;
            entry.name.clear();
            entry.name.push_str(name);
            entry.written = pen.since(start);
            entry.value.clear();
            entry.written_value = Piece::none();
            // By invariant 1 what was sound behind it is no longer.
            *sound = self.at + 1;
            *is_large |= name.len() > KEPT_BYTES;
        }
        self.at += 1;
        true
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            place: Place::Measurement,
            name: String::new(),
            written: Piece::none(),
            value: String::new(),
            written_value: Piece::none(),
        }
    }

    #[inline(never)]
    fn write_new_value(&mut self, pen: &mut Pen<'_>, value: &str) -> bool {
        let start = pen.at();
        let usual = write_name(pen, Element::TagValue, value);
        if usual {
            self.written_value = pen.since(start);
            self.value.clear();
            if self.written_value.is_some() {
                self.value.push_str(value);
            }
        }
        usual
    }
}

/// Whether `name` may come behind the names `before`.
fn is_in_order(before: &[Entry], place: Place, name: &str) -> bool {
    match place {
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
            name != "time" && fields.map(|entry| &entry.name).all(|other| !is_same(other, name))
        }
    }
}

fn write_key(pen: &mut Pen<'_>, separator: u8, element: Element, key: &str) -> bool {
    pen.byte(separator);
    let usual = write_name(pen, element, key);
    pen.byte(b'=');
    usual
}

/// Measurements that have the same slot only forget each other.
#[inline(always)]
fn slot_of(measurement: &str) -> usize {
    match measurement.as_bytes() {
        [first, .., last] => usize::from(first ^ last.rotate_left(3)).wrapping_add(measurement.len()) % SLOTS,
        _ => 0,
    }
}

impl fmt::Debug for KnownNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.lines.entries[..self.at].iter().map(|entry| &entry.name);
        f.debug_list().entries(names).finish()
    }
}

impl Drop for KnownNames {
    #[inline]
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        if lines.entries.len() <= KEPT && !lines.is_large {
            // The thread ends otherwise, and what it remembers with it.
            let _ = LINES.try_with(|all| all[self.slot].set(lines));
        }
    }
}
