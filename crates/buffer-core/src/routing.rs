//! How a buffer chooses the partition of an item.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;

/// How a buffer chooses the partition of an item.
///
/// # Examples
///
/// ```
/// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, async_trait};
/// use buffer_core::Routing;
///
/// # struct Nowhere;
/// # #[async_trait]
/// # impl Flush<u32> for Nowhere {
/// #     async fn flush(&self, _: &mut Batch<u32>) -> Result<(), FlushError> { Ok(()) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BuildError> {
/// let evenly = Buffer::builder().routing(Routing::PerCall).build(Nowhere)?;
/// let in_order_by_key = Buffer::builder().routing(Routing::by_key(|item: &u32| item)).build(Nowhere)?;
/// # drop((evenly, in_order_by_key));
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[non_exhaustive]
pub enum Routing<T> {
    /// The thread's home partition; when that is locked or full, the thread moves to another. The fastest, with the fullest batches.
    #[default]
    ThreadHome,
    /// Strictly one partition after the other, from insert to insert; an insert waits if its partition is full. The partitions are
    /// filled evenly, and all threads share the cursor.
    PerCall,
    /// The partition that the item's key hashes to; an insert waits if that is full. Items of one key leave in order.
    ///
    /// Made by [`Routing::by_key`] or [`Routing::by_hash`].
    ByKey(KeyHash<T>),
}

/// Hashes the key of an item; see [`Routing::by_key`] and [`Routing::by_hash`].
///
/// # Examples
///
/// ```
/// use buffer_core::Routing;
///
/// let routing = Routing::by_key(|user: &String| user);
/// assert!(matches!(routing, Routing::ByKey(_)));
/// ```
pub struct KeyHash<T>(Arc<dyn Fn(&T) -> u64 + Send + Sync>);

impl<T> Routing<T> {
    /// Routes by the key that `key` finds in an item. For a key that is made of several fields, or computed, use
    /// [`by_hash`](Routing::by_hash).
    ///
    /// `key` runs on the inserting thread, and must return the same key for an item every time.
    ///
    /// # Panics
    ///
    /// A panic of `key` reaches the caller of the insert, and the item is dropped and not counted; `insert_batch` leaves all items
    /// in its vector.
    ///
    /// # Examples
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, Routing, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<Event> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<Event>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// struct Event {
    ///     user: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BuildError> {
    /// let buffer = Buffer::builder().routing(Routing::by_key(|event: &Event| &event.user)).build(Nowhere)?;
    /// # drop(buffer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn by_key<K: Hash + ?Sized>(key: impl Fn(&T) -> &K + Send + Sync + 'static) -> Self {
        // A fixed seed: the same key goes to the same partition in every process.
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        Self::by_hash(move |item| hasher.hash_one(key(item)))
    }

    /// Routes by a hash of the item's key: items of equal hash leave in order.
    ///
    /// `hash` runs on the inserting thread, and must return the same hash for equal keys every time. The partition is the hash
    /// modulo the number of partitions.
    ///
    /// # Panics
    ///
    /// A panic of `hash` reaches the caller of the insert, and the item is dropped and not counted; `insert_batch` leaves all items
    /// in its vector.
    ///
    /// # Examples
    ///
    /// By two fields, one of them compared without case:
    ///
    /// ```
    /// # use buffer_core::{Batch, Buffer, BuildError, Flush, FlushError, Routing, async_trait};
    /// # struct Nowhere;
    /// # #[async_trait]
    /// # impl Flush<Event> for Nowhere {
    /// #     async fn flush(&self, _: &mut Batch<Event>) -> Result<(), FlushError> { Ok(()) }
    /// # }
    /// use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    ///
    /// struct Event {
    ///     tenant: u32,
    ///     user: String,
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BuildError> {
    /// // A fixed seed: the same key goes to the same partition in every process.
    /// let hasher = BuildHasherDefault::<DefaultHasher>::default();
    /// let by_user = Routing::by_hash(move |event: &Event| hasher.hash_one((event.tenant, event.user.to_lowercase())));
    /// let buffer = Buffer::builder().routing(by_user).build(Nowhere)?;
    /// # drop(buffer);
    /// # Ok(())
    /// # }
    /// ```
    pub fn by_hash(hash: impl Fn(&T) -> u64 + Send + Sync + 'static) -> Self {
        Self::ByKey(KeyHash(Arc::new(hash)))
    }
}

impl<T> KeyHash<T> {
    pub(crate) fn of(&self, item: &T) -> u64 {
        (self.0)(item)
    }
}

impl<T> Clone for Routing<T> {
    fn clone(&self) -> Self {
        match self {
            Self::ThreadHome => Self::ThreadHome,
            Self::PerCall => Self::PerCall,
            Self::ByKey(hash) => Self::ByKey(hash.clone()),
        }
    }
}

impl<T> Clone for KeyHash<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Routing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ThreadHome => "ThreadHome",
            Self::PerCall => "PerCall",
            Self::ByKey(_) => "ByKey(..)",
        })
    }
}

impl<T> fmt::Debug for KeyHash<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}
