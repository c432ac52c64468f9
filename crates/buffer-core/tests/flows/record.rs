//! What the two sinks did and what the hook of outcomes heard. A fault is noted, as the buffer would catch a panic here.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use buffer_core::{Batch, BatchId, DropReason, Outcome, Overflow, Settled};

use crate::case::{Answer, Burial, Case};
use crate::told::Item;

#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) script: VecDeque<Answer>,
    pub(crate) burials: VecDeque<Burial>,
    /// In the order of the deliveries: partition, producer, item.
    pub(crate) delivered: Vec<(usize, u8, u32)>,
    /// What must become of the items that the sink has judged.
    pub(crate) judged: BTreeMap<u32, Outcome>,
    /// What the sink took, for each partition, until the hook hears of it: what is to become of it as things stand.
    pub(crate) taken: BTreeMap<usize, Vec<(u32, Outcome)>>,
    /// All that the sink ever took.
    pub(crate) gone: BTreeSet<u32>,
    /// How many of those were withdrawn.
    pub(crate) withdrawn: u64,
    /// The attempts that spent a retry, and those that were cut off, for each item.
    pub(crate) spent: BTreeMap<u32, u32>,
    /// The attempts under way: how many items each partition's has.
    pub(crate) running: BTreeMap<usize, usize>,
    content: BTreeMap<BatchId, Vec<u32>>,
    pub(crate) attempts: u64,
    /// The attempts that ended in `Ok`.
    pub(crate) answered_ok: u64,
    pub(crate) offered_again: u64,
    /// The batches that came to the sink whole, by what sealed them.
    pub(crate) sealed: BTreeMap<&'static str, u64>,
    /// What the hook heard.
    pub(crate) outcomes: BTreeMap<u32, Outcome>,
    pub(crate) counts: HashMap<Outcome, u64>,
    /// The last item of each producer that overflowed.
    pub(crate) overflowed: BTreeMap<u8, u32>,
    /// The items on their way to the dead-letter sink that overflowed, for each partition.
    places: BTreeMap<usize, usize>,
    /// What the dead-letter sink was offered.
    pub(crate) buried: BTreeMap<u32, DropReason>,
    /// The items of burials that had no answer, and after what time those were cut off.
    pub(crate) burial_cut_off: BTreeMap<u32, Duration>,
    pub(crate) dead_lettered: u64,
    pub(crate) closed: usize,
    pub(crate) dead_letters_closed: usize,
    pub(crate) faults: Vec<String>,
}

