//! Those who wait for the outcome of their own item.

use tokio::sync::oneshot;

use crate::caught::{caught, drop_caught};
use crate::reason::DropReason;

/// What becomes of an item that somebody waits for; the channel closes without one when a drain leaves the item over.
pub(crate) type Answer = Result<(), NotDelivered>;

/// What became of an item that somebody waits for, where it was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDelivered {
    Dropped(DropReason),
    Withdrawn,
}

/// The one end of the wait.
pub(crate) type Waiter = oneshot::Sender<Answer>;

/// Waiters by the index of their item in a batch, in ascending order. Without any it is an empty vector.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<(usize, Waiter)>);

impl Waiters {
    /// Adds the waiter for the item at `index`, which lies behind those of all others.
    pub(crate) fn push(&mut self, index: usize, waiter: Waiter) {
        self.0.push((index, waiter));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all of them, who are to have the same answer.
    pub(crate) fn take(&mut self, answer: Answer) -> Answers {
        Answers(self.0.drain(..).map(|(_, waiter)| (waiter, answer)).collect())
    }

    /// Drops them without an answer, from which each learns that its item is left over. A waker is user code, and one that panics
    /// must not meet another.
    pub(crate) fn leave(self) {
        drop_caught(self.0);
    }

    /// Takes those of the items from `index` on, counted from there.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let at = self.0.partition_point(|(own, _)| *own < index);
        let behind = self.0.split_off(at).into_iter();
        Self(behind.map(|(own, waiter)| (own - index, waiter)).collect())
    }

    /// Takes those whose item has an answer, and renumbers the others, whose items close ranks.
    pub(crate) fn take_answered(&mut self, answers: impl Iterator<Item = Option<Answer>>) -> Answers {
        let mut answered = Vec::new();
        if self.0.is_empty() {
            return Answers(answered);
        }
        let mut waiting = std::mem::take(&mut self.0).into_iter().peekable();
        let mut rank = 0;
        for (index, answer) in answers.enumerate() {
            if let Some((_, waiter)) = waiting.next_if(|(own, _)| *own == index) {
                match answer {
                    Some(answer) => answered.push((waiter, answer)),
                    None => self.0.push((rank, waiter)),
                }
            }
            rank += usize::from(answer.is_none());
        }
        Answers(answered)
    }
}

/// Answers that are known and not sent yet: they go out when the items are counted, so that whoever has one finds its item
/// in the ledger.
#[derive(Debug)]
#[must_use = "whoever waits would take its item for left over"]
pub(crate) struct Answers(Vec<(Waiter, Answer)>);

impl Answers {
    pub(crate) fn send(self) {
        for (waiter, answer) in self.0 {
            // An error means that this one has given up. A waker is user code, and the others wait too.
            let _ = caught(|| waiter.send(answer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiters(indices: &[usize]) -> (Waiters, Vec<oneshot::Receiver<Answer>>) {
        let mut waiters = Waiters::default();
        let channels = indices.iter().map(|_| oneshot::channel());
        let (senders, receivers): (Vec<_>, Vec<_>) = channels.unzip();
        for (index, sender) in indices.iter().zip(senders) {
            waiters.push(*index, sender);
        }
        (waiters, receivers)
    }

    fn indices(waiters: &Waiters) -> Vec<usize> {
        waiters.0.iter().map(|(index, _)| *index).collect()
    }

    #[test]
    fn settled_items_answer_their_waiters_and_the_others_close_ranks() {
        let (mut waiters, mut receivers) = waiters(&[0, 2, 3, 5]);
        let rejected = Some(Err(NotDelivered::Dropped(DropReason::Rejected)));
        let answers = [Some(Ok(())), Some(Ok(())), None, rejected, None, None];
        waiters.take_answered(answers.into_iter()).send();
        assert_eq!(receivers[0].try_recv(), Ok(Ok(())));
        let rejected = Err(NotDelivered::Dropped(DropReason::Rejected));
        assert_eq!(receivers[2].try_recv(), Ok(rejected));
        assert!(receivers[1].try_recv().is_err() && receivers[3].try_recv().is_err());
        assert_eq!(indices(&waiters), [0, 2]);
    }

    #[test]
    fn a_split_counts_from_the_second_half() {
        let (mut waiters, _receivers) = waiters(&[0, 2, 3, 5]);
        let second = waiters.split_off(3);
        assert_eq!((indices(&waiters), indices(&second)), (vec![0, 2], vec![0, 2]));
    }
}
