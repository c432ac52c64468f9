//! The keys of one partition with their sums.
//!
//! Invariants
//! 1. `changed` is set whenever an entry is: a window without increments is told by one look.
//! 2. An entry is reset only after its sum was copied out, so that a key whose `Clone` panics keeps its sum.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::caught::{caught, drop_caught};
use crate::max_keys::{NoPlace, Places};

/// One partition's keys. A busy key keeps its place from window to window.
pub(crate) struct Table<K> {
    entries: HashTable<Entry<K>>,
    changed: bool,
    pub(crate) closed: bool,
}

/// The sum of one key. It is wider than what is added, so that it can't overflow: that would take 2^64 increments.
struct Entry<K> {
    hash: u64,
    key: K,
    sum: i128,
    state: State,
}

/// What a key did in this window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet; after a whole window of it the key loses its place.
    Idle,
    Changed,
    /// It was flushed by hand, and nothing since.
    Fresh,
    /// It was flushed by hand and has changed since: its window is the next.
    ChangedFresh,
}

/// A key's sum, taken out.
#[derive(Debug)]
pub(crate) struct Taken<K> {
    pub(crate) hash: u64,
    pub(crate) key: K,
    pub(crate) sum: i128,
}

/// What an increment changed besides the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    Sum,
    /// The first of the table, so this may be the begin of a window.
    First,
    /// The first of a key that was flushed by hand.
    Fresh,
}

/// Which sums a take leaves where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// Those of keys that were flushed by hand in this window.
    Fresh,
    Nothing,
}

/// What becomes of the places of the keys whose sums are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// They stay, for the next increment.
    Busy,
    /// They are freed.
    Nothing,
}

/// Tables below this size are not worth shrinking.
const SMALL: usize = 64;

impl<K: Eq> Table<K> {
    pub(crate) fn new() -> Self {
        Self {
            entries: HashTable::new(),
            changed: false,
            closed: false,
        }
    }

    /// Adds to a key that has a place.
    pub(crate) fn add(&mut self, hash: u64, is_key: impl Fn(&K) -> bool, n: i128) -> Option<Added> {
        // The key's Eq is user code under the lock, as in every map; if it panics, the table is as it was. Only keys of the same
        // hash are compared, so that one whose Eq panics costs no other.
        let entry = self
            .entries
            .find_mut(hash, |entry| entry.hash == hash && is_key(&entry.key))?;
        entry.sum += n;
        if entry.state == State::Changed {
            return Some(Added::Sum);
        }
        let fresh = entry.state == State::Fresh;
        entry.state = match entry.state {
            State::Idle | State::Changed => State::Changed,
            State::Fresh | State::ChangedFresh => State::ChangedFresh,
        };
        Some(self.note_change(fresh))
    }

    /// Gives a key a place, with its first sum.
    pub(crate) fn insert(&mut self, hash: u64, key: K, sum: i128) -> Added {
        self.insert_as(hash, key, sum, State::Changed);
        self.note_change(false)
    }

    /// Adds what was taken before.
    pub(crate) fn add_back(&mut self, taken: Taken<K>, places: &Places<K>) {
        let Taken { hash, key, sum } = taken;
        // A comparison that panics must not cost a sum: the key then stands twice.
        let added = caught(|| self.add(hash, |other| *other == key, sum));
        if let Some(Some(_)) = added {
            return drop_caught(key);
        }
        places.take_anyway();
        self.insert(hash, key, sum);
    }

