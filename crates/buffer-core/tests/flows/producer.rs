//! Those who insert: tasks that carry out one command after the other, and those who wait for one item's outcome.

use std::time::Duration;

use buffer_core::{
    Buffer, InsertAndWaitError, InsertBatchError, InsertError, InsertTimeoutError, NotDelivered, Outcome,
    TryInsertBatchError, TryInsertError,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::case::{Command, Items, Way};
use crate::door::{Door, Refusal};
use crate::told::{Answered, Books, Item};

/// How many producers take commands; those who wait for an item's outcome are numbered from there on.
pub(crate) const PRODUCERS: u8 = 3;

/// A task that inserts, one command after the other.
pub(crate) struct Producer {
    pub(crate) number: u8,
    pub(crate) buffer: Buffer<Item>,
    pub(crate) books: Books,
}

impl Producer {
    pub(crate) async fn run(self, mut commands: mpsc::UnboundedReceiver<Command>) {
        while let Some(command) = commands.recv().await {
            self.carry_out(command).await;
        }
    }

    async fn carry_out(&self, command: Command) {
        let Command {
            items,
            too_heavy,
            way,
        } = command;
        let item = |index| self.books.item(self.number, too_heavy == Some(index));
        match items {
            Items::One => self.one(item(0), way).await,
            Items::Many(count) => self.many((0..count).map(item).collect(), way).await,
        }
    }

    /// Inserts an item, and notes the answer in the same step in which it comes.
    async fn one(&self, item: Item, way: Way) {
        let (id, buffer) = (item.id, &self.buffer);
        let door = Door::before(&self.books, buffer, std::slice::from_ref(&item));
        let inserted = match way {
            Way::Wait => buffer.insert(item).await.map_err(of_insert),
            Way::WaitFor(limit) => {
                let inserted = buffer.insert_timeout(item, limit).await;
                inserted.map_err(|error| match error {
                    InsertTimeoutError::TimedOut(item) => (Refusal::Late, Some(item)),
                    InsertTimeoutError::Closed(item) => (Refusal::Closed, Some(item)),
                    InsertTimeoutError::Oversized(item) => (Refusal::Oversized, Some(item)),
                    other => unreachable!("{other:?}"),
                })
            }
            Way::GiveUp(limit) => match timeout(limit, buffer.insert(item)).await {
                Ok(inserted) => inserted.map_err(of_insert),
                Err(_) => Err((Refusal::Late, None)),
            },
            Way::Try => buffer.try_insert(item).map_err(|error| match error {
                TryInsertError::Full(item) => (Refusal::Full, Some(item)),
                TryInsertError::Closed(item) => (Refusal::Closed, Some(item)),
                TryInsertError::Oversized(item) => (Refusal::Oversized, Some(item)),
                other => unreachable!("{other:?}"),
            }),
        };
        let (left, refusal) = match inserted {
            Ok(()) => (None, None),
            Err((refusal, handed_back)) => {
                assert!(handed_back.is_none_or(|item| item.id == id), "not {id} came back");
                (Some(id), Some(refusal))
            }
        };
        self.note(&[id], left.as_slice());
        door.check(&self.books, &way, usize::from(left.is_none()), refusal);
    }

    /// Inserts many items, and notes what is left over.
    async fn many(&self, mut items: Vec<Item>, way: Way) {
        let ids: Vec<u32> = items.iter().map(|item| item.id).collect();
        let door = Door::before(&self.books, &self.buffer, &items);
        let inserted = match way {
            Way::Wait => self.buffer.insert_batch(&mut items).await.map_err(Some),
            Way::WaitFor(limit) | Way::GiveUp(limit) => {
                let inserted = timeout(limit, self.buffer.insert_batch(&mut items)).await;
                inserted.map_or(Err(None), |inserted| inserted.map_err(Some))
            }
            Way::Try => self.buffer.try_insert_batch(&mut items).map_err(|error| {
                Some(match error {
                    TryInsertBatchError::Closed => InsertBatchError::Closed,
                    TryInsertBatchError::Oversized { index } => InsertBatchError::Oversized { index },
                    TryInsertBatchError::Full => return None,
                    other => unreachable!("{other:?}"),
                })
            }),
        };
        let refusal = match inserted {
            Ok(()) => None,
            Err(Some(InsertBatchError::Closed)) => Some(Refusal::Closed),
            Err(Some(InsertBatchError::Oversized { index })) => {
                let heaviest = self.books.case.heaviest();
                let is_light = |item: &Item| item.weight as u64 <= heaviest;
                assert_eq!(items.iter().position(|item| !is_light(item)), Some(index));
                Some(Refusal::Oversized)
            }
            Err(None) if matches!(way, Way::Try) => Some(Refusal::Full),
            Err(None) => Some(Refusal::Late),
            Err(Some(other)) => unreachable!("{other:?}"),
        };
        let left: Vec<u32> = items.iter().map(|item| item.id).collect();
        assert!(ids.ends_with(&left), "not the rest came back: {left:?}");
        self.note(&ids, &left);
        door.check(&self.books, &way, ids.len() - left.len(), refusal);
    }

    /// Notes what became of items, of which these were refused.
    fn note(&self, ids: &[u32], left: &[u32]) {
        let mut told = self.books.told.lock();
        for id in ids {
            told.open.remove(id);
            match left.contains(id) {
                true => _ = told.refused.insert(*id),
                false => told.accept(*id),
            }
        }
    }
}

fn of_insert(error: InsertError<Item>) -> (Refusal, Option<Item>) {
    match error {
        InsertError::Closed(item) => (Refusal::Closed, Some(item)),
        InsertError::Oversized(item) => (Refusal::Oversized, Some(item)),
        other => unreachable!("{other:?}"),
    }
}

fn answered(why: &NotDelivered) -> Answered {
    match why {
        NotDelivered::Dropped { reason, .. } => Answered::Dropped(*reason),
        NotDelivered::Withdrawn => Answered::Withdrawn,
        NotDelivered::LeftOver => Answered::LeftOver,
        other => unreachable!("{other:?}"),
    }
}

/// Inserts an item and waits for its outcome, by its receipt or not, unless patience ends before.
pub(crate) async fn insert_and_wait(
    buffer: Buffer<Item>,
    books: Books,
    too_heavy: bool,
    patience: Option<Duration>,
) {
    let number = {
        let mut told = books.told.lock();
        told.next_alone += 1;
        PRODUCERS + told.next_alone
    };
    let item = books.item(number, too_heavy);
    let id = item.id;
    let door = Door::before(&books, &buffer, std::slice::from_ref(&item));
    let outcome = async {
        match id % 2 {
            0 => buffer.insert_and_wait(item).await,
            _ => Ok(buffer.insert_with_receipt(item).await?.await?),
        }
    };
    let answer = match patience {
        None => Some(outcome.await),
        Some(patience) => timeout(patience, outcome).await.ok(),
    };
    books.told.lock().open.remove(&id);
    let (refusal, item) = match answer {
        None => {
            books.told.lock().unknown.insert(id);
            return;
        }
        Some(Ok(())) => return note_answer(&books, id, Answered::Delivered),
        Some(Err(InsertAndWaitError::NotDelivered(why))) => return note_answer(&books, id, answered(&why)),
        Some(Err(InsertAndWaitError::Closed(item))) => (Refusal::Closed, item),
        Some(Err(InsertAndWaitError::Oversized(item))) => (Refusal::Oversized, item),
        Some(Err(other)) => unreachable!("{other:?}"),
    };
    assert_eq!(item.id, id, "not {id} came back");
    books.told.lock().refused.insert(id);
    door.check(&books, &Way::Wait, 0, Some(refusal));
}

/// Notes an answer, with which the item is settled already.
fn note_answer(books: &Books, id: u32, answer: Answered) {
    let outcome = books.record.lock().outcomes.get(&id).copied();
    answer.check(id, outcome);
    let mut told = books.told.lock();
    told.accept(id);
    told.answers.insert(id, answer);
}

impl Answered {
    /// Checks the answer against what was heard of the item by now.
    pub(crate) fn check(self, id: u32, outcome: Option<Outcome>) {
        let is_right = match self {
            Self::Delivered => outcome == Some(Outcome::Delivered),
            Self::Dropped(reason) => outcome == Some(Outcome::Dropped(reason)),
            Self::Withdrawn => outcome == Some(Outcome::Returned),
            // Whose it will be may show later.
            Self::LeftOver => outcome.is_none_or(|outcome| {
                matches!(
                    outcome,
                    Outcome::Returned | Outcome::Dropped(buffer_core::DropReason::DrainTimeout)
                )
            }),
        };
        assert!(is_right, "{id} was answered {self:?}, and {outcome:?}");
    }
}
