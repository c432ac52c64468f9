//! What an encoder does with values that the line protocol has no good form for.

use crate::dialect::Dialect;

/// What becomes of a float that is not a number or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NonFinite {
    /// The point is refused.
    Refuse,
    /// The field is left out; a point of nothing but such fields is refused.
    LeaveOut,
}

/// What becomes of control characters in names and tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ControlCharacters {
    /// Line breaks and tabs become `\n`, `\r` and `\t`, two characters each; with any other the point is refused.
    Escape,
    /// They are left out.
    Remove,
    /// The point is refused.
    Refuse,
}

/// What becomes of backslashes at the end of a name or a tag, which no server can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrailingBackslash {
    /// The point is refused.
    Refuse,
    /// They are left out.
    Trim,
}

/// What becomes of a `u64` above `i64::MAX` on a server without unsigned integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LargeUnsigned {
    /// The point is refused.
    Refuse,
    /// It becomes `i64::MAX`.
    Clamp,
}

/// All rules of one encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) dialect: Dialect,
    pub(crate) non_finite: NonFinite,
    pub(crate) control_characters: ControlCharacters,
    pub(crate) trailing_backslash: TrailingBackslash,
    pub(crate) large_unsigned: LargeUnsigned,
    pub(crate) longest_line: usize,
}

impl Rules {
    /// By default nothing that a program hands in is changed in its meaning, so what has no form is refused.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            non_finite: NonFinite::Refuse,
            control_characters: ControlCharacters::Escape,
            trailing_backslash: TrailingBackslash::Refuse,
            large_unsigned: LargeUnsigned::Refuse,
            longest_line: dialect.longest_line(),
        }
    }
}
