//! Why items were not delivered.

use std::error::Error;

use crate::outcome::not_delivered::SharedCause;
use crate::outcome::reason::DropReason;

/// Why a batch of dead letters was dropped.
#[derive(Debug)]
pub(crate) struct Fate {
    pub(crate) reason: DropReason,
    pub(crate) causes: Causes,
}

/// Why items were not delivered.
#[derive(Debug, Default)]
pub(crate) enum Causes {
    #[default]
    None,
    /// The error that their batch failed with.
    One(SharedCause),
    /// One for each item, in order.
    Each(Vec<SharedCause>),
}

impl Causes {
    pub(crate) fn of(&self, index: usize) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::None => None,
            Self::One(cause) => Some(&**cause),
            Self::Each(causes) => causes.get(index).map(|cause| &**cause as &(dyn Error + 'static)),
        }
    }
}
