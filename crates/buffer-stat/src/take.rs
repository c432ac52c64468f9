//! Takes the sums out of a table in parts, so that nobody waits long for its lock.

use crate::caught::{caught, drop_caught};
use crate::marked::State;
use crate::max_keys::{NoPlace, Places};
use crate::table::{Entry, Table};
use crate::taken::Taken;

/// Which sums a take leaves where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spare {
    /// Those of keys that were flushed by hand in this window.
    Fresh,
    Nothing,
}

/// How far a take of the sums has come.
#[derive(Debug)]
pub(crate) struct Progress {
    spare: Spare,
    /// The next bucket to look at; none before the first.
    next: Option<usize>,
    /// Whether idle keys lose their place. Once entries have moved, it can't be told which were idle.
    forgets: bool,
    /// Whether keys were spared.
    spared: bool,
    /// Whether sums were.
    pub(crate) spares_sums: bool,
    /// Whether sums were left whose key could not be cloned.
    pub(crate) leaves_sums: bool,
    /// Whether everything else was taken, so that the spared keys become like others. If they did so earlier, a take that begins anew
    /// would not know them.
    ages: bool,
}

/// How many buckets a take looks at under one lock: an increment waits no longer than that.
pub(crate) const BUCKETS_AT_ONCE: usize = 32;

impl Progress {
    pub(crate) fn new(spare: Spare) -> Self {
        Self {
            spare,
            next: None,
            forgets: true,
            spared: false,
            spares_sums: false,
            leaves_sums: false,
            ages: false,
        }
    }
}

impl<K: Eq + Clone> Table<K> {
    /// Takes the sums of some keys that have changed, and says whether there are more. Increments in between belong to this window or
    /// to the next.
    pub(crate) fn take_some(
        &mut self,
        progress: &mut Progress,
        places: &Places<K>,
        taken: &mut Vec<Taken<K>>,
    ) -> bool {
        let moved = std::mem::replace(&mut self.moved, false);
        let first = match progress.next {
            Some(next) if !moved => next,
            Some(_) if progress.ages => 0,
            begun => {
                // Whatever changes from now on sets it again.
                self.changed = false;
                progress.forgets &= begun.is_none();
                self.take_beyond(progress.spare, taken);
                0
            }
        };
        let end = self.entries.num_buckets().min(first + BUCKETS_AT_ONCE);
        let before = self.entries.len();
        for bucket in first..end {
            match progress.ages {
                true => self.age_at(bucket),
                false => self.take_at(bucket, progress, taken),
            }
        }
        places.give_back(before - self.entries.len());
        progress.next = Some(end);
        if end < self.entries.num_buckets() {
            return true;
        }
        if progress.spared && !progress.ages {
            (progress.ages, progress.next) = (true, Some(0));
            return true;
        }
        self.shrink();
        false
    }

    /// Takes what the entries have no room for, except of spared keys: there, the two are one sum.
    fn take_beyond(&mut self, spare: Spare, taken: &mut Vec<Taken<K>>) {
        for part in self.beyond.take() {
            if spare == Spare::Fresh && self.is_fresh(&part) {
                self.beyond.add(part);
                self.changed = true;
            } else {
                taken.push(part);
            }
        }
    }

    /// Whether the key was flushed by hand, and has changed since.
    fn is_fresh(&self, part: &Taken<K>) -> bool {
        let is_key = |entry: &Entry<K>| entry.marked.hash() == part.hash && entry.key == part.key;
        // A key whose comparison panics equals no other.
        let entry = caught(|| self.entries.find(part.hash, is_key)).flatten();
        entry.is_some_and(|entry| entry.marked.state() == State::ChangedFresh)
    }

