//! What a recorder and its handles share: the series, and the buffer that their points go through.

use std::sync::Arc;

use buffer_core::{Buffer, TryInsertError};

use crate::line::Line;
use crate::recorder::registry::{HandedOver, Registry};
use crate::recorder::series::NoRoom;

/// Its last drop is that of the buffer's handle, and so starts the drain.
pub(crate) struct Recording {
    pub(crate) registry: Arc<Registry>,
    pub(crate) buffer: Buffer<Line>,
}

impl Recording {
    /// Ends the interval: moves to the buffer what that has room for.
    ///
    /// There is no await in it, so nothing can be lost on the way.
    pub(crate) fn hand_over(&self) -> HandedOver {
        let handed_over = self
            .registry
            .hand_over(&mut |line| match self.buffer.try_insert(line) {
                Ok(()) => Ok(()),
                Err(TryInsertError::Oversized(_)) => {
                    // It will not fit next time either.
                    self.registry.updates.leave_out_refused(1);
                    Ok(())
                }
                Err(_) => Err(NoRoom),
            });
        self.buffer.request_flush();
        handed_over
    }
}
