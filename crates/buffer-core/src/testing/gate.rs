//! Where attempts of a scripted sink wait for the test.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A gate before a [`ScriptedSink`](crate::testing::ScriptedSink), made by [`gated`](crate::testing::ScriptedSink::gated):
/// attempts wait at it until the test lets them through.
///
/// # Examples
///
/// What a service does while its database is slow:
///
/// ```
/// use buffer_core::testing::ScriptedSink;
/// use buffer_core::{Buffer, TryInsertError};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sink, gate) = ScriptedSink::new([]).gated();
/// let buffer = Buffer::builder().partitions(1).batch_size(1).capacity(2).build(sink.clone())?;
/// buffer.try_insert(1)?;
/// buffer.try_insert(2)?;
/// sink.attempted(1).await;
/// assert_eq!(buffer.try_insert(3), Err(TryInsertError::Full(3)));
///
/// gate.let_through(1);
/// buffer.insert(3).await?;
/// assert_eq!(sink.delivered(), [1]);
///
/// gate.open();
/// assert_eq!(buffer.close().await.ledger.delivered, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets this many attempts through: first those that wait, in the order in which they came.
    ///
    /// # Panics
    ///
    /// When more are let through at once than tokio's semaphore counts (`Semaphore::MAX_PERMITS`).
    pub fn let_through(&self, attempts: usize) {
        self.0.add_permits(attempts);
    }

    /// Lets all attempts through from now on.
    pub fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn pass(&self) {
        // An error means that it is open for good.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