    fn take_at(&mut self, bucket: usize, progress: &mut Progress, taken: &mut Vec<Taken<K>>) {
        let Some(entry) = self.entries.get_bucket_mut(bucket) else {
            return;
        };
        match (entry.marked.state(), progress.spare) {
            (State::Idle, _) if progress.forgets => {
                if let Ok(idle) = self.entries.get_bucket_entry(bucket) {
                    drop_caught(idle.remove().0);
                }
            }
            (State::Idle, _) => {}
            (State::Fresh, Spare::Nothing) => entry.marked.set(State::Idle),
            (State::Fresh, Spare::Fresh) => progress.spared = true,
            (State::ChangedFresh, Spare::Fresh) => {
                progress.spared = true;
                progress.spares_sums = true;
                self.changed = true;
            }
            (State::Changed, _) | (State::ChangedFresh, Spare::Nothing) => {
                // By invariant 2.
                let Some(key) = caught(|| entry.key.clone()) else {
                    progress.leaves_sums = true;
                    self.changed = true;
                    return;
                };
                let sum = std::mem::take(&mut entry.sum).into();
                entry.marked.set(State::Idle);
                let hash = entry.marked.hash();
                taken.push(Taken { hash, key, sum });
            }
        }
    }

    /// Makes a spared key like others: its window is the running one from now on.
    fn age_at(&mut self, bucket: usize) {
        let Some(entry) = self.entries.get_bucket_mut(bucket) else {
            return;
        };
        match entry.marked.state() {
            State::Idle | State::Changed => {}
            State::Fresh => entry.marked.set(State::Idle),
            State::ChangedFresh => entry.marked.set(State::Changed),
        }
    }

    /// Takes all sums with their keys; the table is empty then.
    pub(crate) fn take_all(&mut self, places: &Places<K>) -> Vec<Taken<K>> {
        let entries = std::mem::take(&mut self.entries);
        places.give_back(entries.len());
        self.changed = false;
        self.moved = true;
        let mut taken = Vec::with_capacity(entries.len());
        taken.extend(self.beyond.take());
        for Entry { key, marked, sum } in entries {
            let (hash, sum) = (marked.hash(), sum.into());
            match marked.state() {
                State::Changed | State::ChangedFresh => taken.push(Taken { hash, key, sum }),
                // One by one: a destructor that panics must not cost the sums of the others.
                State::Idle | State::Fresh => drop_caught(key),
            }
        }
        taken
    }

    /// Takes one key's sum, if it has changed, and begins a fresh window for it.
    pub(crate) fn take_key(&mut self, hash: u64, key: &K, places: &Places<K>) -> Option<Taken<K>> {
        let is_key = |entry: &Entry<K>| entry.marked.hash() == hash && entry.key == *key;
        let taken = match self.entries.find_mut(hash, is_key) {
            Some(entry) => {
                let changed = matches!(entry.marked.state(), State::Changed | State::ChangedFresh);
                let taken = changed.then(|| Taken {
                    hash,
                    key: key.clone(),
                    sum: entry.sum.into(),
                });
                entry.sum = 0;
                entry.marked.set(State::Fresh);
                taken
            }
            None => {
                // Its next increment may come here. If there is no place, it joins the running window. Cloned before a place is
                // taken: it is user code, and may panic.
                let key = key.clone();
                if let Ok(()) = places.take().map_err(|NoPlace| ()) {
                    self.insert_as(hash, key, 0, State::Fresh);
                }
                None
            }
        };
        // A comparison that panics must not cost what was taken before.
        match (taken, caught(|| self.beyond.take_key(hash, key)).flatten()) {
            (Some(mut taken), Some(beyond)) => {
                taken.sum += beyond.sum;
                drop_caught(beyond.key);
                Some(taken)
            }
            (taken, beyond) => taken.or(beyond),
        }
    }
}

