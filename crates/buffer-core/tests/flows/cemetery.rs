//! The dead-letter sink: answers by a script, then `Ok`.

use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use tokio::time::{Instant, sleep};

use crate::case::{Burial, BurialVerdict};
use crate::told::{Books, Item};

#[derive(Debug, Clone)]
pub(crate) struct Cemetery(pub(crate) Books);

/// An attempt under way; dropped without an answer, it was cut off.
struct Attempt<'a> {
    books: &'a Books,
    names: Vec<u32>,
    began: Instant,
    _taken: Option<Vec<Item>>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let names = self.names.drain(..).map(|id| (id, self.began.elapsed()));
        self.books.record.lock().burial_cut_off.extend(names);
    }
}

#[async_trait]
impl Flush<Item> for Cemetery {
    async fn flush(&self, batch: &mut Batch<Item>) -> Result<(), FlushError> {
        let burial = {
            let mut record = self.0.record.lock();
            record.offered_dead(&self.0.case, batch);
            record.burials.pop_front().unwrap_or(Burial {
                latency: Duration::ZERO,
                takes: false,
                verdict: BurialVerdict::Ok,
            })
        };
        let mut attempt = Attempt {
            books: &self.0,
            names: batch.iter().map(|item| item.id).collect(),
            began: Instant::now(),
            _taken: burial.takes.then(|| batch.take()),
        };
        sleep(burial.latency).await;
        if let BurialVerdict::Never = burial.verdict {
            std::future::pending().await
        }
        let names = std::mem::take(&mut attempt.names);
        match burial.verdict {
            BurialVerdict::Fail => return Err(FlushError::transient("scripted")),
            // Without the hook, which would print.
            BurialVerdict::Panic => std::panic::resume_unwind(Box::new("scripted")),
            BurialVerdict::Ok | BurialVerdict::Never => {}
        }
        self.0.record.lock().dead_lettered += names.len() as u64;
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.0.record.lock().dead_letters_closed += 1;
        Ok(())
    }
}
