//! Takes short texts by both ends: a text that is at least as long as a move takes two, which overlap.

/// The first and the last `MOVE` bytes of at least as many.
#[inline(always)]
pub(crate) fn ends<const MOVE: usize>(bytes: &[u8]) -> ([u8; MOVE], [u8; MOVE]) {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => (*first, *last),
        _ => unreachable!("the length was looked at before"),
    }
}

/// The bytes, at most eight, from the first byte of a word on; the others are zero.
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
}