    /// The key's sum.
    pub(crate) fn sum(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> i128 {
        let found = self
            .entries
            .find(hash, |entry| entry.hash == hash && is_key(&entry.key));
        found.map_or(0, |entry| entry.sum)
    }

    /// The number of keys that have a place.
    #[cfg(test)]
    pub(crate) fn places_taken(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    pub(crate) fn keys(&self) -> usize {
        self.entries.len()
    }

    /// Forgets the keys that were not incremented since the last take, and gives their room back.
    pub(crate) fn forget_idle(&mut self, places: &Places<K>) {
        self.retain(places, |entry| entry.state != State::Idle);
        if !self.changed {
            // An idle table holds no room at all for keys that may never come back.
            self.entries.shrink_to_fit(|entry| entry.hash);
        }
    }

    fn insert_as(&mut self, hash: u64, key: K, sum: i128, state: State) {
        let entry = Entry {
            hash,
            key,
            sum,
            state,
        };
        self.entries.insert_unique(hash, entry, |entry| entry.hash);
    }

    fn note_change(&mut self, fresh: bool) -> Added {
        let first = !std::mem::replace(&mut self.changed, true);
        match (first, fresh) {
            (_, true) => Added::Fresh,
            (true, false) => Added::First,
            (false, false) => Added::Sum,
        }
    }

    fn retain(&mut self, places: &Places<K>, mut keep: impl FnMut(&mut Entry<K>) -> bool) {
        let before = self.entries.len();
        let forgotten = self.entries.extract_if(|entry| !keep(entry));
        // One by one: the destructor of a key must not end the look at the others.
        forgotten.for_each(drop_caught);
        places.give_back(before - self.entries.len());
        let busy = self.entries.len();
        if self.entries.capacity() > SMALL.max(4 * busy) {
            self.entries.shrink_to(2 * busy, |entry| entry.hash);
        }
    }
}

impl<K: Eq + Clone> Table<K> {
    /// Takes the sums of the keys that have changed.
    pub(crate) fn take(&mut self, spare: Spare, keep: Keep, places: &Places<K>) -> Vec<Taken<K>> {
        if keep == Keep::Nothing {
            return self.take_all(places);
        }
        let mut taken = Vec::new();
        let mut changed = false;
        self.retain(places, |entry| {
            match (entry.state, spare) {
                (State::Idle, _) => return false,
                (State::Fresh, _) => entry.state = State::Idle,
                (State::ChangedFresh, Spare::Fresh) => {
                    entry.state = State::Changed;
                    changed = true;
                }
                (State::Changed, _) | (State::ChangedFresh, Spare::Nothing) => {
                    // By invariant 2.
                    let Some(key) = caught(|| entry.key.clone()) else {
                        changed = true;
                        return true;
                    };
                    taken.push(Taken {
                        hash: entry.hash,
                        key,
                        sum: std::mem::take(&mut entry.sum),
                    });
                    entry.state = State::Idle;
                }
            }
            true
        });
        self.changed = changed;
        taken
    }

    /// Takes all sums with their keys; the table is empty then.
    pub(crate) fn take_all(&mut self, places: &Places<K>) -> Vec<Taken<K>> {
        let entries = std::mem::take(&mut self.entries);
        places.give_back(entries.len());
        self.changed = false;
        let mut taken = Vec::with_capacity(entries.len());
        for Entry {
            hash,
            key,
            sum,
            state,
        } in entries
        {
            match state {
                State::Changed | State::ChangedFresh => taken.push(Taken { hash, key, sum }),
                // One by one: the destructor of a key must not cost the sums of the others.
                State::Idle | State::Fresh => drop_caught(key),
            }
        }
        taken
    }

    /// Takes one key's sum, if it has changed, and begins a fresh window for it.
    pub(crate) fn take_key(&mut self, hash: u64, key: &K, places: &Places<K>) -> Option<Taken<K>> {
        match self.entries.entry(
            hash,
            |entry| entry.hash == hash && entry.key == *key,
            |entry| entry.hash,
        ) {
            Slot::Occupied(mut slot) => {
                let entry = slot.get_mut();
                let changed = matches!(entry.state, State::Changed | State::ChangedFresh);
                let taken = changed.then(|| Taken {
                    hash,
                    key: key.clone(),
                    sum: entry.sum,
                });
                entry.sum = 0;
                entry.state = State::Fresh;
                taken
            }
            Slot::Vacant(_) => {
                // Its next increment may come here. Where there is no place, it joins the running window.
                // Cloned before a place is taken: it is user code, and may panic.
                let key = key.clone();
                if let Ok(()) = places.take().map_err(|NoPlace| ()) {
                    self.insert_as(hash, key, 0, State::Fresh);
                }
                None
            }
        }
    }
}
