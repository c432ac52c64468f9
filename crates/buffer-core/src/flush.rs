//! The sink: what a user of the framework writes.

pub(crate) mod batch;
pub(crate) mod contents;
pub(crate) mod sink_fn;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::flush::batch::Batch;
use crate::outcome::flush_error::FlushError;

/// A sink: where batches go.
///
/// The buffer calls [`flush`](Flush::flush) from one task for each partition, with one attempt at a time in each, under
/// `flush_timeout`, and catches its panics. Delivery is at-least-once: an attempt that timed out may have written its items.
///
/// A [dead-letter sink](crate::BufferBuilder::dead_letters) may see two attempts at a time in a partition: one with what its worker has
/// dropped, and one with what [overflowed](crate::Overflow).
///
/// Its `impl` needs [`#[async_trait]`](macro@crate::async_trait) above it. Without it the compiler reports E0195: lifetime
/// parameters do not match the trait's. Items that are borrowed across an await must be `Sync`.
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, Flush, FlushError, async_trait};
///
/// struct Stdout;
///
/// #[async_trait]
/// impl Flush<String> for Stdout {
///     async fn flush(&self, batch: &mut Batch<String>) -> Result<(), FlushError> {
///         for line in batch.iter() {
///             println!("{line}");
///         }
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Flush<T>: Send + Sync + 'static {
    /// Writes `batch`.
    ///
    /// The framework owns the batch through every attempt; what is not delivered when this returns is tried again or
    /// dropped, as the error says.
    ///
    /// # Errors
    ///
    /// A [`FlushError`] of the kind that fits: the kind alone decides what the buffer does next.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when `flush_timeout` or the drain's deadline passes, at whatever await it has reached. The
    /// items stay with the buffer. A sink that blocks its thread without an await can't be stopped this way.
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError>;

    /// Called once, after the last batch of a close: sync a file, say goodbye. Does nothing by default.
    ///
    /// If the runtime dies during the call, the rescue calls it again.
    ///
    /// # Errors
    ///
    /// Any [`FlushError`]; it is reported in [`Summary::sink_error`](crate::Summary::sink_error).
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when `flush_timeout` has passed, when the drain's deadline has passed and the future had at least a
    /// second, or when the runtime dies.
    async fn close(&self) -> Result<(), FlushError> {
        Ok(())
    }
}

/// What [`Flush::flush`] returns: the future of one attempt.
pub type FlushFuture<'a> = Pin<Box<dyn Future<Output = Result<(), FlushError>> + Send + 'a>>;

#[async_trait]
impl<T: Send + 'static, S: Flush<T> + ?Sized> Flush<T> for Arc<S> {
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        (**self).flush(batch).await
    }

    async fn close(&self) -> Result<(), FlushError> {
        (**self).close().await
    }
}

#[async_trait]
impl<T: Send + 'static, S: Flush<T> + ?Sized> Flush<T> for Box<S> {
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        (**self).flush(batch).await
    }

    async fn close(&self) -> Result<(), FlushError> {
        (**self).close().await
    }
}
