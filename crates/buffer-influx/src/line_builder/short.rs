//! A short text that others are compared with.

use crate::line_builder::ends::ends;
use crate::line_builder::pen::Pen;

/// A text of at most 32 bytes, or none.
#[derive(Default)]
pub(crate) struct Short {
    text: [u8; Self::MOST],
    len: usize,
}

impl Short {
    const MOST: usize = 32;

    /// Becomes `text`; none where that is longer.
    #[inline(always)]
    pub(crate) fn set(&mut self, text: &[u8]) {
        self.len = 0;
        if text.len() <= Self::MOST {
            Pen::new(&mut self.text, 0).bytes(text);
            self.len = text.len();
        }
    }

    /// Whether it is `text`, and not empty: a function call to compare such texts would cost more.
    #[inline(always)]
    pub(crate) fn is(&self, text: &[u8]) -> bool {
        if self.len != text.len() {
            return false;
        }
        // The usual first.
        if (4..=8).contains(&text.len()) {
            self.has_ends_of::<4>(text)
        } else if (9..=16).contains(&text.len()) {
            self.has_ends_of::<8>(text)
        } else if (17..=Self::MOST).contains(&text.len()) {
            self.has_ends_of::<16>(text)
        } else if (2..4).contains(&text.len()) {
            self.has_ends_of::<2>(text)
        } else {
            text.len() == 1 && text[0] == self.text[0]
        }
    }

    #[inline(always)]
    fn has_ends_of<const MOVE: usize>(&self, text: &[u8]) -> bool {
        ends::<MOVE>(&self.text[..text.len()]) == ends::<MOVE>(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_the_same_only_where_every_byte_is() {
        let is_same = |one: &str, other: &str| {
            let mut short = Short::default();
            short.set(one.as_bytes());
            short.is(other.as_bytes())
        };
        let text = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
        for length in 0..=text.len() {
            let one = &text[..length];
            assert_eq!(is_same(one, one), (1..=32).contains(&length));
            assert!(!is_same(one, &format!("{one}x")));
            for place in 0..length {
                let mut other = one.to_owned();
                other.replace_range(place..=place, "_");
                assert!(!is_same(one, &other), "{place} of {length}");
            }
        }
    }
}