impl Record {
    pub(crate) fn new(case: &Case) -> Self {
        Self {
            script: case.script.clone().into(),
            burials: case.burials.clone().into(),
            ..Self::default()
        }
    }

    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or_default()
    }

    /// How many items were dropped for want of room.
    pub(crate) fn overflow(&self) -> u64 {
        OVERFLOW
            .map(|reason| self.count(Outcome::Dropped(reason)))
            .iter()
            .sum()
    }

    fn holds(&mut self, is_right: bool, fault: impl FnOnce() -> String) {
        if !is_right {
            self.faults.push(fault());
        }
    }

    /// An attempt begins.
    pub(crate) fn offered(&mut self, case: &Case, batch: &Batch<Item>) {
        let names: Vec<u32> = batch.iter().map(|item| item.id).collect();
        let partition = batch.partition();
        let other = self.running.insert(partition, names.len());
        self.holds(other.is_none(), || {
            format!("two attempts of partition {partition} at once")
        });
        self.holds(batch.len() <= case.settings.batch_size, || {
            format!("too many: {batch:?}")
        });
        self.weighed(batch);
        let is_last_alone = batch.len() == 1 && batch[0].is_last();
        self.holds(batch.bytes() <= case.heaviest() || is_last_alone, || {
            format!("too heavy: {batch:?}")
        });
        let unheard = self.taken.get(&partition).is_some_and(|taken| !taken.is_empty());
        self.holds(!unheard, || {
            format!("what was taken in partition {partition} is not settled")
        });
        for id in &names {
            let settled = self.judged.get(id).or(self.outcomes.get(id)).copied();
            self.holds(settled.is_none(), || {
                format!("{id} was offered again after {settled:?}")
            });
        }
        if batch.attempt() > 1 || batch.parent().is_some() {
            self.offered_again += names.len() as u64;
        } else {
            *self.sealed.entry(batch.trigger().as_str()).or_default() += 1;
        }
        let content = self.content.entry(batch.id()).or_insert_with(|| names.clone());
        let changed = *content != names;
        self.holds(!changed, || {
            format!("an id named two contents, one of them {names:?}")
        });
    }

    /// The dead-letter sink's attempt begins.
    pub(crate) fn offered_dead(&mut self, case: &Case, batch: &Batch<Item>) {
        let Some(reason) = batch.drop_reason() else {
            return self.holds(false, || format!("no reason to bury {batch:?}"));
        };
        self.holds(batch.len() <= case.settings.batch_size, || {
            format!("too many: {batch:?}")
        });
        if reason == DropReason::Overflow {
            let started_over = batch.attempt() > 1;
            let freed = if started_over { 0 } else { batch.len() };
            *self.places.entry(batch.partition()).or_default() -= freed;
        }
        self.weighed(batch);
        for id in batch.iter().map(|item| item.id) {
            let outcome = self.outcomes.get(&id).copied();
            self.holds(outcome == Some(Outcome::Dropped(reason)), || {
                format!("{id}, of which {outcome:?} was heard, is buried: {reason}")
            });
            let before = self.buried.insert(id, reason);
            self.holds(before.is_none(), || format!("{id} was buried twice"));
        }
    }

    fn weighed(&mut self, batch: &Batch<Item>) {
        let bytes: usize = batch.iter().map(|item| item.weight).sum();
        self.holds(batch.bytes() == bytes as u64, || {
            format!("{} is not the weight of {batch:?}", batch.bytes())
        });
    }

    /// The sink has taken items, which are to end so as things stand.
    pub(crate) fn take(&mut self, partition: usize, taken: Vec<(u32, Outcome)>) {
        self.gone.extend(taken.iter().map(|(id, _)| *id));
        self.taken.insert(partition, taken);
    }

    /// The sink has judged an item.
    pub(crate) fn judge(&mut self, partition: usize, producer: u8, id: u32, outcome: Outcome) {
        self.judged.insert(id, outcome);
        if outcome == Outcome::Delivered {
            self.delivered.push((partition, producer, id));
        }
    }

    /// The hook hears of items.
    pub(crate) fn hear(&mut self, case: &Case, settled: &Settled<'_, Item>) {
        let outcome = settled.outcome;
        let mut names: Vec<u32> = settled.items.iter().map(|item| item.id).collect();
        // The sink has them, which knows what it has done.
        if names.is_empty() {
            let taken = self.taken.entry(settled.partition).or_default();
            let heard = taken.extract_if(.., |(_, expected)| *expected == outcome);
            // What it marked is settled by itself, and lies in front.
            names = heard.take(settled.count).map(|(id, _)| id).collect();
            self.withdrawn += if outcome == Outcome::Returned {
                names.len() as u64
            } else {
                0
            };
        } else {
            self.holds(outcome != Outcome::Dropped(DropReason::Unconfirmed), || {
                format!("{names:?} unconfirmed, and not taken")
            });
        }
        self.holds(names.len() == settled.count, || {
            format!("{} were {outcome:?}, not {names:?}", settled.count)
        });
        if let Outcome::Dropped(reason) = outcome
            && OVERFLOW.contains(&reason)
        {
            self.hear_overflow(case, reason, settled);
        }
        *self.counts.entry(outcome).or_default() += names.len() as u64;
        for id in names {
            let judged = self.judged.get(&id).copied();
            let needs_judgement = matches!(
                outcome,
                Outcome::Delivered | Outcome::Dropped(DropReason::Rejected | DropReason::Permanent)
            );
            // What is returned was withdrawn, perhaps in an attempt that was cut off, or left by the close.
            let may_be_judged = needs_judgement || outcome == Outcome::Returned;
            let is_judged = judged == Some(outcome) && may_be_judged;
            self.holds(is_judged || judged.is_none() && !needs_judgement, || {
                format!("{id} was {outcome:?}, and not {judged:?}")
            });
            let before = self.outcomes.insert(id, outcome);
            self.holds(before.is_none(), || format!("{id} was settled twice"));
        }
    }

    fn hear_overflow(&mut self, case: &Case, reason: DropReason, settled: &Settled<'_, Item>) {
        for item in settled.items {
            let last = self.overflowed.entry(item.producer).or_default();
            *last = item.id.max(*last);
        }
        let (most, count) = (case.settings.batch_size, settled.count);
        let places = self.places.entry(settled.partition).or_default();
        let taken = *places;
        let is_right = match reason {
            _ if !case.settings.has_dead_letters => reason == DropReason::Overflow,
            DropReason::Overflow => {
                *places += count;
                *places <= most
            }
            // New ones take the places that there are, and a batch of old ones goes as one.
            _ if case.settings.overflow == Overflow::DropNewest => taken == most,
            _ => taken + count > most,
        };
        self.holds(is_right, || {
            format!("{count} were dropped: {reason}, {taken} of {most} places were taken")
        });
    }
}

/// The reasons for which items are dropped for want of room.
const OVERFLOW: [DropReason; 2] = [DropReason::Overflow, DropReason::DeadLetterFull];
