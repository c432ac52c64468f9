//! Where the keys of a line's fields stand in its text, to notice one that is set twice.

/// Keys that were written, each with a `=` behind it. The first of them stand inside, as most lines have few.
#[derive(Debug)]
pub(crate) struct FieldKeys {
    /// A bit for each key, by its length and its ends: where it is not set, no key needs to be compared.
    seen: u64,
    first: [u32; USUAL],
    len: usize,
    more: Vec<u32>,
}

const USUAL: usize = 8;

impl FieldKeys {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            seen: 0,
            first: [0; USUAL],
            len: 0,
            more: Vec::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the key from `start` to the end of `text`, unless it is there before.
    #[inline(always)]
    pub(crate) fn add(&mut self, text: &[u8], start: usize) -> bool {
        let bit = bit(&text[start..]);
        if self.seen & bit != 0 && self.has(text, start) {
            return false;
        }
        self.seen |= bit;
        match self.first.get_mut(self.len) {
            Some(place) => *place = start as u32,
            None => self.more.push(start as u32),
        }
        self.len += 1;
        true
    }

    #[inline(never)]
    fn has(&self, text: &[u8], start: usize) -> bool {
        let (before, key) = text.split_at(start);
        let mut keys = self.first.iter().take(self.len).chain(&self.more);
        // Letter by letter: a call to compare a few would cost more.
        keys.any(|other| {
            let mut other = before[*other as usize..].iter();
            key.iter().all(|byte| other.next() == Some(byte)) && other.next() == Some(&b'=')
        })
    }
}

#[inline(always)]
fn bit(key: &[u8]) -> u64 {
    let ends = match key {
        [first, .., last] => first ^ last.rotate_left(3),
        _ => 0,
    };
    1 << ((usize::from(ends) + key.len()) % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_however_many_there_are() {
        let mut keys = FieldKeys::new();
        let mut text = Vec::new();
        let mut add = |number: usize| {
            let start = text.len();
            text.extend_from_slice(format!("f{number}").as_bytes());
            let is_new = keys.add(&text, start);
            text.push(b'=');
            is_new
        };
        assert!((0..100).all(&mut add));
        assert!(!(0..100).any(add));
    }
}
