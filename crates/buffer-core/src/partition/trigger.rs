//! Says when an open batch is sealed: by size, by weight, by time, on request or at the close.

use std::fmt;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio::time::Instant;

/// What sealed a batch.
///
/// # Examples
///
/// ```
/// use buffer_core::{Batch, Trigger};
///
/// /// Full batches are worth compressing.
/// fn compresses(batch: &Batch<String>) -> bool {
///     batch.trigger() == Trigger::Size
/// }
/// assert_eq!(Trigger::Interval.to_string(), "interval");
///
/// let all: &[Trigger] = Trigger::ALL;
/// assert!(all.iter().any(|trigger| trigger.as_str() == "bytes"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trigger {
    /// The batch reached its size.
    Size,
    /// The batch reached its weight, the next item would have taken it past that, or the batch itself took up all the room that
    /// the next item needed.
    Bytes,
    /// The batch reached its age.
    Interval,
    /// Somebody asked for a flush.
    Request,
    /// The buffer was closed, or its last handle was dropped.
    Close,
}

impl Trigger {
    /// Every trigger. There may be more of them in a later version.
    pub const ALL: &'static [Self] = &Self::EACH;

    pub(crate) const EACH: [Self; 5] = [
        Self::Size,
        Self::Bytes,
        Self::Interval,
        Self::Request,
        Self::Close,
    ];

    /// The trigger's name in logs and metrics: `size`, `bytes`, `interval`, `request` or `close`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Bytes => "bytes",
            Self::Interval => "interval",
            Self::Request => "request",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The settings behind [`Trigger::Size`], [`Trigger::Bytes`] and [`Trigger::Interval`].
#[derive(Debug, Clone)]
pub(crate) struct Triggers {
    pub(crate) batch_size: usize,
    pub(crate) batch_size_jitter: usize,
    /// The largest number if there is no limit.
    pub(crate) batch_bytes: u64,
    pub(crate) flush_interval: Duration,
    pub(crate) flush_jitter: Duration,
}

/// When one open batch is sealed, drawn anew for every batch so that partitions and processes spread out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The number of items that seals it: `batch_size` less a part of `batch_size_jitter`.
    pub(crate) items: usize,
    /// The moment that seals it: `flush_interval` and a part of `flush_jitter` after its first item.
    pub(crate) due: Instant,
}

impl Triggers {
    /// The limits of a partition's very first batch, which is due at a random moment of its interval: otherwise partitions that
    /// start at the same time, as after a deployment, would flush in step for long. Without jitter it is due like any other.
    pub(crate) fn draw_first(&self, first_item: Instant, rng: &mut SmallRng) -> Limits {
        let Limits { items, due } = self.draw(first_item, rng);
        let part = if self.flush_jitter.is_zero() {
            1.0
        } else {
            rng.random_range(0.0..=1.0)
        };
        Limits {
            items,
            due: first_item + (due - first_item).mul_f64(part),
        }
    }

    pub(crate) fn draw(&self, first_item: Instant, rng: &mut SmallRng) -> Limits {
        let fewer = rng.random_range(0..=self.batch_size_jitter);
        let later = self.flush_jitter.mul_f64(rng.random_range(0.0..=1.0));
        Limits {
            items: self.batch_size - fewer,
            due: first_item + self.flush_interval + later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_stay_within_the_settings_and_differ_from_batch_to_batch() {
        let triggers = Triggers {
            batch_size: 100,
            batch_size_jitter: 30,
            batch_bytes: u64::MAX,
            flush_interval: Duration::from_secs(10),
            flush_jitter: Duration::from_secs(2),
        };
        let now = Instant::now();
        let mut rng = rand::make_rng();
        let drawn: Vec<Limits> = (0..1_000).map(|_| triggers.draw(now, &mut rng)).collect();
        for limits in &drawn {
            assert!((70..=100).contains(&limits.items), "{limits:?}");
            assert!(limits.due >= now + Duration::from_secs(10), "{limits:?}");
            assert!(limits.due <= now + Duration::from_secs(12), "{limits:?}");
        }
        assert!(drawn.iter().any(|limits| limits.items < 75) && drawn.iter().any(|limits| limits.items > 95));
        let spread = drawn
            .iter()
            .map(|l| l.due)
            .max()
            .zip(drawn.iter().map(|l| l.due).min());
        assert!(spread.is_some_and(|(last, first)| last - first > Duration::from_secs(1)));
    }
}
