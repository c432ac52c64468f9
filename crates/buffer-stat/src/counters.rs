//! The sums, the buffer behind them, and the way from the one to the other.

use std::hash::Hash;
use std::sync::Arc;

use buffer_core::Buffer;

use crate::count::Count;
use crate::turn::Turn;
use crate::windows::{HandedOver, Windows};

/// What all clones of a [`StatBuffer`](crate::StatBuffer) hold.
pub(crate) struct Counters<K> {
    pub(crate) windows: Arc<Windows<K>>,
    pub(crate) buffer: Buffer<Count<K>>,
    /// The buffer's.
    pub(crate) batch_size: usize,
}

impl<K: Hash + Eq + Clone + Send + 'static> Counters<K> {
    /// Ends the window as `turn` says, and gives the buffer one batch for each partition in which nothing is pending.
    pub(crate) fn hand_over(&self, turn: Turn) -> HandedOver {
        self.hand_over_of(None, turn)
    }

    /// The same, if the window of this number has not ended meanwhile.
    pub(crate) fn hand_over_of(&self, window: Option<u64>, turn: Turn) -> HandedOver {
        self.windows.hand_over(turn, window, self.batch_size, |counts| {
            // If it is full or closed, they stay until a settle or the close fetches them.
            while !counts.is_empty() && self.buffer.try_insert_batch_when_idle(counts).is_ok() {}
        })
    }
}
