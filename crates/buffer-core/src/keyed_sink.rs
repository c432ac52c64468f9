//! Hands a batch to a sink key by key.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

use crate::caught::{Panicked, drop_caught, drop_each_caught};
use crate::flush::Flush;
use crate::flush::batch::Batch;
use crate::flusher::hand::most_splits;
use crate::flusher::{asked, caused_by};
use crate::outcome::flush_error::{FlushError, FlushErrorKind};
use crate::outcome::not_delivered::SharedCause;
use crate::sync::Mutex;

/// A sink that takes one key with the list of its values at a time; see [`BufferBuilder::build_keyed`](crate::BufferBuilder::build_keyed).
///
/// A batch arrives key by key, one call after the other. All calls of an attempt share its time limit, `flush_timeout`. The
/// result of a call concerns its key:
///
/// | the call | the key's values | the other keys of the batch |
/// |---|---|---|
/// | `Ok` | delivered at once, whatever becomes of the attempt | go on |
/// | [`transient`](FlushError::transient), [`uncertain`](FlushError::uncertain), a panic | tried again, the same list | go on, and are not sent again |
/// | [`permanent`](FlushError::permanent) | dropped, with the reason `rejected` | go on |
/// | [`divisible`](FlushError::divisible) | the list is split in halves, down to the guilty values, which are dropped, with the reason `rejected`; past a bound, which is enough for 8 of them, a part that is refused is dropped as a whole, innocent values with it, with the same reason | go on |
/// | [`unavailable`](FlushError::unavailable) | held until the sink is back | held, too |
/// | no answer before the attempt's time is up | tried again, behind the others | are tried in the next attempt |
///
/// A rejected value's cause is the error, as an `Arc<FlushError>`.
///
/// # Examples
///
/// ```
/// use buffer_core::{FlushError, FlushKey, async_trait};
///
/// struct Files;
///
/// # async fn append(_: &str, _: &str) -> Result<(), std::io::Error> { Ok(()) }
/// #[async_trait]
/// impl FlushKey<String, String> for Files {
///     async fn flush(&self, path: &String, lines: &[&String]) -> Result<(), FlushError> {
///         let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
///         append(path, &text).await.map_err(FlushError::uncertain)
///     }
/// }
/// ```
#[async_trait]
pub trait FlushKey<K, V>: Send + Sync + 'static {
    /// Writes the values of one key, in the order in which they were inserted.
    ///
    /// # Errors
    ///
    /// A [`FlushError`] of the kind that fits.
    ///
    /// # Cancel safety
    ///
    /// As for [`Flush::flush`]: the future is dropped when the attempt's time is up, and the values stay with the buffer.
    async fn flush(&self, key: &K, values: &[&V]) -> Result<(), FlushError>;

    /// Called once, after the last batch of a close, like [`Flush::close`]. Does nothing by default.
    ///
    /// # Errors
    ///
    /// Any [`FlushError`]; it is reported in [`Summary::sink_error`](crate::Summary::sink_error).
    ///
    /// # Cancel safety
    ///
    /// As for [`Flush::close`].
    async fn close(&self) -> Result<(), FlushError> {
        Ok(())
    }
}

#[async_trait]
impl<K: Sync + 'static, V: Sync + 'static, S: FlushKey<K, V> + ?Sized> FlushKey<K, V> for Arc<S> {
    async fn flush(&self, key: &K, values: &[&V]) -> Result<(), FlushError> {
        (**self).flush(key, values).await
    }

    async fn close(&self) -> Result<(), FlushError> {
        (**self).close().await
    }
}

#[async_trait]
impl<K: Sync + 'static, V: Sync + 'static, S: FlushKey<K, V> + ?Sized> FlushKey<K, V> for Box<S> {
    async fn flush(&self, key: &K, values: &[&V]) -> Result<(), FlushError> {
        (**self).flush(key, values).await
    }

    async fn close(&self) -> Result<(), FlushError> {
        (**self).close().await
    }
}

/// A [`FlushKey`] as a [`Flush`].
pub(crate) struct KeyedSink<S> {
    sink: S,
    hasher: RandomState,
    /// What a partition's last attempt left to the next one, if it was cut off or the sink is down.
    cut_off: Mutex<HashMap<usize, CutOff>>,
}

/// Keys are known by their hashes: those decide only the order of the keys, and how many values come first.
#[derive(Debug, Default)]
struct CutOff {
    /// The key whose call was under way. The next attempt begins behind it, so that an attempt that is cut off costs that key its
    /// turn, but never those behind it.
    called: u64,
    /// The searches that have not come to their end.
    searches: HashMap<u64, Search>,
}

/// How far the search for a key's guilty values has come.
#[derive(Debug, Clone, Copy)]
struct Search {
    /// So many values from the first on come next.
    values: usize,
    splits_left: u32,
}

/// One error for the keys that are left.
#[derive(Debug, Error)]
#[error("{keys} keys failed, which have this one error for all of them; the cause is the first key's")]
struct KeysFailed {
    keys: usize,
    #[source]
    first: FlushError,
}

/// The errors of the keys that are left. Their causes are user code, and two that panic in one drop would abort the process.
struct Errors(Vec<FlushError>);

impl Drop for Errors {
    fn drop(&mut self) {
        drop_each_caught(std::mem::take(&mut self.0));
    }
}

