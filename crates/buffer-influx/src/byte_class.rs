//! Which bytes of a name need more than to be copied.

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
