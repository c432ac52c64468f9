//! Hands what was dropped to the dead-letter sink.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::batch::{Batch, Causes};
use crate::caught::drop_caught;
use crate::flusher::{Flusher, Policy};
use crate::open::Sealed;
use crate::pass::OutOfTime;
use crate::shared::Shared;
use crate::slot::Letters;
use crate::trigger::Trigger;
use crate::waiters::Waiters;
use crate::weights::Weights;

/// What was dropped in one partition and is still to be buried. It is counted already.
pub(crate) struct Burial<T> {
    shared: Arc<Shared<T>>,
    flusher: Flusher<T>,
    index: usize,
    dead: VecDeque<Batch<T>>,
}

impl<T: Send + 'static> Burial<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, flusher: Flusher<T>, index: usize) -> Self {
        Self {
            shared,
            flusher,
            index,
            dead: VecDeque::new(),
        }
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.flusher.policy = policy;
    }

    pub(crate) fn add(&mut self, dead: Batch<T>) {
        self.dead.push_back(dead);
        if !self.flusher.has_dead_letters() {
            self.forget();
        }
    }

    /// Buries all there is, in one attempt for each batch.
    ///
    /// # Cancel safety
    ///
    /// Safe: a batch stays until its attempt has ended.
    pub(crate) async fn bury(&mut self) -> ControlFlow<OutOfTime> {
        while let Some(dead) = self.dead.front_mut() {
            let count = dead.len();
            if count > 0 {
                let buried = tokio::select! {
                    biased;
                    buried = self.flusher.bury(dead) => buried,
                    () = self.shared.drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
                };
                match buried {
                    Ok(()) => self.shared.partitions[self.index].count_dead_lettered(count),
                    Err(error) => {
                        let (buffer, partition, cause) = (&*self.shared.name, self.index, error.source());
                        tracing::error!(buffer, partition, items = count, %error, cause, "dead letters lost");
                    }
                }
            }
            self.forget_first();
        }
        ControlFlow::Continue(())
    }

    /// Buries what overflows, as it comes, for as long as it is polled.
    ///
    /// # Cancel safety
    ///
    /// Safe, as for [`bury`](Burial::bury).
    pub(crate) async fn bury_overflow(&mut self) -> Infallible {
        let shared = Arc::clone(&self.shared);
        let Some(slot) = &shared.partitions[self.index].slot else {
            return std::future::pending().await;
        };
        loop {
            if let ControlFlow::Break(OutOfTime) = self.bury_overflowed().await {
                return std::future::pending().await;
            }
            slot.filled().await;
        }
    }

    /// Buries what has overflowed until now.
    ///
    /// # Cancel safety
    ///
    /// Safe, as for [`bury`](Burial::bury).
    pub(crate) async fn bury_overflowed(&mut self) -> ControlFlow<OutOfTime> {
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

    pub(crate) fn forget(&mut self) {
        while !self.dead.is_empty() {
            self.forget_first();
        }
    }

    /// Drops what is counted already. Items and causes are user code.
    fn forget_first(&mut self) {
        let Some(dead) = self.dead.pop_front() else { return };
        let (items, causes) = dead.into_fate();
        drop_caught(items);
        match causes {
            Causes::Each(causes) => drop_caught(causes),
            other => drop_caught(vec![other]),
        }
    }
}
