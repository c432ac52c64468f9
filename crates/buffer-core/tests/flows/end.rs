//! The books at the end: what the producers were told, what the sinks did and what the hook heard is the same.

use std::time::Duration;

use buffer_core::{Buffer, DropReason, Outcome, Overflow, Size, Summary, Trigger};

use crate::case::{Case, End, Verdict};
use crate::look::{assert_in_order, look};
use crate::record::Record;
use crate::told::{Books, Item, Told};

/// Checks what a close left, while there is a handle to ask.
pub(crate) fn check_the_close(books: &Books, buffer: &Buffer<Item>, summaries: Vec<Summary<Item>>) {
    look(books, buffer);
    check_the_books(books);
    let ledger = buffer.ledger();
    assert_eq!(
        (ledger.pending, buffer.size()),
        (0, Size::default()),
        "{ledger:?}"
    );
    let record = books.record.lock();
    assert_eq!(ledger.accepted, record.outcomes.len() as u64, "{ledger:?}");
    if ledger.accepted == ledger.delivered {
        let stats = buffer.stats();
        for &trigger in Trigger::ALL {
            let offered = record.sealed.get(trigger.as_str()).copied().unwrap_or_default();
            assert_eq!(offered, stats.sealed_by(trigger), "{trigger}: {stats:?}");
        }
    }
    let mut undelivered = Vec::new();
    for summary in summaries {
        assert_eq!(summary.ledger, ledger);
        undelivered.extend(summary.undelivered);
    }
    let returned = record.withdrawn + undelivered.len() as u64;
    assert_eq!(ledger.returned, returned, "{ledger:?}");
    for item in &undelivered {
        assert_eq!(record.outcomes[&item.id], Outcome::Returned, "{item:?}");
    }
    if books.case.keeps_order() {
        assert_in_order(undelivered.iter().map(|item| (0, item.producer, item.id)));
    }
}

/// Checks what can be checked when the last handle is gone.
pub(crate) fn check_the_books(books: &Books) {
    let (case, told, record) = (&*books.case, books.told.lock(), books.record.lock());
    assert!(record.faults.is_empty(), "{:?}", record.faults);
    assert_eq!(record.closed, 1);
    assert_eq!(
        record.dead_letters_closed,
        usize::from(case.settings.has_dead_letters)
    );
    assert_in_order(record.delivered.iter().copied());
    let most_spent = record.spent.values().max().copied().unwrap_or_default();
    assert!(
        most_spent <= case.settings.retries + 1 || case.script.iter().any(divides),
        "spent {most_spent}"
    );
    check_what_was_told(books, &told, &record);
    check_what_was_judged(&record);
    check_reasons(case, &record);
    check_burials(case, &record);
    let unharmed = case.is_harmless() && case.has_time();
    assert!(
        !unharmed || record.delivered.len() == record.outcomes.len(),
        "lost some of {:?}",
        record.outcomes
    );
}

fn divides(answer: &crate::case::Answer) -> bool {
    matches!(answer.verdict, Verdict::Divisible)
}

/// Every item is accepted or refused, and what is accepted has an outcome, which is the one that was answered.
fn check_what_was_told(books: &Books, told: &Told, record: &Record) {
    assert!(
        told.open.is_empty(),
        "an insert has not answered: {:?}",
        told.open
    );
    assert!(told.accepted.is_disjoint(&told.refused));
    let answered = told.accepted.len() + told.refused.len() + told.unknown.len();
    assert_eq!(answered, told.weights.len());
    let mut accepted = told.accepted.clone();
    accepted.extend(books.last_ids());
    let heard_of = |id: &&u32| record.outcomes.contains_key(id);
    accepted.extend(told.unknown.iter().filter(heard_of));
    assert!(
        accepted.iter().eq(record.outcomes.keys()),
        "accepted {accepted:?}, heard of {:?}",
        record.outcomes
    );
    for (id, answer) in &told.answers {
        let outcome = record.outcomes.get(id).copied();
        assert!(outcome.is_some(), "{id} was answered {answer:?}");
        answer.check(*id, outcome);
    }
}

/// What the sink judged became so, and nothing that it took is forgotten.
fn check_what_was_judged(record: &Record) {
    for (id, judged) in &record.judged {
        assert_eq!(record.outcomes.get(id), Some(judged), "{id}");
    }
    let forgotten: Vec<_> = record.taken.values().flatten().collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
    let delivered = record.delivered.len() as u64;
    assert_eq!(delivered, record.count(Outcome::Delivered), "delivered twice");
}

fn check_reasons(case: &Case, record: &Record) {
    let settings = &case.settings;
    let drops = settings.overflow != Overflow::Wait;
    for (id, outcome) in &record.outcomes {
        let Outcome::Dropped(reason) = outcome else {
            continue;
        };
        let is_right = match reason {
            DropReason::RetriesExhausted => record.spent.get(id) > Some(&settings.retries),
            DropReason::GivenUp => settings.give_up_after.is_some(),
            DropReason::Undivided => case.script.iter().any(divides),
            DropReason::Overflow => drops,
            DropReason::DeadLetterFull => drops && settings.has_dead_letters,
            DropReason::DrainTimeout => matches!(case.end, End::CloseGivenUp { .. } | End::DropLastHandle),
            // Compared with what the sink did.
            DropReason::Rejected | DropReason::Permanent | DropReason::Unconfirmed => true,
            _ => false,
        };
        assert!(is_right, "{id} was dropped: {reason}");
    }
}

/// What was dropped came to the dead-letter sink, if somebody had it and there was time.
fn check_burials(case: &Case, record: &Record) {
    let is_buried = |reason: &DropReason| match reason {
        DropReason::Permanent
        | DropReason::Rejected
        | DropReason::Undivided
        | DropReason::RetriesExhausted
        | DropReason::GivenUp
        | DropReason::Overflow => case.settings.has_dead_letters,
        // The sink has them, or there was neither room nor time.
        _ => false,
    };
    let timed_out = |after: &Duration| *after >= case.settings.flush_timeout;
    let cut_off = &record.burial_cut_off;
    assert!(
        cut_off.values().all(timed_out) || !case.has_time(),
        "{cut_off:?} were cut off on their way to the grave"
    );
    for (id, outcome) in &record.outcomes {
        let reason = match outcome {
            Outcome::Dropped(reason) if !record.gone.contains(id) => Some(*reason).filter(is_buried),
            _ => None,
        };
        let buried = record.buried.get(id).copied();
        assert!(
            buried == reason || buried.is_none() && !case.has_time(),
            "{id} was {outcome:?}, buried: {buried:?}"
        );
    }
}
