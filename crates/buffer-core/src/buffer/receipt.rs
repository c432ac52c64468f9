//! The outcome of one item, for whoever wants to know it later.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::outcome::not_delivered::NotDelivered;
use crate::partition::waiters::Answer;

/// Tells what became of an item: a future that is ready when the item is settled. `Ok` means that it is delivered.
///
/// Made by [`Buffer::insert_with_receipt`](crate::Buffer::insert_with_receipt) and
/// [`Buffer::try_insert_with_receipt`](crate::Buffer::try_insert_with_receipt). Dropping it changes nothing for the item. It does not
/// end while the sink is down, so limit the wait if somebody waits for you.
///
/// # Cancel safety
///
/// Safe: a wait that was cut off can be started again.
///
/// # Examples
///
/// Many items on their way at once, and the outcome of each:
///
/// ```
/// use std::time::Duration;
/// # use buffer_core::{Batch, Flush, FlushError, async_trait};
/// use buffer_core::Buffer;
/// use tokio::time::timeout;
///
/// # struct Database;
/// # #[async_trait]
/// # impl Flush<u32> for Database {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let buffer = Buffer::builder().build(Database)?;
/// let mut receipts = Vec::new();
/// for item in 0..100 {
///     receipts.push(buffer.insert_with_receipt(item).await?);
/// }
/// for receipt in &mut receipts {
///     match timeout(Duration::from_secs(5), receipt).await {
///         Ok(outcome) => outcome?,
///         Err(_) => println!("not settled yet"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "dropped, it tells nobody what became of the item"]
pub struct Receipt(oneshot::Receiver<Answer>);

impl Receipt {
    pub(crate) fn new(answer: oneshot::Receiver<Answer>) -> Self {
        Self(answer)
    }
}

impl Future for Receipt {
    type Output = Result<(), NotDelivered>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A drain that leaves an item over drops its waiter.
        Pin::new(&mut self.0)
            .poll(context)
            .map(|answer| answer.unwrap_or(Err(NotDelivered::LeftOver)))
    }
}
