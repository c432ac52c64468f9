//! Looks at a buffer from outside, at any moment, and compares what it shows with the books.

use std::collections::BTreeMap;

use buffer_core::{Buffer, Dump, Ledger, Outcome, PartitionInfo, Size, Trigger};
use buffer_core::{DropReason, Overflow};
use tokio::time::Instant;

use crate::record::Record;
use crate::told::{Books, Item};

/// The items that are pending by what the producers were told, and what they weigh.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) known: BTreeMap<u32, usize>,
    /// Those that may be accepted, as nobody has been told yet.
    pub(crate) maybe: BTreeMap<u32, usize>,
    /// When the answer came to the oldest of the known.
    oldest: Option<Instant>,
}

impl Pending {
    pub(crate) fn now(books: &Books, buffer: &Buffer<Item>) -> Self {
        let (mut told, record) = (books.told.lock(), books.record.lock());
        let is_settled = |id: &u32| record.outcomes.contains_key(id);
        told.unsettled.retain(|id, _| !is_settled(id));
        let weighed = |id: &u32| (*id, told.weights[id]);
        let mut known: BTreeMap<u32, usize> = told.unsettled.keys().map(weighed).collect();
        if buffer.is_closed() {
            let last = books.last_items().into_iter().map(|item| (item.id, item.weight));
            known.extend(last.filter(|(id, _)| !is_settled(id)));
        }
        let maybe = told.open.union(&told.unknown);
        Self {
            known,
            maybe: maybe.filter(|id| !is_settled(id)).map(weighed).collect(),
            oldest: told.unsettled.values().min().copied(),
        }
    }
}

/// Checks all that can be seen of the buffer.
pub(crate) fn look(books: &Books, buffer: &Buffer<Item>) {
    let pending = Pending::now(books, buffer);
    let (ledger, size, parts, dump) = (buffer.ledger(), buffer.size(), buffer.info(), buffer.dump());
    check_ledger(books, &ledger, buffer.is_closed());
    check_stats(books, buffer, &ledger);
    assert_eq!(size.items, ledger.pending, "{ledger:?}");
    check_size(&pending, size);
    check_parts(books, buffer, &parts, size);
    check_dump(books, &pending, &dump, size);
    let waiting: u64 = parts.iter().map(|part| part.open + part.sealed).sum();
    assert_eq!(waiting, dump.items.len() as u64, "{parts:?}");
    check_age(&pending, buffer, &parts);
}

pub(crate) fn assert_adds_up(ledger: &Ledger) {
    let settled = ledger.delivered + ledger.dropped.total() + ledger.returned;
    assert_eq!(ledger.accepted, settled + ledger.pending, "{ledger:?}");
}

/// The ledger is what was told, what was heard and what the sinks did.
fn check_ledger(books: &Books, ledger: &Ledger, is_closed: bool) {
    assert_adds_up(ledger);
    let told = books.told.lock();
    let record = books.record.lock();
    assert!(record.faults.is_empty(), "{:?}", record.faults);
    let last = books.last_ids().filter(|_| is_closed).count();
    let least = (told.accepted.len() + last) as u64;
    let most = least + (told.open.len() + told.unknown.len()) as u64;
    assert!(
        (least..=most).contains(&ledger.accepted),
        "{ledger:?}, told {least} to {most}"
    );
    check_outcomes(&record, ledger);
    assert_eq!(ledger.retried, record.offered_again, "{ledger:?}");
    assert_eq!(ledger.dead_lettered, record.dead_lettered, "{ledger:?}");
}

fn check_outcomes(record: &Record, ledger: &Ledger) {
    assert_eq!(ledger.delivered, record.count(Outcome::Delivered), "{ledger:?}");
    assert_eq!(ledger.returned, record.count(Outcome::Returned), "{ledger:?}");
    for &reason in DropReason::ALL {
        let heard = record.count(Outcome::Dropped(reason));
        assert_eq!(ledger.dropped.count(reason), heard, "{reason}: {ledger:?}");
    }
}

fn check_stats(books: &Books, buffer: &Buffer<Item>, ledger: &Ledger) {
    let (stats, record) = (buffer.stats(), books.record.lock());
    assert_eq!(stats.ledger, *ledger);
    assert_eq!(
        stats.attempts - stats.failed_attempts,
        record.answered_ok,
        "{stats:?}"
    );
    // What is under way has not ended. The drain's deadline may have cut off one of each partition.
    let cut_off = record.attempts - stats.attempts;
    let most = books.case.settings.partitions as u64;
    assert!(
        cut_off == 0 || buffer.is_closed() && cut_off <= most,
        "{} attempts, {stats:?}",
        record.attempts
    );
    for &trigger in Trigger::ALL {
        let offered = record.sealed.get(trigger.as_str()).copied().unwrap_or_default();
        assert!(
            offered <= stats.sealed_by(trigger),
            "{offered} by {trigger}: {stats:?}"
        );
    }
}

