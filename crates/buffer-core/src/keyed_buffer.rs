//! The handle to a buffer of keyed values.

use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use crate::buffer::Buffer;
use crate::buffer::insert_error::{
    InsertAndWaitError, InsertBlockingError, InsertError, InsertTimeoutError, TryInsertError,
};
use crate::buffer::receipt::Receipt;
use crate::build_error::BuildError;
use crate::builder::BufferBuilder;
use crate::keyed_sink::{FlushKey, KeyedSink};
use crate::ledger::Summary;
use crate::routing::Routing;

/// A handle to a buffer of keyed values, whose sink gets one key with the list of its values at a time; made by
/// [`BufferBuilder::build_keyed`].
///
/// It is a [`Buffer`] of pairs, with its promises and settings. A clone is another handle to the same buffer, and when the
/// last one is dropped, the buffer drains by itself.
///
/// # Examples
///
/// ```
/// use buffer_core::{Buffer, FlushError, FlushKey, async_trait};
///
/// struct Rows;
///
/// #[async_trait]
/// impl FlushKey<String, u32> for Rows {
///     async fn flush(&self, user: &String, clicks: &[&u32]) -> Result<(), FlushError> {
///         println!("{user}: {clicks:?}");
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clicks = Buffer::builder().build_keyed(Rows)?;
/// clicks.insert("ann".to_owned(), 1).await?;
/// clicks.insert("bob".to_owned(), 2).await?;
/// clicks.insert("ann".to_owned(), 3).await?;
/// assert_eq!(clicks.close().await.ledger.delivered, 3);
/// # Ok(())
/// # }
/// ```
///
/// # Limits
///
/// * The keys of a batch share the time limit of its attempts. If more of them hang than there are `retries`, others may
///   be dropped without a turn. To avoid that, give each call in the sink a time limit of its own, well below
///   `flush_timeout`. More keys than can be written in one attempt are fine: an attempt that has written some spends no retry.
/// * The search for guilty values in a list goes on from one attempt to the next. But an attempt in which it settles none of them spends
///   a retry, so calls must be quick enough to get to one within `retries` attempts.
/// * The keys of a batch share its retries, too: those that fail are tried again together, with one backoff, and all that is
///   left after the last retry has the same error as its cause.
/// * A partition goes on when its batch is settled, so values that are inserted meanwhile wait behind a failing key, even
///   those of other keys in its partition.
/// * A failing key's attempts count as failures of the sink: three in a row hold all partitions for a backoff, like any
///   other failures.
/// * A batch has an [id](crate::Batch::id), a list has none. If a list must not be written twice, give each value an id of
///   its own.
pub struct KeyedBuffer<K, V>(Buffer<(K, V)>);

impl<K, V> BufferBuilder<(K, V)>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Checks the settings and starts a buffer whose sink gets one key with the list of its values at a time.
    ///
    /// All settings are those of a buffer of pairs, except that the [routing](BufferBuilder::routing) is always by key, so that a key's
    /// values stay in order. A dead-letter sink gets pairs.
    ///
    /// # Errors
    ///
    /// As for [`build`](BufferBuilder::build).
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_core::{Buffer, FlushError, FlushKey, async_trait};
    ///
    /// struct Rooms;
    ///
    /// # async fn post(_: &str, _: &[&String]) -> Result<(), std::io::Error> { Ok(()) }
    /// #[async_trait]
    /// impl FlushKey<&'static str, String> for Rooms {
    ///     async fn flush(&self, room: &&'static str, messages: &[&String]) -> Result<(), FlushError> {
    ///         post(room, messages).await.map_err(FlushError::uncertain)
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rooms = Buffer::builder().batch_size(500).build_keyed(Rooms)?;
    /// rooms.insert("kitchen", "hello".to_owned()).await?;
    /// rooms.insert("garden", "anybody here?".to_owned()).await?;
    /// rooms.insert("kitchen", "bye".to_owned()).await?;
    /// assert_eq!(rooms.close().await.ledger.delivered, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_keyed(self, sink: impl FlushKey<K, V>) -> Result<KeyedBuffer<K, V>, BuildError> {
        let by_key = Routing::by_key(|(key, _): &(K, V)| key);
        self.routing(by_key).build(KeyedSink::new(sink)).map(KeyedBuffer)
    }
}