impl<S> KeyedSink<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self {
            sink,
            hasher: RandomState::new(),
            cut_off: Mutex::new(HashMap::new()),
        }
    }

    /// The indices of each key's items, in the order of the keys' turns.
    fn turns<K: Hash + Eq, V>(&self, batch: &Batch<(K, V)>) -> VecDeque<Vec<usize>> {
        let mut turns = lists(batch);
        let mut cut_off = self.cut_off.lock();
        if batch.attempt() == 1 {
            // Whatever it has was another batch's.
            cut_off.remove(&batch.partition());
        }
        let last = cut_off.get(&batch.partition()).and_then(|CutOff { called, .. }| {
            let is_called = |list: &Vec<usize>| self.hasher.hash_one(&batch[list[0]].0) == *called;
            turns.iter().position(is_called)
        });
        turns.rotate_left(last.map_or(0, |last| last + 1));
        turns
    }

    /// Flushes one key's list, and marks what that settles. After an error the rest of the list is left.
    ///
    /// # Cancel safety
    ///
    /// Safe: what is delivered or rejected is marked before the next await.
    async fn flush_list<K, V>(&self, batch: &mut Batch<(K, V)>, list: Vec<usize>) -> Result<(), FlushError>
    where
        K: Hash + Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: FlushKey<K, V>,
    {
        let (partition, hash) = (batch.partition(), self.hasher.hash_one(&batch[list[0]].0));
        let mut search = self.search(partition, hash).unwrap_or(Search {
            values: list.len(),
            splits_left: most_splits(list.len()),
        });
        let mut first = list;
        let rest = first.split_off(search.values.min(first.len()));
        let mut parts: VecDeque<_> = [first, rest]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        while let Some(mut part) = parts.pop_front() {
            search.values = part.len();
            self.begin_call(partition, hash, search);
            let Err(error) = self.call(batch, &part).await else {
                part.iter().for_each(|index| batch.deliver(*index..index + 1));
                continue;
            };
            match error.kind() {
                FlushErrorKind::Divisible if part.len() > 1 && search.splits_left > 0 => {
                    search.splits_left -= 1;
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                    drop_caught(error);
                }
                FlushErrorKind::Divisible | FlushErrorKind::Permanent => {
                    let cause: SharedCause = Arc::new(error);
                    part.iter()
                        .for_each(|index| batch.contents.reject(*index, Arc::clone(&cause)));
                }
                // What is behind it in the list must not overtake it.
                FlushErrorKind::Transient | FlushErrorKind::Uncertain | FlushErrorKind::Unavailable => {
                    return Err(error);
                }
            }
        }
        self.end_list(partition, hash);
        Ok(())
    }

    /// Where the last attempt was cut off in a key's list. Slow calls that look for a guilty value would otherwise begin their search
    /// anew in each attempt, and never get to its end.
    fn search(&self, partition: usize, hash: u64) -> Option<Search> {
        let cut_off = self.cut_off.lock();
        cut_off.get(&partition)?.searches.get(&hash).copied()
    }

    fn begin_call(&self, partition: usize, hash: u64, search: Search) {
        let mut cut_off = self.cut_off.lock();
        let cut_off = cut_off.entry(partition).or_default();
        cut_off.called = hash;
        cut_off.searches.insert(hash, search);
    }

    fn end_list(&self, partition: usize, hash: u64) {
        if let Some(cut_off) = self.cut_off.lock().get_mut(&partition) {
            cut_off.searches.remove(&hash);
        }
    }

    async fn call<K, V>(&self, batch: &Batch<(K, V)>, part: &[usize]) -> Result<(), FlushError>
    where
        K: Send + Sync + 'static,
        V: Send + Sync + 'static,
        S: FlushKey<K, V>,
    {
        let key = &batch[part[0]].0;
        let values: Vec<&V> = part.iter().map(|index| &batch[*index].1).collect();
        asked(|| self.sink.flush(key, &values)).await
    }
}

#[async_trait]
impl<K, V, S> Flush<(K, V)> for KeyedSink<S>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
    S: FlushKey<K, V>,
{
    async fn flush(&self, batch: &mut Batch<(K, V)>) -> Result<(), FlushError> {
        let mut errors = Errors(Vec::new());
        for list in self.turns(batch) {
            match self.flush_list(batch, list).await {
                Ok(()) => {}
                // The others would only get the same answer.
                Err(error) if error.kind() == FlushErrorKind::Unavailable => return Err(error),
                Err(error) => errors.0.push(error),
            }
        }
        self.cut_off.lock().remove(&batch.partition());
        one_for_all(errors)
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.sink.close().await
    }
}

/// The indices of each key's items, in the order of the keys' first items.
fn lists<K: Hash + Eq, V>(items: &[(K, V)]) -> VecDeque<Vec<usize>> {
    let mut ranks = HashMap::new();
    let mut lists: VecDeque<Vec<usize>> = VecDeque::new();
    for (index, (key, _)) in items.iter().enumerate() {
        let rank = *ranks.entry(key).or_insert(lists.len());
        if rank == lists.len() {
            lists.push_back(Vec::new());
        }
        lists[rank].push(index);
    }
    lists
}

/// The attempt's answer for the keys that are left.
fn one_for_all(mut errors: Errors) -> Result<(), FlushError> {
    let Errors(errors) = &mut errors;
    let (keys, delay) = (
        errors.len(),
        errors.iter().filter_map(FlushError::requested_delay).max(),
    );
    let uncertain = errors
        .iter()
        .any(|error| error.kind() == FlushErrorKind::Uncertain);
    // An attempt in which all that failed has panicked counts as one that did.
    let all_panicked = errors.iter().all(caused_by::<Panicked>);
    let Some(first) = errors.drain(..1.min(keys)).next() else {
        return Ok(());
    };
    if keys == 1 || all_panicked {
        return Err(first);
    }
    let failed = KeysFailed { keys, first };
    let error = match uncertain {
        true => FlushError::uncertain(failed),
        false => FlushError::transient(failed),
    };
    Err(match delay {
        Some(delay) => error.retry_after(delay),
        None => error,
    })
}
