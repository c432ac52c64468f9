//! Takes short texts by both ends: what is at least as long as a move takes two, which overlap.

/// The first and the last bytes of at least as many.
#[inline(always)]
pub(crate) fn ends<const MOVE: usize>(bytes: &[u8]) -> ([u8; MOVE], [u8; MOVE]) {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => unreachable!("the length was looked at before"),
    }
}

/// The last up to eight bytes, from the first byte of a word on; what is behind them is zero.
#[inline(always)]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    let length = bytes.len();
    match length {
        0 => 0,
        1..4 => {
            let at = |place: usize| u64::from(bytes[place]) << (8 * place);
            at(0) | at(length / 2) | at(length - 1)
        }
        4..8 => {
            let (first, last) = ends::<4>(bytes);
            let last = u64::from(u32::from_le_bytes(last)) << (8 * (length - 4));
            u64::from(u32::from_le_bytes(first)) | last
        }
        _ => u64::from_le_bytes(ends::<8>(bytes).1),
    }
}

/// Whether two texts are the same, and of 1 to 32 bytes: a call to compare these would cost more.
#[inline(always)]
pub(crate) fn is_same_short(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let length = one.len();
    length == other.len()
        && match length {
            1..4 => {
                let few = |bytes: &[u8]| [bytes[0], bytes[length / 2], bytes[length - 1]];
                few(one) == few(other)
            }
            4..8 => ends::<4>(one) == ends::<4>(other),
            8..=16 => ends::<8>(one) == ends::<8>(other),
            17..=32 => ends::<16>(one) == ends::<16>(other),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_its_bytes_in_order_and_zeros_behind_them() {
        let bytes = *b"abcdefgh";
        for length in 0..=8 {
            let mut word = [0; 8];
            word[..length].copy_from_slice(&bytes[..length]);
            assert_eq!(word_of(&bytes[..length]).to_le_bytes(), word);
        }
    }

    #[test]
    fn texts_of_every_length_are_the_same_only_where_every_byte_is() {
        let text = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
        for length in 0..=text.len() {
            let one = &text[..length];
            assert_eq!(is_same_short(one, one), (1..=32).contains(&length));
            assert!(!is_same_short(one, &format!("{one}x")));
            for place in 0..length {
                let mut other = one.to_owned();
                other.replace_range(place..=place, "_");
                assert!(!is_same_short(one, &other), "{place} of {length}");
            }
        }
    }
}
