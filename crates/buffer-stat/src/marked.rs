//! A key's hash and, in two of its bits, what the key did in this window: this makes a table's entry smaller by a word, so that more
//! of them fit into a cache.

/// The bits of the state. A table uses the lowest bits of a hash for the bucket, and the highest seven for the tag.
const STATE: u64 = 0b11 << 54;

/// What a key did in this window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Changed,
    /// Nothing yet; after a whole window of that, the key loses its place.
    Idle,
    /// It was flushed by hand, and has not changed since.
    Fresh,
    /// It was flushed by hand and has changed since: its window is the next.
    ChangedFresh,
}

/// The hash of a key, and its state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marked(u64);

/// The hash as the tables use it: without the bits of the state.
#[inline]
pub(crate) fn unmarked(hash: u64) -> u64 {
    hash & !STATE
}

impl Marked {
    pub(crate) fn new(hash: u64, state: State) -> Self {
        let bits = match state {
            State::Changed => 0,
            State::Idle => 1,
            State::Fresh => 2,
            State::ChangedFresh => 3,
        };
        Self(unmarked(hash) | bits << STATE.trailing_zeros())
    }

    #[inline]
    pub(crate) fn hash(self) -> u64 {
        unmarked(self.0)
    }

    pub(crate) fn state(self) -> State {
        match (self.0 & STATE) >> STATE.trailing_zeros() {
            0 => State::Changed,
            1 => State::Idle,
            2 => State::Fresh,
            _ => State::ChangedFresh,
        }
    }

    /// Whether the state is that of most keys that are incremented.
    #[inline]
    pub(crate) fn is_changed(self) -> bool {
        self.0 & STATE == 0
    }

    pub(crate) fn set(&mut self, state: State) {
        *self = Self::new(self.0, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_keeps_all_its_other_bits_whatever_the_state() {
        for hash in [0, u64::MAX, 0x0123_4567_89AB_CDEF] {
            let mut marked = Marked::new(hash, State::Idle);
            for state in [State::Fresh, State::Changed, State::ChangedFresh, State::Idle] {
                marked.set(state);
                assert_eq!((marked.hash(), marked.state()), (unmarked(hash), state));
            }
        }
        assert_eq!((!unmarked(u64::MAX)).count_ones(), 2);
    }
}
