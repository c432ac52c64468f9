//! The open batch: what joins it, when it is full, and what it is once it is sealed.

use rand::rngs::SmallRng;
use tokio::time::Instant;

use crate::outcome::size::Size;
use crate::partition::trigger::{Limits, Trigger, Triggers};
use crate::partition::waiters::{Waiter, Waiters};
use crate::partition::weights::Weights;

/// The batch that items join.
pub(crate) struct OpenBatch<T> {
    items: Vec<T>,
    weights: Weights,
    waiters: Waiters,
    /// Set with the first item.
    first: Option<First>,
    /// The size of the previous batch: the next one is likely to need as much.
    expected: usize,
    expected_weights: usize,
    /// Whether this is the partition's very first batch.
    is_first: bool,
    /// Its own generator: the thread's is gone while a thread is being destroyed, and a drop may insert even then.
    rng: SmallRng,
}

/// What the first item of a batch brings with it.
#[derive(Clone, Copy)]
struct First {
    at: Instant,
    limits: Limits,
}

/// A batch on its way to the worker.
pub(crate) struct Sealed<T> {
    pub(crate) items: Vec<T>,
    pub(crate) weights: Weights,
    pub(crate) waiters: Waiters,
    pub(crate) trigger: Trigger,
    pub(crate) opened: Instant,
}

impl<T> OpenBatch<T> {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            weights: Weights::default(),
            waiters: Waiters::default(),
            first: None,
            expected: 0,
            expected_weights: 0,
            is_first: true,
            rng: rand::make_rng(),
        }
    }

    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.items.len() as u64
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.weights.sum()
    }

    pub(crate) fn size(&self) -> Size {
        Size {
            items: self.len(),
            bytes: self.bytes(),
        }
    }

    /// Whether it has an item that somebody waits for and that does not sit out the interval.
    pub(crate) fn is_urgent(&self) -> bool {
        self.waiters.are_urgent()
    }

    /// When its first item joined.
    pub(crate) fn opened(&self) -> Option<Instant> {
        self.first.map(|first| first.at)
    }

    /// When its time is up.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.first.map(|first| first.limits.due)
    }

    /// How many items seal it; draws the limits if it is empty.
    pub(crate) fn limit(&mut self, triggers: &Triggers) -> usize {
        match self.first {
            Some(First { limits, .. }) => limits.items,
            None => self.draw_limits(triggers),
        }
    }

    fn draw_limits(&mut self, triggers: &Triggers) -> usize {
        let at = Instant::now();
        let limits = if std::mem::take(&mut self.is_first) {
            triggers.draw_first(at, &mut self.rng)
        } else {
            triggers.draw(at, &mut self.rng)
        };
        self.first = Some(First { at, limits });
        self.items.reserve(self.expected);
        self.weights.reserve(self.expected_weights);
        limits.items
    }

    /// Adds an item to it; says whether it is full now, and by which trigger.
    pub(crate) fn join(
        &mut self,
        item: T,
        bytes: Option<usize>,
        waiter: Option<Waiter>,
        triggers: &Triggers,
    ) -> Option<Trigger> {
        let limit = self.limit(triggers);
        if let Some(waiter) = waiter {
            self.waiters.push(self.items.len(), waiter);
        }
        self.items.push(item);
        self.weights.push(bytes);
        if self.items.len() >= limit {
            Some(Trigger::Size)
        } else if self.weights.sum() >= triggers.batch_bytes {
            Some(Trigger::Bytes)
        } else {
            None
        }
    }

    /// Adds an item that does not fill it.
    #[inline]
    pub(crate) fn join_unchecked(&mut self, item: T, bytes: Option<usize>) {
        self.items.push(item);
        self.weights.push(bytes);
    }

    /// Adds items that were not weighed and do not fill it.
    #[inline]
    pub(crate) fn join_many_unchecked(&mut self, items: &mut Vec<T>) {
        self.items.append(items);
    }

    /// The largest size at which it is not full; nothing while it is empty, as the first item draws the limits.
    pub(crate) fn before_full(&self, triggers: &Triggers) -> Size {
        self.first.map_or(Size::default(), |First { limits, .. }| Size {
            items: limits.items.saturating_sub(1) as u64,
            bytes: triggers.batch_bytes.saturating_sub(1),
        })
    }

    /// Adds as many of `items`, which were not weighed, as it takes; says whether it is full now.
    pub(crate) fn join_many(
        &mut self,
        items: &mut impl Iterator<Item = T>,
        triggers: &Triggers,
    ) -> Option<Trigger> {
        let limit = self.limit(triggers);
        self.items.extend(items.take(limit - self.items.len()));
        (self.items.len() >= limit).then_some(Trigger::Size)
    }

    /// Seals it and opens the next one; an empty one is not sealed.
    pub(crate) fn seal(&mut self, trigger: Trigger) -> Option<Sealed<T>> {
        let First { at, limits: _ } = self.first.take()?;
        let items = std::mem::take(&mut self.items);
        let weights = std::mem::take(&mut self.weights);
        (self.expected, self.expected_weights) = (items.len(), weights.len());
        Some(Sealed {
            items,
            weights,
            waiters: std::mem::take(&mut self.waiters),
            trigger,
            opened: at,
        })
    }
}
