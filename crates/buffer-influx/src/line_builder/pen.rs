//! Writes short texts into existing room, in a few moves of fixed size: a call of `memcpy` would cost more than the copy.

use crate::encode::byte_class::{find_in_name, find_in_text};
use crate::line_builder::ends::{ends, word_of};
use crate::line_builder::piece::{Block, Piece};

/// Writes into a slice. Its maker has seen to it that there is room for what comes, and for [`Pen::SPARE`] bytes behind it.
pub(crate) struct Pen<'a> {
    room: &'a mut [u8],
    /// A position of its own, not the slice's start: it stays in a register.
    at: usize,
}

impl<'a> Pen<'a> {
    /// How much it may write behind the text's end.
    pub(crate) const SPARE: usize = Piece::MOST;

    #[inline(always)]
    pub(crate) fn new(room: &'a mut [u8], at: usize) -> Self {
        Self { room, at }
    }

    /// Where it stands.
    #[inline(always)]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.room[self.at] = byte;
        self.at += 1;
    }

    /// Any bytes. It needs no spare room behind more than three of them.
    #[inline(always)]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        write_unless(self.room, self.at, bytes, |_| 0);
        self.at += bytes.len();
    }

    /// Writes a number of bytes that is known at compile time.
    #[inline(always)]
    pub(crate) fn array<const BYTES: usize>(&mut self, bytes: [u8; BYTES]) {
        write(self.room, self.at, bytes);
        self.at += BYTES;
    }

    /// The digits of a float: mostly 16 to 19 of them, read at places that do not depend on their number. Otherwise a processor has
    /// to guess which earlier store wrote what is read, and loses time when it guesses wrong.
    #[inline(always)]
    pub(crate) fn float_digits(&mut self, digits: &[u8]) {
        let length = digits.len();
        if !(16..=19).contains(&length) {
            return self.bytes(digits);
        }
        let room = &mut self.room[self.at..self.at + 19];
        room[..16].copy_from_slice(&digits[..16]);
        // Digits that are not there are behind the end.
        let at = |place: usize| *digits.get(place).unwrap_or(&0);
        (room[16], room[17], room[18]) = (at(16), at(17), at(18));
        self.at += length;
    }

    /// `true` or `false`, without a branch that can't be predicted.
    #[inline(always)]
    pub(crate) fn boolean(&mut self, boolean: bool) {
        let word = if boolean { *b"true    " } else { *b"false   " };
        write(self.room, self.at, word);
        self.at += 5 - usize::from(boolean);
    }

    /// Lets a function write that is not inlined: it gets the parts of a pen, so that these stay in registers, and says where the
    /// text ends, or that nothing counts as written.
    #[inline(always)]
    pub(crate) fn apart(&mut self, write: impl FnOnce(&mut [u8], usize) -> Option<usize>) -> bool {
        let end = write(self.room, self.at);
        self.at = end.unwrap_or(self.at);
        end.is_some()
    }

    /// Whole blocks, which hold a text of `length` bytes.
    #[inline(always)]
    pub(crate) fn blocks(&mut self, blocks: &[Block], length: usize) {
        let (places, _) = self.room[self.at..].as_chunks_mut();
        for (place, block) in places.iter_mut().zip(blocks) {
            *place = *block;
        }
        self.at += length;
    }

    /// What was written from `start` on.
    #[inline(always)]
    pub(crate) fn since(&self, start: usize) -> Piece {
        let len = self.at - start;
        let text = self.room[start..].first_chunk();
        text.map_or(Piece::none(), |text| Piece::of(*text, len))
    }

    /// Writes a name, if it is not empty and has nothing to escape; if not, nothing counts as written.
    #[inline(always)]
    pub(crate) fn plain_name(&mut self, name: &[u8]) -> bool {
        let plain = write_plain_name(self.room, self.at, name);
        self.at += if plain { name.len() } else { 0 };
        plain
    }

    /// Any bytes, with a backslash before each that `special` finds among eight of them, by its top bit.
    #[inline(always)]
    pub(crate) fn escaped(&mut self, bytes: &[u8], special: impl Fn(u64) -> u64) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            let word = u64::from_le_bytes(*word);
            self.escaped_word(word, 8, special(word));
        }
        let word = word_of(rest);
        self.escaped_word(word, rest.len(), special(word));
    }

    #[inline(always)]
    fn escaped_word(&mut self, mut word: u64, length: usize, mut special: u64) {
        let mut end = self.at + length;
        write(self.room, self.at, word.to_le_bytes());
        while special != 0 {
            let bits_before = special.trailing_zeros() & !7;
            self.at += bits_before as usize / 8;
            self.byte(b'\\');
            end += 1;
            word >>= bits_before;
            // What is now first is written like any other byte.
            special = (special >> bits_before) & !0x80;
            write(self.room, self.at, word.to_le_bytes());
        }
        self.at = end;
    }

    /// Writes a text, if it has nothing to escape; if it has, nothing counts as written.
    #[inline(always)]
    pub(crate) fn plain_text(&mut self, text: &[u8]) -> bool {
        let plain = write_unless(self.room, self.at, text, find_in_text);
        self.at += if plain { text.len() } else { 0 };
        plain
    }
}

