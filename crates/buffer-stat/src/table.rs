//! The keys of one partition with their sums.
//!
//! Invariants
//! 1. `changed` is set whenever an entry has changed, so that one look tells a window without increments.
//! 2. An entry is reset only after its sum was copied out, so that a key whose `Clone` panics keeps its sum.
//! 3. A key's sum is what its entry has plus what `beyond` has of it.
//! 4. An entry keeps its bucket unless `moved` is set, so a take that goes on later misses none.
//! 5. A closed table has no entries, so an increment of a key that has one need not ask.

use hashbrown::HashTable;

use crate::beyond::Beyond;
use crate::caught::{caught, drop_caught};
use crate::marked::{Marked, State};
use crate::max_keys::Places;
use crate::taken::Taken;

/// One partition's keys. A busy key keeps its place from window to window.
pub(crate) struct Table<K> {
    pub(crate) entries: HashTable<Entry<K>>,
    pub(crate) beyond: Beyond<K>,
    pub(crate) changed: bool,
    pub(crate) moved: bool,
    pub(crate) closed: bool,
}

/// The sum of one key.
pub(crate) struct Entry<K> {
    pub(crate) key: K,
    pub(crate) marked: Marked,
    pub(crate) sum: i64,
}

/// What an increment changed besides the sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    Sum,
    /// The first of the table, so this may be the start of a window.
    First,
    /// The first of a key that was flushed by hand.
    Fresh,
}

/// Tables below this size are not worth shrinking.
const SMALL: usize = 64;

impl Added {
    /// An entry has changed: the first of its table, if that had not changed before.
    fn new(changed: &mut bool, fresh: bool) -> Self {
        let first = !std::mem::replace(changed, true);
        match (first, fresh) {
            (_, true) => Self::Fresh,
            (true, false) => Self::First,
            (false, false) => Self::Sum,
        }
    }
}

impl<K: Eq + Clone> Entry<K> {
    /// Adds if it is the first time in this window, or if the sum leaves its range.
    #[cold]
    fn change(&mut self, n: i64, beyond: &mut Beyond<K>, changed: &mut bool) -> Added {
        match self.sum.checked_add(n) {
            Some(sum) => self.sum = sum,
            None => {
                // Cloned before anything is changed, as it may panic.
                beyond.add(Taken {
                    hash: self.marked.hash(),
                    key: self.key.clone(),
                    sum: self.sum.into(),
                });
                self.sum = n;
            }
        }
        let state = self.marked.state();
        self.marked.set(match state {
            State::Idle | State::Changed => State::Changed,
            State::Fresh | State::ChangedFresh => State::ChangedFresh,
        });
        Added::new(changed, state == State::Fresh)
    }
}

impl<K: Eq + Clone> Table<K> {
    pub(crate) fn new() -> Self {
        Self {
            entries: HashTable::new(),
            beyond: Beyond::new(),
            changed: false,
            moved: false,
            closed: false,
        }
    }

    /// Adds to a key that has a place.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64, is_key: impl Fn(&K) -> bool, n: i64) -> Option<Added> {
        // The key's Eq is user code under the lock, as in every map; if it panics, the table is as it was. Only keys of the same hash
        // are compared, so a key whose Eq panics costs no other.
        let entry = self
            .entries
            .find_mut(hash, |entry| entry.marked.hash() == hash && is_key(&entry.key))?;
        if entry.marked.is_changed()
            && let Some(sum) = entry.sum.checked_add(n)
        {
            entry.sum = sum;
            return Some(Added::Sum);
        }
        Some(entry.change(n, &mut self.beyond, &mut self.changed))
    }

    /// Gives a key a place, with its first sum.
    pub(crate) fn insert(&mut self, hash: u64, key: K, sum: i64) -> Added {
        self.insert_as(hash, key, sum, State::Changed);
        Added::new(&mut self.changed, false)
    }

    /// Adds what was taken before.
    pub(crate) fn add_back(&mut self, taken: Taken<K>, places: &Places<K>) -> Added {
        let Taken { hash, key, sum } = taken;
        let fitting = i64::try_from(sum).ok().filter(|_| !self.closed);
        let Some(fitting) = fitting else {
            // By invariant 5, or because it does not fit into an entry.
            self.beyond.add(Taken { hash, key, sum });
            return Added::new(&mut self.changed, false);
        };
        // A comparison that panics must not cost a sum: the key then has two entries.
        let added = caught(|| self.add(hash, |other| *other == key, fitting));
        if let Some(Some(added)) = added {
            drop_caught(key);
            return added;
        }
        places.take_anyway();
        self.insert(hash, key, fitting)
    }

    /// The key's sum.
    pub(crate) fn sum(&self, hash: u64, is_key: impl Fn(&K) -> bool) -> i128 {
        let found = self
            .entries
            .find(hash, |entry| entry.marked.hash() == hash && is_key(&entry.key));
        // By invariant 3.
        found.map_or(0, |entry| entry.sum.into()) + self.beyond.sum(hash, is_key)
    }

    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// The number of keys that have a place.
    pub(crate) fn keys(&self) -> usize {
        self.entries.len()
    }

    /// Forgets the keys that were not incremented since the last take or since they were flushed by hand, and gives back their room.
    /// No window is running that the latter would have to stay out of.
    pub(crate) fn forget_idle(&mut self, places: &Places<K>) {
        let before = self.entries.len();
        let idle = self
            .entries
            .extract_if(|entry| matches!(entry.marked.state(), State::Idle | State::Fresh));
        // One by one: a destructor that panics must not end the look at the others.
        idle.for_each(drop_caught);
        places.give_back(before - self.entries.len());
        self.shrink();
        if !self.changed {
            // An idle table holds no room at all for keys that may never come back.
            self.entries.shrink_to_fit(|entry| entry.marked.hash());
            self.moved = true;
        }
    }

    /// Gives back room that far exceeds what the keys need.
    pub(crate) fn shrink(&mut self) {
        let busy = self.entries.len();
        if self.entries.capacity() > SMALL.max(4 * busy) {
            self.entries.shrink_to(2 * busy, |entry| entry.marked.hash());
            self.moved = true;
        }
    }

    pub(crate) fn insert_as(&mut self, hash: u64, key: K, sum: i64, state: State) {
        // By invariant 4: a full table grows, or tidies itself up.
        self.moved |= self.entries.len() == self.entries.capacity();
        let marked = Marked::new(hash, state);
        self.entries
            .insert_unique(hash, Entry { key, marked, sum }, |entry| entry.marked.hash());
    }
}
