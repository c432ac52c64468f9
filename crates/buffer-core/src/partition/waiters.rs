//! Those who wait for the outcome of their own item.

use tokio::sync::oneshot;

use crate::caught::{caught, drop_each_caught};
use crate::outcome::not_delivered::NotDelivered;

/// What becomes of an item that somebody waits for; the channel closes without one when a drain leaves the item over.
pub(crate) type Answer = Result<(), NotDelivered>;

/// One end of the wait: the sender.
#[derive(Debug)]
pub(crate) struct Waiter {
    sender: oneshot::Sender<Answer>,
    /// Whether the item does not sit out the interval.
    is_urgent: bool,
}

impl Waiter {
    /// One for an item that leaves as soon as it may.
    pub(crate) fn urgent() -> (Self, oneshot::Receiver<Answer>) {
        Self::new(true)
    }

    /// One for an item that leaves when its batch does.
    pub(crate) fn patient() -> (Self, oneshot::Receiver<Answer>) {
        Self::new(false)
    }

    fn new(is_urgent: bool) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, is_urgent }, receiver)
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Sends the answer. The waker is user code, and so is a cause that nobody waits for any more.
    pub(crate) fn send(self, answer: Answer) {
        let _ = caught(|| drop(self.sender.send(answer)));
    }
}

/// Waiters by the index of their item in a batch, in ascending order. Without any it is an empty vector.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Vec<(usize, Waiter)>);

impl Waiters {
    /// Adds the waiter for the item at `index`, which lies behind those of all others.
    pub(crate) fn push(&mut self, index: usize, waiter: Waiter) {
        self.0.push((index, waiter));
    }

    /// Whether one of them is for an item that does not sit out the interval.
    pub(crate) fn are_urgent(&self) -> bool {
        self.0.iter().any(|(_, waiter)| waiter.is_urgent())
    }

    /// Takes all of them, each with the same answer.
    pub(crate) fn take(&mut self, answer: &Answer) -> Answers {
        let waiters = self.0.drain(..);
        Answers(waiters.map(|(_, waiter)| (waiter, answer.clone())).collect())
    }

    /// Drops them without an answer, which tells each that its item is left over. A waker is user code, and two that panic in one drop
    /// would abort the process.
    pub(crate) fn leave(self) {
        drop_each_caught(self.0);
    }

    /// Takes the waiters of the items from `index` on, counted from there.
    pub(crate) fn split_off(&mut self, index: usize) -> Self {
        let at = self.0.partition_point(|(own, _)| *own < index);
        let behind = self.0.split_off(at).into_iter();
        Self(behind.map(|(own, waiter)| (own - index, waiter)).collect())
    }

    /// Takes the waiters whose item has an answer, and renumbers the others, whose items close ranks.
    pub(crate) fn take_answered(&mut self, answers: impl Iterator<Item = Option<Answer>>) -> Answers {
        let mut answered = Vec::new();
        if self.0.is_empty() {
            return Answers(answered);
        }
        let mut waiting = std::mem::take(&mut self.0).into_iter().peekable();
        let mut rank = 0;
        for (index, answer) in answers.enumerate() {
            let stays = answer.is_none();
            if let Some((_, waiter)) = waiting.next_if(|(own, _)| *own == index) {
                match answer {
                    Some(answer) => answered.push((waiter, answer)),
                    None => self.0.push((rank, waiter)),
                }
            }
            rank += usize::from(stays);
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
            waiter.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiters(indices: &[usize]) -> (Waiters, Vec<oneshot::Receiver<Answer>>) {
        let mut waiters = Waiters::default();
        let channels = indices.iter().map(|_| Waiter::urgent());
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
        let withdrawn = Some(Err(NotDelivered::Withdrawn));
        let answers = [Some(Ok(())), Some(Ok(())), None, withdrawn, None, None];
        waiters.take_answered(answers.into_iter()).send();
        assert!(matches!(receivers[0].try_recv(), Ok(Ok(()))));
        assert!(matches!(
            receivers[2].try_recv(),
            Ok(Err(NotDelivered::Withdrawn))
        ));
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
