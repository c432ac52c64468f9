//! What increments tell about the running window. Its lock is held only for a moment: increments must not wait for a hand-over.

use std::time::SystemTime;

use tokio::time::Instant;

use crate::changes::Changes;
use crate::sync::Mutex;

/// The start of the running window.
pub(crate) struct Begin(Mutex<Told>);

/// What was told about a window.
#[derive(Default)]
pub(crate) struct Told {
    /// When it began.
    pub(crate) at: Option<SystemTime>,
    /// The first increment of a key that was flushed by hand, or the moment at which its count came back.
    pub(crate) fresh: Option<Instant>,
    crowded: bool,
}

impl Begin {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Told::default()))
    }

    /// Notes what increments changed; says whether the driver has to know about it.
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

    /// The window begins now, unless it has begun already.
    pub(crate) fn note_now(&self) {
        self.0.lock().at.get_or_insert_with(SystemTime::now);
    }

    /// Whether there are too many keys, so that the window should end early.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.lock().crowded
    }

    /// Ends the window: takes all that was told about it.
    pub(crate) fn take(&self) -> Told {
        std::mem::take(&mut *self.0.lock())
    }
}
