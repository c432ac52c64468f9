//! The sink: answers by a script, then `Ok`, and keeps its own books. It keeps no item, only names.

use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Batch, DropReason, Flush, FlushError, Outcome, async_trait};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::case::{Answer, Take, Verdict};
use crate::record::Record;
use crate::told::{Books, Item};

#[derive(Debug, Clone)]
pub(crate) struct Recorder(pub(crate) Books);

/// An attempt under way; dropped without an answer, it was cut off.
struct Attempt {
    record: Arc<Mutex<Record>>,
    partition: usize,
    /// The items and their producers.
    names: Vec<(u32, u8)>,
    /// What the sink said of each.
    marks: Vec<Option<Outcome>>,
    taken: Option<Vec<Item>>,
    withdraws: bool,
    spends: bool,
    is_ok: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut record = self.record.lock();
        record.running.remove(&self.partition);
        record.attempts += 1;
        record.answered_ok += u64::from(self.is_ok);
        for (id, _) in self.names.iter().filter(|_| self.spends) {
            *record.spent.entry(*id).or_default() += 1;
        }
    }
}

impl Attempt {
    fn take(&mut self, batch: &mut Batch<Item>) {
        self.taken = Some(match self.withdraws {
            true => batch.withdraw(),
            false => batch.take(),
        });
        self.note_taken();
    }

    /// Whatever comes now, what is marked counts, and the rest is unconfirmed, or returned.
    fn note_taken(&self) {
        if self.taken.is_none() {
            return;
        }
        let unmarked = match self.withdraws {
            true => Outcome::Returned,
            false => Outcome::Dropped(DropReason::Unconfirmed),
        };
        let names = self.names.iter().zip(&self.marks);
        let taken = names.map(|((id, _), mark)| (*id, mark.unwrap_or(unmarked)));
        self.record.lock().take(self.partition, taken.collect());
    }

    fn mark(&mut self, batch: &mut Batch<Item>, answer: &Answer) {
        let deliver = answer.deliver.min(self.names.len());
        batch.deliver(0..deliver);
        self.marks[..deliver].fill(Some(Outcome::Delivered));
        let rejected = |index: usize| index < 8 && answer.reject & (1 << index) != 0;
        for index in (0..self.names.len()).filter(|index| rejected(*index)) {
            batch.reject(index, "scripted");
            self.marks[index] = Some(Outcome::Dropped(DropReason::Rejected));
        }
    }

    /// Notes what must become of the items, as far as this attempt decides it.
    fn judge(&mut self, verdict: &Verdict) {
        let of_the_rest = match verdict {
            _ if self.taken.is_some() && self.withdraws => Some(Outcome::Returned),
            Verdict::Ok => Some(Outcome::Delivered),
            // Unconfirmed, which is noted already.
            _ if self.taken.is_some() => None,
            Verdict::Permanent => Some(Outcome::Dropped(DropReason::Permanent)),
            Verdict::Divisible if self.names.len() == 1 => Some(Outcome::Dropped(DropReason::Rejected)),
            _ => None,
        };
        for mark in &mut self.marks {
            *mark = mark.or(of_the_rest);
        }
        self.note_taken();
        let mut record = self.record.lock();
        for ((id, producer), mark) in self.names.iter().zip(&self.marks) {
            if let Some(outcome) = mark {
                record.judge(self.partition, *producer, *id, *outcome);
            }
        }
    }
}

impl Recorder {
    /// Resolves when the sink was closed, a while after it.
    pub(crate) async fn closed(&self) {
        while self.0.record.lock().closed == 0 {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(1)).await;
    }

    fn begin(&self, batch: &Batch<Item>) -> (Attempt, Answer) {
        let mut record = self.0.record.lock();
        record.offered(&self.0.case, batch);
        let answer = record.script.pop_front().unwrap_or(Answer {
            latency: Duration::ZERO,
            take: Take::Not,
            withdraws: false,
            deliver: 0,
            reject: 0,
            verdict: Verdict::Ok,
        });
        let attempt = Attempt {
            record: Arc::clone(&self.0.record),
            partition: batch.partition(),
            names: batch.iter().map(|item| (item.id, item.producer)).collect(),
            marks: vec![None; batch.len()],
            taken: None,
            withdraws: answer.withdraws,
            spends: true,
            is_ok: false,
        };
        (attempt, answer)
    }
}

#[async_trait]
impl Flush<Item> for Recorder {
    async fn flush(&self, batch: &mut Batch<Item>) -> Result<(), FlushError> {
        let (mut attempt, answer) = self.begin(batch);
        if answer.take == Take::AtOnce {
            attempt.take(batch);
        }
        sleep(answer.latency).await;
        attempt.mark(batch, &answer);
        if answer.take == Take::AtLast {
            attempt.take(batch);
        }
        attempt.judge(&answer.verdict);
        let after = |error: FlushError, delay: Option<Duration>| match delay {
            Some(delay) => error.retry_after(delay),
            None => error,
        };
        let error = match answer.verdict {
            Verdict::Never => {
                // Its time is up for free, as it has settled something.
                attempt.spends = attempt.marks.iter().all(Option::is_none);
                std::future::pending().await
            }
            // Without the hook, which would print.
            Verdict::Panic => std::panic::resume_unwind(Box::new("scripted")),
            Verdict::Transient(delay) => return Err(after(FlushError::transient("scripted"), delay)),
            Verdict::Uncertain(delay) => return Err(after(FlushError::uncertain("scripted"), delay)),
            Verdict::Ok => None,
            Verdict::Unavailable(delay) => Some(after(FlushError::unavailable("scripted"), delay)),
            Verdict::Permanent => Some(FlushError::permanent("scripted")),
            Verdict::Divisible => Some(FlushError::divisible("scripted")),
        };
        attempt.spends = false;
        attempt.is_ok = error.is_none();
        error.map_or(Ok(()), Err)
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.0.record.lock().closed += 1;
        Ok(())
    }
}
