//! Names batches.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The name of one batch's exact content, printed as 32 hexadecimal digits.
///
/// The upper half is drawn at random once for each process, the lower half counts its batches.
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, FlushError};
///
/// # async fn insert(_: String, _: &[u32]) -> Result<(), std::io::Error> { Ok(()) }
/// /// Writes under a key that the database takes once.
/// async fn once(batch: &mut Batch<u32>) -> Result<(), FlushError> {
///     let key = batch.id().to_string();
///     assert_eq!(key.len(), 32);
///     insert(key, batch).await.map_err(FlushError::uncertain)
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u128);

impl BatchId {
    pub(crate) fn next() -> Self {
        static PROCESS: OnceLock<u64> = OnceLock::new();
        static BATCHES: AtomicU64 = AtomicU64::new(1);
        let process = *PROCESS.get_or_init(rand::random);
        // Relaxed: only uniqueness matters, nothing is published with the number.
        Self(u128::from(process) << 64 | u128::from(BATCHES.fetch_add(1, Relaxed)))
    }

    /// The id as a number, for databases that have a column type for it.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchId({self})")
    }
}
