//! What increments and sums that came back changed besides sums, for whoever turns the windows.

use crate::table::Added;

/// What increments, or sums that came back, changed besides sums.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Changes {
    /// This may be the start of a window.
    pub(crate) first: bool,
    /// A key that was flushed by hand has changed.
    pub(crate) fresh: bool,
    /// There are too many keys, so the window should end early.
    pub(crate) crowded: bool,
}

impl Changes {
    pub(crate) fn add(&mut self, other: Self) {
        let Self {
            first,
            fresh,
            crowded,
        } = other;
        self.first |= first;
        self.fresh |= fresh;
        self.crowded |= crowded;
    }

    /// Whether there is anything to tell.
    pub(crate) fn is_any(self) -> bool {
        let Self {
            first,
            fresh,
            crowded,
        } = self;
        first || fresh || crowded
    }
}

impl From<Added> for Changes {
    fn from(added: Added) -> Self {
        Self {
            first: added == Added::First,
            fresh: added == Added::Fresh,
            crowded: false,
        }
    }
}
