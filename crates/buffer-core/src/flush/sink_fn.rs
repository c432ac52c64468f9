//! A function as a sink.

use std::fmt;

use async_trait::async_trait;

use crate::flush::batch::Batch;
use crate::flush::{Flush, FlushFuture};
use crate::outcome::flush_error::FlushError;

/// Makes a sink of a function, for a sink that needs no name and nothing to do at the close.
///
/// The function returns a boxed future, which may borrow the batch; what the function captured has to be cloned into it. An
/// `async fn` that takes the batch fits, too: `sink_fn(|batch| Box::pin(write(batch)))`. If the function uses its items, name their
/// type: `|batch: &mut Batch<Event>|`.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use buffer_core::{Buffer, FlushError, sink_fn};
///
/// # struct Client;
/// # impl Client { async fn post(&self, _: &[String]) -> Result<(), std::io::Error> { Ok(()) } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Arc::new(Client);
/// let events = Buffer::builder().batch_size(500).build(sink_fn(move |batch| {
///     let client = Arc::clone(&client);
///     Box::pin(async move { client.post(batch).await.map_err(FlushError::uncertain) })
/// }))?;
/// events.insert("started".to_owned()).await?;
/// assert_eq!(events.close().await.ledger.delivered, 1);
/// # Ok(())
/// # }
/// ```
///
/// For dead letters:
///
/// ```
/// use buffer_core::{Batch, Buffer, FlushError, sink_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder()
///     .dead_letters(sink_fn(|batch: &mut Batch<u32>| {
///         println!("{:?}: {} items, the first is {}", batch.drop_reason(), batch.len(), batch[0]);
///         Box::pin(async { Ok(()) })
///     }))
///     .build(sink_fn(|_| Box::pin(async { Err(FlushError::permanent("the row is malformed")) })))?;
/// buffer.insert(1).await?;
/// assert_eq!(buffer.close().await.ledger.dead_lettered, 1);
/// # Ok(())
/// # }
/// ```
pub fn sink_fn<T, F>(flush: F) -> SinkFn<F>
where
    F: for<'a> Fn(&'a mut Batch<T>) -> FlushFuture<'a> + Send + Sync + 'static,
{
    SinkFn(flush)
}

/// A function as a sink, made by [`sink_fn`].
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, sink_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let print = sink_fn(|batch| {
///     Box::pin(async move {
///         println!("{:?}", &batch[..]);
///         Ok(())
///     })
/// });
/// let buffer = Buffer::<u32>::builder().build(print)?;
/// buffer.insert(1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct SinkFn<F>(F);

#[async_trait]
impl<T, F> Flush<T> for SinkFn<F>
where
    T: Send + 'static,
    F: for<'a> Fn(&'a mut Batch<T>) -> FlushFuture<'a> + Send + Sync + 'static,
{
    async fn flush(&self, batch: &mut Batch<T>) -> Result<(), FlushError> {
        (self.0)(batch).await
    }
}

impl<F> fmt::Debug for SinkFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SinkFn(..)")
    }
}
