//! Where a line grows, so that it is allocated once and at its exact size.

use std::fmt;

use crate::line_builder::pen::Pen;
use crate::line_builder::piece::{Block, Piece};

/// How much is kept at most after a large line.
const KEPT_BYTES: usize = 64 * 1024;

/// Room for one line after another.
#[derive(Default)]
pub(crate) struct Scratch {
    /// All of it may be written to; what counts ends at `end`.
    room: Vec<u8>,
    end: usize,
}

impl Scratch {
    #[inline(always)]
    pub(crate) fn written(&self) -> &[u8] {
        &self.room[..self.end]
    }

    /// What is written, plus what a pen has written behind it.
    #[inline(always)]
    pub(crate) fn up_to(&self, end: usize) -> &[u8] {
        &self.room[..end]
    }

    /// Where it ends.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Moves the end forwards, over what a pen has written, or back.
    #[inline(always)]
    pub(crate) fn end_at(&mut self, end: usize) {
        self.end = end;
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.room.len()
    }

    /// Gives back what only a large line needed.
    #[inline(always)]
    pub(crate) fn forget_large(&mut self) {
        if self.room.len() > KEPT_BYTES {
            *self = Self::default();
        }
    }

    /// A pen at a place, with room for twice as many bytes, as each may be escaped, plus a number and separators. What it writes
    /// counts once the [end is moved](Scratch::end_at).
    #[inline(always)]
    pub(crate) fn pen(&mut self, at: usize, bytes: usize) -> Pen<'_> {
        const NUMBER_AND_SEPARATORS: usize = 40;
        let needed = at + 2 * bytes + NUMBER_AND_SEPARATORS + Pen::SPARE;
        if needed > self.room.len() {
            self.grow(needed);
        }
        Pen::new(&mut self.room, at)
    }

    /// Begins with a text of `bytes` bytes, held in the blocks.
    #[inline(always)]
    pub(crate) fn begin_with(&mut self, blocks: &[Block], bytes: usize) {
        self.pen(0, bytes).blocks(blocks, bytes);
        self.end = bytes;
    }

    /// Writes a piece at a place, and says where it ends; none if the text is too long for a piece, or if there is no room, which a
    /// [pen](Scratch::pen) makes.
    #[inline(always)]
    pub(crate) fn write_piece(&mut self, at: usize, piece: &Piece) -> Option<usize> {
        piece.write(&mut self.room, at)
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.room.resize(needed.next_power_of_two().max(1_024), 0);
    }
}

/// Shows what is written: behind it are other lines.
impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room: _, end: _ } = self;
        fmt::Debug::fmt(&String::from_utf8_lossy(self.written()), f)
    }
}