/// Called for every name, so it is not inlined: the processor keeps its one copy at hand.
#[inline(never)]
fn write_plain_name(room: &mut [u8], at: usize, name: &[u8]) -> bool {
    match name.len() {
        0 => false,
        1..=16 => write_unless(room, at, name, find_in_name),
        _ => write_long_name(room, at, name),
    }
}

#[inline(never)]
fn write_long_name(room: &mut [u8], at: usize, name: &[u8]) -> bool {
    write_unless(room, at, name, find_in_name)
}

/// Writes `bytes`, unless `find` finds something in any eight of them.
///
/// A text that is at least as long as a move takes two, one from its start and one up to its end, which overlap.
#[inline(always)]
fn write_unless(room: &mut [u8], at: usize, bytes: &[u8], find: impl Fn(u64) -> u64) -> bool {
    let length = bytes.len();
    let found = match length {
        0 => 0,
        1..4 => {
            // The same byte may come twice; then the second one is behind the end.
            let few = [bytes[0], bytes[length / 2], bytes[length - 1], b'x'];
            write(room, at, few);
            find(joined(few, [b'x'; 4]))
        }
        4..8 => {
            let (first, last) = write_ends::<4>(room, at, bytes);
            find(joined(first, last))
        }
        8..=16 => {
            let (first, last) = write_ends::<8>(room, at, bytes);
            find(u64::from_le_bytes(first)) | find(u64::from_le_bytes(last))
        }
        17..=32 => {
            write_ends::<16>(room, at, bytes);
            find_in_long(bytes, find)
        }
        33..=64 => {
            write_ends::<32>(room, at, bytes);
            find_in_long(bytes, find)
        }
        _ => {
            room[at..at + length].copy_from_slice(bytes);
            find_in_long(bytes, find)
        }
    };
    found == 0
}

/// Writes `bytes`, which are at least as long as a move, in two of them.
#[inline(always)]
fn write_ends<const MOVE: usize>(room: &mut [u8], at: usize, bytes: &[u8]) -> ([u8; MOVE], [u8; MOVE]) {
    let (first, last) = ends(bytes);
    // One bounds check for both: with one between them, the second move would lie in memory.
    let room = &mut room[at..at + bytes.len()];
    if let Some(place) = room.first_chunk_mut() {
        *place = first;
    }
    if let Some(place) = room.last_chunk_mut() {
        *place = last;
    }
    (first, last)
}

#[inline(always)]
fn find_in_long(bytes: &[u8], find: impl Fn(u64) -> u64) -> u64 {
    let (_, last) = ends::<8>(bytes);
    let (words, _) = bytes.as_chunks();
    words.iter().fold(find(u64::from_le_bytes(last)), |found, word| {
        found | find(u64::from_le_bytes(*word))
    })
}

#[inline(always)]
fn write<const MOVE: usize>(room: &mut [u8], at: usize, bytes: [u8; MOVE]) {
    room[at..at + MOVE].copy_from_slice(&bytes);
}

#[inline(always)]
fn joined(first: [u8; 4], last: [u8; 4]) -> u64 {
    u64::from(u32::from_le_bytes(first)) | u64::from(u32::from_le_bytes(last)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::byte_class::{Class, IN_KEY};

    #[test]
    fn bytes_of_every_length_are_written_and_nothing_before_them() {
        let all: Vec<u8> = (1..=100).collect();
        for length in 0..=all.len() {
            for is_float in [false, true] {
                let mut room = [0; 110 + Pen::SPARE];
                let mut pen = Pen::new(&mut room, 5);
                match is_float {
                    false => pen.bytes(&all[..length]),
                    true => pen.float_digits(&all[..length]),
                }
                pen.byte(0xff);
                assert_eq!(pen.at(), 6 + length);
                assert_eq!(&room[..5], [0; 5]);
                assert_eq!(&room[5..5 + length], &all[..length]);
                assert_eq!(room[5 + length], 0xff);
            }
        }
    }

    #[test]
    fn a_byte_that_is_not_copied_is_found_at_every_place() {
        let mut room = [0; 40 + Pen::SPARE];
        for length in 1..40 {
            for place in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'x'; length];
                    bytes[place] = byte;
                    let mut pen = Pen::new(&mut room, 0);
                    let is_plain = matches!(IN_KEY[usize::from(byte)], Class::Plain) && byte >= b'-';
                    assert_eq!(pen.plain_name(&bytes), is_plain, "{byte} {place} of {length}");
                    assert_eq!(pen.at(), if is_plain { length } else { 0 });
                    let is_text = byte >= 0x20 && !b"\"\\".contains(&byte);
                    let mut pen = Pen::new(&mut room, 0);
                    assert_eq!(pen.plain_text(&bytes), is_text, "{byte} {place} of {length}");
                }
            }
        }
    }
}
