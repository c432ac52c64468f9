//! The names in the line before: the next line of the measurement mostly has the same, in the same order.
//!
//! Invariants
//! 1. The entries up to the first without a place may stand in one line, in this order: every name is usual, the keys of tags ascend,
//!    and no key of a field comes twice.
//! 2. The first `at` of them are the names of the line that is being written.
//! 3. They are those of `slot`, and among the others that one is empty.
//! 4. Between two lines nothing is large.

use std::fmt;
use std::mem;

use crate::encode::dialect::SERIES_NAME;
use crate::line_builder::pen::Pen;
use crate::line_builder::piece::Piece;
use crate::line_builder::scratch::Scratch;
use crate::line_builder::short::Short;
use crate::line_builder::usual::write_name;
use crate::point::point_error::Element;

/// Where a name stands in its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The name was behind one that the present line does not have.
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
    short: Short,
    written: Piece,
    /// The value that a tag had here last, if it was short.
    value: Short,
    written_value: Piece,
}

/// The names of the line that is being written, followed by those that it is likely to have.
#[derive(Default)]
pub(crate) struct KnownNames {
    entries: Vec<Entry>,
    at: usize,
    /// There are more names, or longer ones, than may be kept.
    is_large: bool,
    /// The slot that the entries belong to.
    slot: Slot,
    /// The entries of other lines.
    others: [Vec<Entry>; SLOTS],
}

/// Where a thread remembers the lines of a measurement. Measurements that share a slot only forget each other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// The most measurements whose lines a thread remembers.
const SLOTS: usize = 8;

/// How many names of a line are remembered, and how long they are at most: more would be memory that stays. The key of a tag that is
/// longer is left to a point, which knows whether the server takes it.
const KEPT: usize = 256;
const KEPT_BYTES: usize = 256;

/// Behind so many names a new one is left to a point, which has an index: to look at all that are before it takes longer and longer.
const LOOKED_AT: usize = 1_024;

impl KnownNames {
    /// Begins a line that is likely to have the names of this slot.
    #[inline(always)]
    pub(crate) fn begin(&mut self, slot: Slot) {
        if self.slot != slot {
            self.turn_to(slot);
        }
        self.at = 0;
    }

    /// By invariant 4 there is nothing large to forget first.
    fn turn_to(&mut self, slot: Slot) {
        mem::swap(&mut self.entries, &mut self.others[self.slot.0]);
        mem::swap(&mut self.entries, &mut self.others[slot.0]);
        self.slot = slot;
    }

    /// Writes a name at a place, with the separators around it, and says where it ends; none if it is not usual, or out of order at
    /// this place.
    ///
    /// Called for every name, so it is not inlined: the processor keeps its one copy at hand.
    #[inline(never)]
    pub(crate) fn write(
        &mut self,
        scratch: &mut Scratch,
        at: usize,
        place: Place,
        name: &str,
    ) -> Option<usize> {
        if let Some(entry) = self.entries.get(self.at)
            && entry.place == place
            && entry.short.is(name.as_bytes())
            && let Some(end) = scratch.write_piece(at, &entry.written)
        {
            self.at += 1;
            return Some(end);
        }
        self.write_new(scratch, at, place, name)
    }

    /// Writes the value of the tag whose key was written last, and says where it ends; none if it is not usual.
    #[inline(always)]
    pub(crate) fn write_value(&mut self, scratch: &mut Scratch, at: usize, value: &str) -> Option<usize> {
        let entry = self.entries.get_mut(self.at - 1)?;
        entry.write_value(scratch, at, value)
    }

    #[inline(never)]
    fn write_new(&mut self, scratch: &mut Scratch, at: usize, place: Place, name: &str) -> Option<usize> {
        let mut pen = scratch.pen(at, name.len());
        let (before, likely) = self.entries.split_at(self.at);
        let is_known = likely
            .first()
            .is_some_and(|entry| entry.place == place && entry.name == name);
        if !is_known && (self.at >= LOOKED_AT || !is_in_order(before, place, name)) {
            return None;
        }
        let usual = match place {
            Place::None => false,
            Place::Measurement => write_name(&mut pen, Element::Measurement, name),
            Place::TagKey => name.len() <= KEPT_BYTES && write_key(&mut pen, b',', Element::TagKey, name),
            Place::FirstField => write_key(&mut pen, b' ', Element::FieldKey, name),
            Place::NextField => write_key(&mut pen, b',', Element::FieldKey, name),
        };
        if !usual {
            return None;
        }
        if !is_known {
            if self.at == self.entries.len() {
                self.entries.push(Entry::new());
            }
            self.entries[self.at].become_name(place, name, pen.since(at));
            if let Some(behind) = self.entries.get_mut(self.at + 1) {
                // By invariant 1: it may be this very name.
                behind.place = Place::None;
            }
            self.is_large |= name.len() > KEPT_BYTES || self.at >= KEPT;
        }
        self.at += 1;
        Some(pen.at())
    }

