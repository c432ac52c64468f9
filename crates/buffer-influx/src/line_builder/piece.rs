//! Texts that are written again and again, in moves of one size.

/// A part of a longer text that is written again and again.
pub(crate) type Block = [u8; BLOCK];

const BLOCK: usize = 32;

/// Cuts a text into blocks.
pub(crate) fn blocks_of(text: &str) -> Box<[Block]> {
    let block = |part: &[u8]| {
        let mut block = [0; BLOCK];
        block[..part.len()].copy_from_slice(part);
        block
    };
    text.as_bytes().chunks(BLOCK).map(block).collect()
}

/// A short text that is written again and again: in moves of one size, whatever its length.
pub(crate) struct Piece {
    text: [u8; Self::MOST],
    /// Zero where the text is longer than that.
    len: usize,
}

impl Piece {
    pub(crate) const MOST: usize = 48;

    pub(crate) fn none() -> Self {
        Self {
            text: [0; Self::MOST],
            len: 0,
        }
    }

    /// The first `len` bytes of `text`; empty if these are more than a piece has.
    #[inline(always)]
    pub(crate) fn of(text: [u8; Self::MOST], len: usize) -> Self {
        let len = if len <= Self::MOST { len } else { 0 };
        Self { text, len }
    }

    /// Writes it at a place, and says where it ends; none if the text was too long for it, or there is no room.
    #[inline(always)]
    pub(crate) fn write(&self, room: &mut [u8], at: usize) -> Option<usize> {
        *room.get_mut(at..)?.first_chunk_mut()? = self.text;
        (self.len > 0).then_some(at + self.len)
    }
}
