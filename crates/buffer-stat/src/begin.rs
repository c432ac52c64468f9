//! What increments tell of the running window. It is locked for a moment only: they must not wait for a hand-over.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::changes::Changes;
use crate::sync::Mutex;

/// The begin of the running window.
pub(crate) struct Begin(Mutex<Told>);

/// What was told of a window.
#[derive(Default)]
pub(crate) struct Told {
    /// When it began.
    pub(crate) at: Option<SystemTime>,
    /// The first increment of a key that was flushed by hand.
    pub(crate) fresh: Option<Instant>,
    crowded: bool,
}

impl Begin {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Told::default()))
    }

    /// Notes what increments changed; says whether the driver has to know of it.
    pub(crate) fn note(&self, changes: Changes) -> bool {
        let Changes {
            first,
            fresh,
            crowded,
        } = changes;
        let mut told = self.0.lock();
        told.at.get_or_insert_with(SystemTime::now);
        if fresh {
            told.fresh.get_or_insert_with(Instant::now);
        }
        let is_news = first || fresh || !told.crowded;
        told.crowded |= crowded;
        is_news
    }

    /// The window has begun now, unless it has before.
    pub(crate) fn note_now(&self) {
        self.0.lock().at.get_or_insert_with(SystemTime::now);
    }

    /// Whether there are too many keys, so that the window should end early.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.lock().crowded
    }

    /// The window ends: all that was told of it.
    pub(crate) fn take(&self) -> Told {
        std::mem::take(&mut *self.0.lock())
    }
}
