//! What was taken from the sums and is not settled, by key. It answers what is outstanding, and merges what was taken from several
//! tables.

use hashbrown::HashTable;

use crate::caught::{caught, drop_caught};
use crate::count::Count;
use crate::taken::Taken;

/// The sums on their way, by key.
pub(crate) struct InFlight<K> {
    keys: HashTable<Key<K>>,
    /// The number of counts that are not settled. When it reaches zero, `keys` is emptied whatever it holds: a sink that took counts
    /// out leaves nothing to find them by.
    counts: u64,
    /// The sums of the window that ends, each key once.
    gathered: Vec<Taken<K>>,
    /// The places among them of sums whose key, as its code panicked, may be there twice.
    apart: Vec<usize>,
    /// Counts the windows that have ended.
    window: u64,
}

struct Key<K> {
    hash: u64,
    key: K,
    sum: i128,
    counts: u32,
    /// The last window in which it was gathered, and its place there.
    window: u64,
    place: usize,
}

/// So few places are kept, however few keys are on their way.
const KEPT_PLACES: usize = 1_024;

/// What becomes of a key that has a count on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnItsWay {
    /// It waits until that is settled.
    Waits,
    /// It is sent all the same: there is no later time.
    Goes,
}

/// A sum that was not gathered.
pub(crate) enum Refused<K> {
    /// A count of its key is on its way.
    OnItsWay(Taken<K>),
    /// Its key could not be cloned.
    Uncloned(Taken<K>),
}

impl<K> Refused<K> {
    pub(crate) fn into_sum(self) -> Taken<K> {
        match self {
            Self::OnItsWay(taken) | Self::Uncloned(taken) => taken,
        }
    }
}

impl<K> InFlight<K> {
    pub(crate) fn new() -> Self {
        Self {
            keys: HashTable::new(),
            counts: 0,
            gathered: Vec::new(),
            apart: Vec::new(),
            window: 0,
        }
    }

    /// Begins the end of a window that is likely to have `expected` keys.
    pub(crate) fn begin_window(&mut self, expected: usize) {
        self.window += 1;
        self.keys.reserve(expected, |key| key.hash);
        self.gathered.reserve(expected);
    }

    /// Takes what was gathered of the window that ends, and the places of the sums that need a window of their own.
    pub(crate) fn gathered(&mut self) -> (Vec<Taken<K>>, Vec<usize>) {
        (
            std::mem::take(&mut self.gathered),
            std::mem::take(&mut self.apart),
        )
    }

    /// Notes that a count was made of a gathered sum.
    pub(crate) fn send(&mut self) {
        self.counts += 1;
    }

    /// Whether `counts` counts are all that there are.
    pub(crate) fn is_all(&self, counts: usize) -> bool {
        self.counts <= counts as u64
    }

    /// How many counts are not settled.
    pub(crate) fn counts(&self) -> u64 {
        self.counts
    }

    /// Notes that `counts` counts were settled.
    pub(crate) fn settle(&mut self, counts: usize) {
        self.counts = self.counts.saturating_sub(counts as u64);
        self.give_back();
    }

    /// Gives memory back that is no longer needed.
    pub(crate) fn give_back(&mut self) {
        if self.counts == 0 {
            let keys = std::mem::replace(&mut self.keys, HashTable::new());
            keys.into_iter().for_each(drop_caught);
        } else if self.keys.capacity() > KEPT_PLACES.max(8 * self.keys.len()) {
            // A burst gives its memory back although something is always on its way.
            self.keys.shrink_to(2 * self.keys.len(), |key| key.hash);
        }
    }
}