    /// The number of the names that are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.entries.len()
    }

    /// Keeps, of a line with more or longer names than may be kept, what comes before those: it stood in one line, too.
    #[inline(always)]
    pub(crate) fn forget_large(&mut self) {
        if self.is_large {
            self.forget();
        }
    }

    #[cold]
    fn forget(&mut self) {
        let is_long = |entry: &Entry| entry.name.len() > KEPT_BYTES;
        let kept = self.entries.iter().position(is_long).unwrap_or(KEPT);
        self.entries.truncate(kept.min(KEPT));
        self.entries.shrink_to(KEPT);
        self.at = 0;
        self.is_large = false;
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            place: Place::None,
            name: String::new(),
            short: Short::default(),
            written: Piece::none(),
            value: Short::default(),
            written_value: Piece::none(),
        }
    }

    fn become_name(&mut self, place: Place, name: &str, written: Piece) {
        self.place = place;
        self.name.clear();
        // No more than that, or more than may be kept would stay.
        self.name.reserve_exact(name.len());
        self.name.push_str(name);
        self.short.set(name.as_bytes());
        self.written = written;
    }

    /// Called for every tag, so it is not inlined, like `write`.
    #[inline(never)]
    fn write_value(&mut self, scratch: &mut Scratch, at: usize, value: &str) -> Option<usize> {
        if self.value.is(value.as_bytes())
            && let Some(end) = scratch.write_piece(at, &self.written_value)
        {
            return Some(end);
        }
        self.write_new_value(scratch, at, value)
    }

    #[inline(never)]
    fn write_new_value(&mut self, scratch: &mut Scratch, at: usize, value: &str) -> Option<usize> {
        let mut pen = scratch.pen(at, value.len());
        if !write_name(&mut pen, Element::TagValue, value) {
            return None;
        }
        self.written_value = pen.since(at);
        self.value.set(value.as_bytes());
        Some(pen.at())
    }
}

/// Whether `name` may come behind the names `before`.
fn is_in_order(before: &[Entry], place: Place, name: &str) -> bool {
    match place {
        Place::None => false,
        Place::Measurement => !name.starts_with('#'),
        Place::TagKey => {
            let last = before.last().filter(|last| last.place == Place::TagKey);
            // Either is refused, the second by one dialect; a thread knows names for all of them.
            name != "time" && name != SERIES_NAME && last.is_none_or(|last| *last.name < *name)
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
    /// The slot of lines of `measurement`.
    #[inline(always)]
    pub(crate) fn of_lines(measurement: &str) -> Self {
        match measurement.as_bytes() {
            [first, .., last] => {
                Self(usize::from(first.wrapping_mul(5) ^ last).wrapping_add(measurement.len()) % SLOTS)
            }
            _ => Self(0),
        }
    }

    /// The slot of lines that begin with a series of `measurement`, which is written as a whole.
    pub(crate) fn of_series_lines(measurement: &str) -> Self {
        let Self(slot) = Self::of_lines(measurement);
        Self(slot ^ (SLOTS / 2))
    }
}

impl fmt::Debug for KnownNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = &self.entries[..self.at];
        f.debug_list()
            .entries(written.iter().map(|entry| &entry.name))
            .finish()
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
    fn the_names_of_other_lines_are_kept() {
        let (mut names, mut scratch) = (KnownNames::default(), Scratch::default());
        for slot in [0, 1, 0, 1, 7] {
            names.begin(Slot(slot));
            let name = format!("of_{slot}");
            let known = names.entries.first().map(|entry| entry.name.clone());
            assert!(known.is_none_or(|known| known == name));
            assert!(names.write(&mut scratch, 0, Place::Measurement, &name).is_some());
        }
        let kept = |slot: usize| names.others[slot].first().map(|entry| entry.name.as_str());
        assert_eq!((kept(0), kept(1), kept(7)), (Some("of_0"), Some("of_1"), None));
    }

    #[test]
    fn of_a_large_line_its_beginning_is_kept() {
        let of = |fields: usize, last: &str| {
            let (mut names, mut scratch) = (KnownNames::default(), Scratch::default());
            names.begin(Slot(0));
            for field in 0..fields {
                let name = format!("f{field}");
                assert!(names.write(&mut scratch, 0, Place::NextField, &name).is_some());
            }
            assert!(names.write(&mut scratch, 0, Place::NextField, last).is_some());
            names.forget_large();
            names.kept()
        };
        assert_eq!(of(2, "g"), 3);
        assert_eq!(of(3, &"g".repeat(300)), 3);
        assert_eq!(of(300, "g"), KEPT);
    }
}
