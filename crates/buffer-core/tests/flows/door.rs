//! What must become of an insert, as seen just before it.

use buffer_core::{Buffer, Overflow};

use crate::case::Way;
use crate::told::{Books, Item};

/// Why items were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
    Oversized,
    /// Time or patience was over.
    Late,
}

/// The way in, just before a call.
#[derive(Debug)]
pub(crate) struct Door {
    is_closed: bool,
    has_too_heavy: bool,
    count: usize,
    /// How many of the items there is room for, from the first on; unknown where there are several partitions.
    fitting: Option<usize>,
    /// How many of them there is room for where those that find none are passed over.
    fitting_alone: usize,
    /// Whether others may wait, who come first if it is for room that they do.
    others_wait: bool,
    /// Whether the task lets the worker go first, which has not come for a full batch.
    gives_way: bool,
    overflow: u64,
}

impl Door {
    pub(crate) fn before(books: &Books, buffer: &Buffer<Item>, items: &[Item]) -> Self {
        let (capacity, capacity_bytes) = books.case.share();
        let size = buffer.size();
        let mut room = (
            capacity.saturating_sub(size.items),
            capacity_bytes.saturating_sub(size.bytes),
        );
        let mut fits = |item: &Item| {
            let (items, bytes) = &mut room;
            let fits = *items > 0 && item.weight as u64 <= *bytes;
            if fits {
                *items -= 1;
                *bytes -= item.weight as u64;
            }
            fits
        };
        let fit: Vec<bool> = items.iter().map(&mut fits).collect();
        let fitting = fit.iter().take_while(|fits| **fits).count();
        let heaviest = books.case.heaviest();
        let (_, waiting) = books.waiting(buffer);
        Self {
            is_closed: buffer.is_closed(),
            has_too_heavy: items.iter().any(|item| item.weight as u64 > heaviest),
            count: items.len(),
            fitting: (books.case.settings.partitions == 1).then_some(fitting),
            gives_way: buffer
                .info()
                .iter()
                .any(|partition| partition.open == 0 && partition.sealed > 0),
            fitting_alone: fit.into_iter().filter(|fits| *fits).count(),
            others_wait: waiting > items.len() as u64,
            overflow: books.record.lock().overflow(),
        }
    }

    /// Checks what became of the call: how many items were accepted, and why not more.
    pub(crate) fn check(&self, books: &Books, way: &Way, accepted: usize, refusal: Option<Refusal>) {
        let seen = (accepted, refusal);
        if self.has_too_heavy {
            return assert_eq!(seen, (0, Some(Refusal::Oversized)), "{self:?}");
        }
        if self.count == 0 {
            return assert_eq!(seen, (0, None), "{self:?}");
        }
        if self.is_closed {
            return assert_eq!(seen, (0, Some(Refusal::Closed)), "{self:?}");
        }
        let dropped = || books.record.lock().overflow() - self.overflow;
        let tries = matches!(way, Way::Try);
        match books.case.settings.overflow {
            Overflow::Wait | Overflow::DropNewest if tries => {
                if let Some(fitting) = self.fitting {
                    // For others, some of the room or all of it may be kept.
                    let fitting = if self.others_wait {
                        fitting.min(accepted)
                    } else {
                        fitting
                    };
                    let full = (fitting < self.count).then_some(Refusal::Full);
                    assert_eq!(seen, (fitting, full), "{self:?}");
                    assert_eq!(dropped(), 0, "{self:?}");
                }
            }
            Overflow::Wait => {
                let is_right = match refusal {
                    None => accepted == self.count,
                    Some(Refusal::Closed) => true,
                    Some(Refusal::Late) => !matches!(way, Way::Wait),
                    Some(Refusal::Full | Refusal::Oversized) => false,
                };
                // While it waits for others or gives way, time may pass, and the buffer may be closed.
                let waits = self.others_wait || self.gives_way;
                let must_fit = !waits && self.fitting == Some(self.count);
                assert!(is_right && (!must_fit || refusal.is_none()), "{seen:?} {self:?}");
            }
            // Nothing waits, so nothing has happened in between.
            overflow => {
                assert_eq!(seen, (self.count, None), "{self:?}");
                let Some(fitting) = self.fitting else { return };
                let dropped = dropped();
                let is_right = match overflow {
                    Overflow::DropNewest => dropped == (self.count - self.fitting_alone) as u64,
                    _ => (dropped > 0) == (fitting < self.count),
                };
                assert!(is_right, "{dropped} dropped, {self:?}");
            }
        }
    }
}