impl<K: Eq + Clone> InFlight<K> {
    /// Adds to what is gathered of the window that ends, as one count of each key.
    pub(crate) fn gather(&mut self, taken: Taken<K>, on_its_way: OnItsWay) -> Result<(), Refused<K>> {
        let Self {
            keys,
            gathered,
            apart,
            window,
            ..
        } = self;
        // A key whose comparison panics equals no other.
        let found = caught(|| {
            keys.find_mut(taken.hash, |other| {
                other.hash == taken.hash && other.key == taken.key
            })
        });
        if let Some(Some(found)) = found {
            if found.window == *window {
                found.sum += taken.sum;
                gathered[found.place].sum += taken.sum;
                drop_caught(taken.key);
                return Ok(());
            }
            if on_its_way == OnItsWay::Waits {
                return Err(Refused::OnItsWay(taken));
            }
            (found.window, found.place) = (*window, gathered.len());
            found.sum += taken.sum;
            found.counts += 1;
            gathered.push(taken);
            return Ok(());
        }
        let key = caught(|| taken.key.clone());
        if key.is_none() && on_its_way == OnItsWay::Waits {
            return Err(Refused::Uncloned(taken));
        }
        if found.is_none() || key.is_none() {
            apart.push(gathered.len());
        }
        // One that can't be cloned is sent, but not shown as outstanding.
        if let Some(key) = key {
            let key = Key {
                hash: taken.hash,
                key,
                sum: taken.sum,
                counts: 1,
                window: *window,
                place: gathered.len(),
            };
            keys.insert_unique(taken.hash, key, |key| key.hash);
        }
        gathered.push(taken);
        Ok(())
    }

    /// Notes that `counts` counts were made of a key's gathered sum, and `unsent` of it was not sent.
    pub(crate) fn revise(&mut self, hash: u64, key: &K, counts: u32, unsent: i128) {
        self.change(hash, key, |found| {
            found.counts = found.counts + counts - 1;
            found.sum -= unsent;
        });
    }

    /// Notes that a count is no longer on its way.
    pub(crate) fn remove(&mut self, hash: u64, count: &Count<K>) {
        self.change(hash, &count.key, |found| {
            found.counts -= 1;
            found.sum -= i128::from(count.delta);
        });
    }

    /// The hash that a key had when it was gathered, for a key whose `Hash` panics now. It is compared with all that are on their way.
    pub(crate) fn hash_of(&self, key: &K) -> Option<u64> {
        let found = caught(|| self.keys.iter().find(|other| other.key == *key));
        found.flatten().map(|found| found.hash)
    }

    fn change(&mut self, hash: u64, key: &K, change: impl FnOnce(&mut Key<K>)) {
        // A key whose comparison panics stays until all counts are settled.
        let _ = caught(|| {
            let found = self
                .keys
                .find_entry(hash, |other| other.hash == hash && other.key == *key);
            let Ok(mut found) = found else { return };
            change(found.get_mut());
            if found.get().counts == 0 {
                found.remove();
            }
        });
    }

    /// Whether something of a key is on its way.
    pub(crate) fn has(&self, hash: u64, key: &K) -> bool {
        // A key whose comparison panics equals no other.
        let found = caught(|| {
            self.keys
                .find(hash, |other| other.hash == hash && other.key == *key)
        });
        matches!(found, Some(Some(_)))
    }

    /// What is on its way of one key.
    pub(crate) fn sum(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> i128 {
        let found = self
            .keys
            .find(hash, |other| other.hash == hash && is_key(&other.key));
        found.map_or(0, |found| found.sum)
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_burst_gives_its_memory_back_though_something_is_always_on_its_way() {
        let mut in_flight = InFlight::new();
        let count = |key| Count::new(key, 1, std::time::SystemTime::UNIX_EPOCH);
        in_flight.begin_window(100_000);
        for key in 0..100_000 {
            let gathered = in_flight.gather(
                Taken {
                    hash: key,
                    key,
                    sum: 1,
                },
                OnItsWay::Waits,
            );
            assert!(gathered.is_ok());
            in_flight.send();
        }
        for key in 1..100_000 {
            in_flight.remove(key, &count(key));
            in_flight.settle(1);
        }
        assert!(in_flight.keys.capacity() <= 2 * KEPT_PLACES);
        assert!(in_flight.has(0, &0));
    }
}