impl<K: Send + 'static, V: Send + 'static> KeyedBuffer<K, V> {
    /// Inserts a value, like [`Buffer::insert`].
    ///
    /// # Errors
    ///
    /// [`InsertError::Closed`] and [`InsertError::Oversized`] hand key and value back.
    ///
    /// # Cancel safety
    ///
    /// As for [`Buffer::insert`].
    pub async fn insert(&self, key: K, value: V) -> Result<(), InsertError<(K, V)>> {
        self.0.insert((key, value)).await
    }

    /// Inserts a value if there is room in its key's partition, like [`Buffer::try_insert`].
    ///
    /// # Errors
    ///
    /// [`TryInsertError::Full`], [`TryInsertError::Closed`] and [`TryInsertError::Oversized`] hand key and value back.
    pub fn try_insert(&self, key: K, value: V) -> Result<(), TryInsertError<(K, V)>> {
        self.0.try_insert((key, value))
    }

    /// Inserts a value, and waits for at most `limit`, like [`Buffer::insert_timeout`].
    ///
    /// # Errors
    ///
    /// [`InsertTimeoutError::TimedOut`], [`InsertTimeoutError::Closed`] and [`InsertTimeoutError::Oversized`] hand key and value
    /// back.
    ///
    /// # Cancel safety
    ///
    /// As for [`Buffer::insert_timeout`].
    pub async fn insert_timeout(
        &self,
        key: K,
        value: V,
        limit: Duration,
    ) -> Result<(), InsertTimeoutError<(K, V)>> {
        self.0.insert_timeout((key, value), limit).await
    }

    /// Inserts a value and waits until it is settled, like [`Buffer::insert_and_wait`].
    ///
    /// # Errors
    ///
    /// Those of [`Buffer::insert_and_wait`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Buffer::insert_and_wait`].
    pub async fn insert_and_wait(&self, key: K, value: V) -> Result<(), InsertAndWaitError<(K, V)>> {
        self.0.insert_and_wait((key, value)).await
    }

    /// Inserts a value and returns a [`Receipt`] that tells what becomes of it, like [`Buffer::insert_with_receipt`].
    ///
    /// # Errors
    ///
    /// [`InsertError::Closed`] and [`InsertError::Oversized`] hand key and value back.
    ///
    /// # Cancel safety
    ///
    /// As for [`Buffer::insert`].
    pub async fn insert_with_receipt(&self, key: K, value: V) -> Result<Receipt, InsertError<(K, V)>> {
        self.0.insert_with_receipt((key, value)).await
    }

    /// Inserts a value if there is room, and returns a [`Receipt`] that tells what becomes of it, like
    /// [`Buffer::try_insert_with_receipt`].
    ///
    /// # Errors
    ///
    /// Those of [`try_insert`](KeyedBuffer::try_insert).
    pub fn try_insert_with_receipt(&self, key: K, value: V) -> Result<Receipt, TryInsertError<(K, V)>> {
        self.0.try_insert_with_receipt((key, value))
    }

    /// Inserts a value from a plain thread, like [`Buffer::insert_blocking`].
    ///
    /// # Errors
    ///
    /// [`InsertBlockingError::Closed`], [`InsertBlockingError::Oversized`] and [`InsertBlockingError::InsideRuntime`] hand key and
    /// value back.
    pub fn insert_blocking(&self, key: K, value: V) -> Result<(), InsertBlockingError<(K, V)>> {
        self.0.insert_blocking((key, value))
    }

    /// Closes the buffer and waits for the drain, like [`Buffer::close`].
    ///
    /// # Cancel safety
    ///
    /// As for [`Buffer::close`].
    pub async fn close(&self) -> Summary<(K, V)> {
        self.0.close().await
    }

    /// The buffer of pairs behind it, for everything else: `insert_batch`, `flush`, `ledger`, `health`, `downgrade`.
    pub fn buffer(&self) -> &Buffer<(K, V)> {
        &self.0
    }
}

impl<K, V> Clone for KeyedBuffer<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> fmt::Debug for KeyedBuffer<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedBuffer").field(&self.0).finish()
    }
}
