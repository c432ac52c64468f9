//! Which bytes of a name can't simply be copied.

/// What a byte of a name asks for.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum Class {
    Plain = 0,
    /// Escaped by a backslash.
    Separator,
    /// Written as a backslash and a letter.
    Break,
    Backslash,
    /// Refused.
    Control,
}

pub(crate) static IN_MEASUREMENT: [Class; 256] = classes(b", ");
pub(crate) static IN_KEY: [Class; 256] = classes(b", =");

const fn classes(separators: &[u8]) -> [Class; 256] {
    let mut classes = [Class::Plain; 256];
    let mut control = 0;
    while control < 0x20 {
        classes[control] = Class::Control;
        control += 1;
    }
    classes[0x7f] = Class::Control;
    classes[b'\n' as usize] = Class::Break;
    classes[b'\r' as usize] = Class::Break;
    classes[b'\t' as usize] = Class::Break;
    classes[b'\\' as usize] = Class::Backslash;
    let mut index = 0;
    while index < separators.len() {
        classes[separators[index] as usize] = Class::Separator;
        index += 1;
    }
    classes
}

/// Finds bytes of a name that are not copied as they are in every part of a line, in eight bytes at once: then the result is not
/// zero. It also finds most of what stands before the minus sign in ASCII, as that is rare in names.
#[inline(always)]
pub(crate) fn find_in_name(word: u64) -> u64 {
    let found = below(word, b'-') | is(word, b'=') | is(word, b'\\') | word.wrapping_add(EVERY);
    found & !word & (EVERY << 7)
}

/// Finds bytes of a text that are not copied as they are between its quotes, and all control characters.
#[inline(always)]
pub(crate) fn find_in_text(word: u64) -> u64 {
    let found = below(word, b' ') | is(word, b'"') | is(word, b'\\');
    found & !word & (EVERY << 7)
}

/// Finds bytes that no name has in a line unless a rule covers them.
#[inline(always)]
pub(crate) fn find_unusual(word: u64) -> u64 {
    let found = below(word, b' ') | is(word, b'\\') | word.wrapping_add(EVERY);
    found & !word & (EVERY << 7)
}

/// Whether any of the eight bytes of `word` is `byte`.
#[inline(always)]
pub(crate) fn has(word: u64, byte: u8) -> bool {
    places_of(word, byte) != 0
}

/// The top bit of each of the eight bytes that is `byte`, and of no other: a test by subtraction may be wrong behind the first that
/// it finds.
#[inline(always)]
pub(crate) fn places_of(word: u64, byte: u8) -> u64 {
    let other = word ^ (EVERY * u64::from(byte));
    let low = EVERY * 0x7f;
    !(((other & low) + low) | other | low)
}

const EVERY: u64 = 0x0101_0101_0101_0101;

/// `bound` must be an ASCII character.
#[inline(always)]
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(EVERY * u64::from(bound))
}

#[inline(always)]
fn is(word: u64, byte: u8) -> u64 {
    below(word ^ (EVERY * u64::from(byte)), 1)
}
