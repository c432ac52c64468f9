//! Where a thread's lines grow, so that each is allocated once and at its exact size.

use std::cell::Cell;
use std::fmt;

use crate::pen::{Pen, Piece};

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What a thread keeps at most after a large point.
const KEPT_BYTES: usize = 64 * 1024;

/// The thread's room, given back with the drop. A second one at the same time has room of its own.
pub(crate) struct Scratch {
    /// All of it may be written to; what counts ends at `end`.
    room: Vec<u8>,
    end: usize,
}

impl Scratch {
    /// Empty.
    #[inline]
    pub(crate) fn of_thread() -> Self {
        Self {
            room: ROOM.try_with(Cell::take).unwrap_or_default(),
            end: 0,
        }
    }

    #[inline(always)]
    pub(crate) fn written(&self) -> &[u8] {
        &self.room[..self.end]
    }

    /// What is written, and what a pen has written behind it.
    #[inline(always)]
    pub(crate) fn up_to(&self, end: usize) -> &[u8] {
        &self.room[..end]
    }

    /// Where it ends.
    #[inline(always)]
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// Moves the end, forwards over what a pen has written, or back.
    #[inline(always)]
    pub(crate) fn end_at(&mut self, end: usize) {
        self.end = end;
    }

    /// A pen at the end, with room for twice as many bytes, as each may be escaped, and for a number and separators besides.
    #[inline(always)]
    pub(crate) fn pen(&mut self, bytes: usize) -> Pen<'_> {
        const NUMBER_AND_SEPARATORS: usize = 40;
        let needed = self.end + 2 * bytes + NUMBER_AND_SEPARATORS + Pen::SPARE;
        if needed > self.room.len() {
            self.grow(needed);
        }
        Pen::new(&mut self.room, self.end)
    }

    /// Writes a piece at the end, and says whether it has: it has not where the text is too long for a piece, nor where there is no room,
    /// which a [pen](Scratch::pen) makes.
    #[inline(always)]
    pub(crate) fn write_piece(&mut self, piece: &Piece) -> bool {
        let end = piece.write(&mut self.room, self.end);
        self.end = end.unwrap_or(self.end);
        end.is_some()
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        self.room.resize(needed.next_power_of_two().max(1_024), 0);
    }
}

/// What is written: behind it are lines of others.
impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { room: _, end: _ } = self;
        fmt::Debug::fmt(&String::from_utf8_lossy(self.written()), f)
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.room);
        if room.len() > KEPT_BYTES {
            room = Vec::new();
        }
        // The thread ends otherwise, and its room with it.
        let _ = ROOM.try_with(|kept| kept.set(room));
    }
}
