//! Flushes, and checks that each reports what was pending at its call, and what became of that.

use std::collections::BTreeSet;
use std::time::Duration;

use buffer_core::{Buffer, DropReason, FlushReport, Outcome};

use crate::look::Pending;
use crate::told::{Books, Item};

/// Flushes all that is pending, or what a limit lets it.
pub(crate) async fn flush(buffer: Buffer<Item>, books: Books, limit: Option<Duration>) {
    let (before, names) = (buffer.ledger(), names(&books, &buffer));
    let report = match limit {
        None => buffer.flush().await,
        Some(limit) => buffer.flush_within(limit).await,
    };
    let settled = report.delivered + report.dropped.total() + report.returned;
    assert_eq!(
        settled + report.pending,
        before.pending,
        "{report:?} of {before:?}"
    );
    assert!(limit.is_some() || report.pending == 0, "{report:?}");
    if let Some(names) = names {
        check(&books, &names, &report);
    }
}

/// The items that are pending now, if that can be told: those of a call that has not answered may be in the worker's hands.
fn names(books: &Books, buffer: &Buffer<Item>) -> Option<BTreeSet<u32>> {
    let Pending { known, maybe, .. } = Pending::now(books, buffer);
    let seen = buffer.dump().items.into_iter().map(|item| item.id);
    let mut names: BTreeSet<u32> = seen.filter(|id| maybe.contains_key(id)).collect();
    names.extend(known.keys());
    (names.len() as u64 == buffer.ledger().pending).then_some(names)
}

fn check(books: &Books, names: &BTreeSet<u32>, report: &FlushReport) {
    let record = books.record.lock();
    let count = |outcome| {
        let of = |id: &&u32| record.outcomes.get(id).copied() == outcome;
        names.iter().filter(of).count() as u64
    };
    assert_eq!(
        report.delivered,
        count(Some(Outcome::Delivered)),
        "{report:?} of {names:?}"
    );
    assert_eq!(
        report.returned,
        count(Some(Outcome::Returned)),
        "{report:?} of {names:?}"
    );
    assert_eq!(report.pending, count(None), "{report:?} of {names:?}");
    for &reason in DropReason::ALL {
        let dropped = count(Some(Outcome::Dropped(reason)));
        assert_eq!(
            report.dropped.count(reason),
            dropped,
            "{reason}: {report:?} of {names:?}"
        );
    }
}