#[cfg(all(test, not(buffer_loom)))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::marked::unmarked;
    use crate::max_keys::MaxKeys;

    fn places() -> Places<u64> {
        Places::new(usize::MAX, MaxKeys::FlushEarly)
    }

    /// Any numbers serve as hashes, if their lowest and their highest bits differ.
    fn hash(key: u64) -> u64 {
        unmarked(key.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn add(table: &mut Table<u64>, key: u64) {
        if table.add(hash(key), |other| *other == key, 1).is_none() {
            table.insert(hash(key), key, 1);
        }
    }

    /// Takes all sums, with `between` after each part.
    fn take(table: &mut Table<u64>, mut between: impl FnMut(&mut Table<u64>)) -> BTreeMap<u64, i128> {
        let (mut progress, mut taken) = (Progress::new(Spare::Nothing), Vec::new());
        while table.take_some(&mut progress, &places(), &mut taken) {
            between(table);
        }
        let mut sums = BTreeMap::new();
        for Taken { key, sum, .. } in taken {
            *sums.entry(key).or_default() += sum;
        }
        sums
    }

    /// Fails when the take goes on at its old bucket although the entries have moved.
    #[test]
    fn a_take_misses_no_key_though_the_table_grows_under_it() {
        let mut table = Table::new();
        (0..200).for_each(|key| add(&mut table, key));
        let mut new = 1_000..2_000;
        let mut taken = take(&mut table, |table| {
            new.by_ref().take(20).for_each(|key| add(table, key));
        });
        assert!((0..200).all(|key| taken.get(&key) == Some(&1)), "{taken:?}");
        assert!(new.start > 1_200, "the table has grown");
        for (key, sum) in take(&mut table, |_| {}) {
            assert_eq!(taken.insert(key, sum), None);
        }
        assert_eq!(taken.len(), 200 + (new.start - 1_000) as usize);
    }

    /// Fails when a table that gives back room does not tell.
    #[test]
    fn a_take_misses_no_key_though_the_table_shrinks_under_it() {
        let mut table = Table::new();
        (0..5_000).for_each(|key| add(&mut table, key));
        take(&mut table, |_| {});
        (0..200).for_each(|key| add(&mut table, key));
        let mut parts = 0;
        let taken = take(&mut table, |table| {
            parts += 1;
            if parts == 50 {
                table.forget_idle(&places());
            }
        });
        assert!((0..200).all(|key| taken.get(&key) == Some(&1)), "{taken:?}");
        assert!(parts < 100, "the table has shrunk");
    }

    /// Fails when a take that begins anew no longer knows the spared keys.
    #[test]
    fn a_key_that_was_flushed_by_hand_is_spared_though_the_table_grows_under_the_take() {
        let mut table = Table::new();
        (0..200).for_each(|key| add(&mut table, key));
        take(&mut table, |_| {});
        for key in 0..200 {
            table.take_key(hash(key), &key, &places());
        }
        (0..100).for_each(|key| add(&mut table, key));
        let (mut progress, mut taken) = (Progress::new(Spare::Fresh), Vec::new());
        let (mut new, mut parts) = (1_000..2_000, 0);
        while table.take_some(&mut progress, &places(), &mut taken) {
            parts += 1;
            new.by_ref().take(20).for_each(|key| add(&mut table, key));
            if parts == 3 {
                (100..200).for_each(|key| add(&mut table, key));
            }
        }
        assert!(new.start > 1_200, "the table has grown");
        assert!(taken.iter().all(|taken| taken.key >= 200), "{taken:?}");
        let taken = take(&mut table, |_| {});
        assert!((0..200).all(|key| taken.get(&key) == Some(&1)), "{taken:?}");
    }

    #[test]
    fn what_comes_during_a_take_is_in_it_or_in_the_next() {
        let mut table = Table::new();
        (0..200).for_each(|key| add(&mut table, key));
        let mut added = 200;
        let mut taken = take(&mut table, |table| {
            (0..200).for_each(|key| add(table, key));
            added += 200;
        });
        assert!(table.has_changed());
        for (key, sum) in take(&mut table, |_| {}) {
            *taken.entry(key).or_default() += sum;
        }
        assert_eq!(taken.values().sum::<i128>(), added);
        assert!(!table.has_changed());
    }

    #[test]
    fn a_sum_that_leaves_the_range_of_an_entry_and_comes_back_is_exact() {
        let mut table = Table::new();
        add(&mut table, 7);
        for n in [i64::MAX, i64::MAX, i64::MIN, i64::MIN, i64::MIN, 5] {
            table.add(hash(7), |key| *key == 7, n);
        }
        let exact = 1 + 2 * i128::from(i64::MAX) + 3 * i128::from(i64::MIN) + 5;
        assert_eq!(table.sum(hash(7), |key| *key == 7), exact);
        assert_eq!(take(&mut table, |_| {}), BTreeMap::from([(7, exact)]));
        assert_eq!(table.sum(hash(7), |key| *key == 7), 0);
    }
}
