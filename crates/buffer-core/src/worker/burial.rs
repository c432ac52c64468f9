//! Hands what was dropped to the dead-letter sink.

use std::collections::VecDeque;
use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;

use tracing::field::display;

use crate::caught::{caught, drop_caught, drop_each_caught};
use crate::chain::text_with_causes;
use crate::flush::batch::Batch;
use crate::flusher::Flusher;
use crate::outcome::causes::Causes;
use crate::outcome::flush_error::FlushError;
use crate::partition::open::Sealed;
use crate::partition::slot::Letters;
use crate::partition::trigger::Trigger;
use crate::partition::waiters::Waiters;
use crate::partition::weights::Weights;
use crate::shared::Shared;
use crate::worker::pass::OutOfTime;

/// What was dropped and counted in one partition, and is still to be buried.
pub(crate) struct Burial<T> {
    shared: Arc<Shared<T>>,
    flusher: Arc<Flusher<T>>,
    index: usize,
    dead: VecDeque<Batch<T>>,
}

impl<T: Send + 'static> Burial<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, flusher: Arc<Flusher<T>>, index: usize) -> Self {
        Self {
            shared,
            flusher,
            index,
            dead: VecDeque::new(),
        }
    }

    /// Goes on with another flusher.
    pub(crate) fn set_flusher(&mut self, flusher: Arc<Flusher<T>>) {
        self.flusher = flusher;
    }

    pub(crate) fn add(&mut self, dead: Batch<T>) {
        self.dead.push_back(dead);
    }

    /// Buries all there is, in one attempt for each batch.
    ///
    /// # Cancel safety
    ///
    /// Safe: a batch stays until its attempt has ended.
    pub(crate) async fn bury(&mut self) -> ControlFlow<OutOfTime> {
        while let Some(dead) = self.dead.front_mut() {
            // If the sink took them in an attempt that was cut off, nothing is left to try again.
            let buried = if dead.contents.were_taken() || dead.is_empty() {
                None
            } else {
                let count = dead.len();
                tokio::select! {
                    biased;
                    buried = self.flusher.bury(dead) => Some((count, buried)),
                    () = self.shared.drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
                }
            };
            match buried {
                Some((count, Ok(()))) => {
                    self.shared.partitions[self.index].count_dead_lettered(count);
                    self.forget_first();
                    self.shared.report();
                }
                Some((_, Err(error))) => {
                    self.lose_first(Some(&error));
                    drop_caught(error);
                }
                None => self.lose_first(None),
            }
        }
        ControlFlow::Continue(())
    }

    /// Buries what overflows, as it comes, until the partition is closed and nothing is left or time is up.
    ///
    /// # Cancel safety
    ///
    /// Safe, as for [`bury`](Burial::bury).
    pub(crate) async fn bury_overflow(&mut self) {
        let shared = Arc::clone(&self.shared);
        let partition = &shared.partitions[self.index];
        let Some(slot) = &partition.slot else { return };
        // Boxed, as it is large, and there is rarely anything to bury.
        while Box::pin(self.bury_overflowed()).await.is_continue()
            && !(partition.is_closed() && slot.is_empty())
        {
            self.dead.shrink_to_fit();
            tokio::select! {
                () = slot.filled() => {}
                () = shared.drain.deadline_passed() => return,
            }
        }
    }

    /// Buries what has overflowed until now.
    ///
    /// # Cancel safety
    ///
    /// Safe, as for [`bury`](Burial::bury).
    async fn bury_overflowed(&mut self) -> ControlFlow<OutOfTime> {
        loop {
            self.bury().await?;
            let slot = self.shared.partitions[self.index].slot.as_ref();
            let Some(Letters { items, bytes, opened }) = slot.and_then(|slot| slot.take()) else {
                return ControlFlow::Continue(());
            };
            let sealed = Sealed {
                items,
                weights: Weights::in_all(bytes),
                waiters: Waiters::default(),
                trigger: Trigger::Size,
                opened,
            };
            self.add(Batch::of_overflow(
                sealed,
                self.index,
                Arc::clone(&self.shared.name),
            ));
        }
    }

    /// Ends with nothing more buried.
    pub(crate) fn abandon(&mut self) {
        while !self.dead.is_empty() {
            self.lose_first(None);
        }
        let partition = &self.shared.partitions[self.index];
        if let Some(letters) = partition.slot.as_ref().and_then(|slot| slot.take()) {
            drop_each_caught(letters.items);
        }
    }

    /// Drops what is counted and can't be buried.
    fn lose_first(&mut self, error: Option<&FlushError>) {
        if let Some(dead) = self.dead.front() {
            let (items, reason, partition) = (dead.contents.count(), dead.drop_reason(), self.index);
            if items > 0 {
                // The causes and the subscriber are user code.
                let _ = caught(|| {
                    let cause = error.and_then(Error::source).map(text_with_causes);
                    let error = error.map(display);
                    tracing::error!(
                        buffer = &*self.shared.name,
                        partition,
                        items,
                        ?reason,
                        error,
                        cause,
                        "dead letters lost"
                    );
                });
            }
        }
        self.forget_first();
    }

    fn forget_first(&mut self) {
        if let Some(dead) = self.dead.pop_front() {
            let (items, causes) = dead.into_fate();
            forget(items, causes);
        }
    }
}

/// Drops what is counted already. Items and causes are user code.
pub(crate) fn forget<T>(items: Vec<T>, causes: Causes) {
    drop_each_caught(items);
    match causes {
        Causes::Each(causes) => drop_each_caught(causes),
        other => drop_caught(other),
    }
}