fn check_size(pending: &Pending, size: Size) {
    let Pending { known, maybe, .. } = pending;
    let bytes = |items: &BTreeMap<u32, usize>| items.values().sum::<usize>() as u64;
    let (items, more) = (known.len() as u64, maybe.len() as u64);
    assert!(
        (items..=items + more).contains(&size.items),
        "{size:?} {pending:?}"
    );
    assert!(
        (bytes(known)..=bytes(known) + bytes(maybe)).contains(&size.bytes),
        "{size:?} {pending:?}"
    );
}

fn check_parts(books: &Books, buffer: &Buffer<Item>, parts: &[PartitionInfo], size: Size) {
    let (mut items, mut bytes) = books.case.share();
    if buffer.is_closed() {
        let last = books.last_items();
        items += last.len() as u64;
        bytes = bytes.saturating_add(last.iter().map(|item| item.weight as u64).sum());
    }
    let batch_size = books.case.settings.batch_size as u64;
    let record = books.record.lock();
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(
            part.pending.items,
            part.open + part.sealed + part.in_hand,
            "{part:?}"
        );
        assert!(
            part.pending.items <= items && part.pending.bytes <= bytes,
            "{part:?}"
        );
        // What a worker left at the end lies there until it is claimed.
        let is_batch = part.in_hand <= batch_size || buffer.is_closed();
        assert!(part.open < batch_size && is_batch, "{part:?}");
        let running = record.running.get(&index).copied().unwrap_or_default() as u64;
        assert!(part.in_hand >= running, "{running} of {part:?}");
    }
    let items: u64 = parts.iter().map(|part| part.pending.items).sum();
    let bytes: u64 = parts.iter().map(|part| part.pending.bytes).sum();
    assert_eq!((size.items, size.bytes), (items, bytes), "{parts:?}");
}

fn check_dump(books: &Books, pending: &Pending, dump: &Dump<Item>, size: Size) {
    let Pending { known, maybe, .. } = pending;
    assert_eq!(size.items, dump.items.len() as u64 + dump.in_hand, "{dump:?}");
    let mut missing = known.len() as u64;
    let mut bytes = 0;
    for item in &dump.items {
        missing -= u64::from(known.contains_key(&item.id));
        bytes += item.weight as u64;
        let is_pending = known.contains_key(&item.id) || maybe.contains_key(&item.id);
        assert!(is_pending, "{} is not pending", item.id);
    }
    assert!(missing <= dump.in_hand, "{missing} are missing in {dump:?}");
    let is_all = dump.in_hand == 0;
    assert!(
        bytes <= size.bytes && (!is_all || bytes == size.bytes),
        "{size:?} {dump:?}"
    );
    if !books.case.keeps_order() {
        let mut ids: Vec<u32> = dump.items.iter().map(|item| item.id).collect();
        ids.sort_unstable();
        assert!(ids.is_sorted_by(|one, other| one < other), "twice in {ids:?}");
        return;
    }
    assert_in_order(dump.items.iter().map(|item| (0, item.producer, item.id)));
    if books.case.settings.overflow == Overflow::DropOldest {
        let record = books.record.lock();
        for item in &dump.items {
            let dropped = record.overflowed.get(&item.producer);
            assert!(
                dropped.is_none_or(|dropped| *dropped < item.id),
                "{item:?} is older than {dropped:?}"
            );
        }
    }
}

/// What one producer inserted leaves each partition in the order of the inserts.
pub(crate) fn assert_in_order(items: impl Iterator<Item = (usize, u8, u32)>) {
    let mut last = BTreeMap::new();
    for (partition, producer, id) in items {
        let before = last.insert((partition, producer), id);
        assert!(
            before < Some(id),
            "partition {partition}, producer {producer}: {id} came after {before:?}"
        );
    }
}

fn check_age(pending: &Pending, buffer: &Buffer<Item>, parts: &[PartitionInfo]) {
    let oldest = buffer.oldest();
    assert_eq!(oldest, parts.iter().filter_map(|part| part.oldest).max());
    for part in parts {
        assert_eq!(part.oldest.is_some(), part.pending.items > 0, "{part:?}");
    }
    let known = pending.oldest.map(|told| told.elapsed());
    assert!(oldest >= known, "{oldest:?}, and {known:?} of {pending:?}");
}
