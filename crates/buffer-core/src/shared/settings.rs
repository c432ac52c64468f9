//! The settings that are numbers, their defaults, and the checks that they make sense together.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::build_error::BuildError;
use crate::flusher::Policy;
use crate::flusher::backoff::Backoff;
use crate::outcome::size::Size;
use crate::partition::overflow::Overflow;
use crate::partition::trigger::Triggers;

/// A builder's settings, unchecked; each is explained at the builder's method of the same name.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) partitions: usize,
    pub(crate) batch_size: usize,
    pub(crate) batch_size_jitter: usize,
    pub(crate) batch_bytes: Option<usize>,
    pub(crate) flush_interval: Duration,
    pub(crate) flush_jitter: Option<Duration>,
    pub(crate) capacity: Option<usize>,
    pub(crate) capacity_bytes: Option<usize>,
    pub(crate) overflow: Overflow,
    pub(crate) flush_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) give_up_after: Option<Duration>,
}

/// Settings that make sense together.
pub(crate) struct Checked {
    pub(crate) partitions: NonZeroUsize,
    /// The capacity of each partition.
    pub(crate) capacity: Size,
    pub(crate) triggers: Triggers,
    pub(crate) policy: Policy,
}

/// More partitions than this are more tasks, each with smaller batches, and no more speed.
const DEFAULT_PARTITIONS_AT_MOST: usize = 16;
/// Each is a task, with memory of its own even when it is idle: these take about 100 MiB.
const PARTITIONS_AT_MOST: usize = 65_536;
const DEFAULT_BATCHES_FOR_EACH_PARTITION: usize = 10;
/// Above it a duration is a mistake, and near it the clock's arithmetic would overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The reasons are in docs/tuning.md.
impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            partitions: cores.min(DEFAULT_PARTITIONS_AT_MOST),
            batch_size: 5_000,
            batch_size_jitter: 0,
            batch_bytes: None,
            flush_interval: Duration::from_secs(1),
            flush_jitter: None,
            capacity: None,
            capacity_bytes: None,
            overflow: Overflow::Wait,
            flush_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
            retries: 5,
            backoff: Backoff {
                first: Duration::from_millis(100),
                longest: Duration::from_secs(30),
            },
            give_up_after: None,
        }
    }
}

impl Settings {
    /// Checks the settings; `weighs` says whether the buffer weighs its items.
    pub(crate) fn check(&self, weighs: bool) -> Result<Checked, BuildError> {
        let Some(partitions) = NonZeroUsize::new(self.partitions) else {
            return Err(BuildError::Zero {
                setting: "partitions",
                least: "1",
            });
        };
        if self.partitions > PARTITIONS_AT_MOST {
            return Err(BuildError::TooLarge {
                setting: "partitions",
                most: "65536",
            });
        }
        let capacity = self.capacity_for_each_partition(weighs)?;
        Ok(Checked {
            partitions,
            capacity,
            triggers: self.triggers(capacity.bytes)?,
            policy: self.policy()?,
        })
    }

    fn capacity_for_each_partition(&self, weighs: bool) -> Result<Size, BuildError> {
        if self.batch_size == 0 {
            return Err(BuildError::Zero {
                setting: "batch_size",
                least: "1",
            });
        }
        let default = self.batch_size.saturating_mul(DEFAULT_BATCHES_FOR_EACH_PARTITION);
        let each = |total: usize| total / self.partitions;
        if let Some(total) = self.capacity {
            self.check_total("capacity", total, "batch_size", self.batch_size)?;
        }
        let items = self.capacity.map_or(default, each);
        for (setting, bytes) in [
            ("batch_bytes", self.batch_bytes),
            ("capacity_bytes", self.capacity_bytes),
        ] {
            if bytes == Some(0) {
                return Err(BuildError::Zero { setting, least: "1" });
            }
            if bytes.is_some() && !weighs {
                return Err(BuildError::Missing {
                    setting,
                    other: "weigh",
                    reason: "without it nothing has a weight",
                });
            }
        }
        match (self.capacity_bytes, self.batch_bytes) {
            (Some(total), Some(batch)) => self.check_total("capacity_bytes", total, "batch_bytes", batch)?,
            (Some(total), None) => self.check_total("capacity_bytes", total, "partitions", 1)?,
            (None, _) => {}
        }
        Ok(Size {
            items: items as u64,
            bytes: self.capacity_bytes.map_or(u64::MAX, |total| each(total) as u64),
        })
    }

    /// Checks that a capacity holds the batches that it has to.
    fn check_total(
        &self,
        setting: &'static str,
        total: usize,
        other: &'static str,
        batch: usize,
    ) -> Result<(), BuildError> {
        let partitions = self.partitions;
        let (least, to, batches) = match self.overflow {
            Overflow::Wait | Overflow::DropNewest => (batch, "", "one batch"),
            Overflow::DropOldest => (batch.saturating_mul(2), "to drop the oldest, ", "two batches"),
        };
        if total / partitions < least {
            let rule = format!(
                "{to}the capacity of {total} must hold at least {batches} of {batch} for each of {partitions} partitions; \
                 raise it, lower the batch, or set fewer `partitions`"
            );
            return Err(BuildError::Contradiction {
                setting,
                other,
                rule: rule.into(),
            });
        }
        Ok(())
    }

    fn triggers(&self, capacity_bytes: u64) -> Result<Triggers, BuildError> {
        let batch_bytes = match (self.batch_bytes, self.overflow) {
            (Some(bytes), _) => bytes as u64,
            // No limit stays none.
            (None, _) if capacity_bytes == u64::MAX => u64::MAX,
            (None, Overflow::Wait | Overflow::DropNewest) => capacity_bytes,
            (None, Overflow::DropOldest) => capacity_bytes / 2,
        };
        if self.batch_size_jitter >= self.batch_size {
            return Err(BuildError::Contradiction {
                setting: "batch_size_jitter",
                other: "batch_size",
                rule: "the jitter must be less than the batch size".into(),
            });
        }
        let flush_interval = above_zero("flush_interval", self.flush_interval)?;
        let flush_jitter = self.flush_jitter.unwrap_or(flush_interval / 5);
        Ok(Triggers {
            batch_size: self.batch_size,
            batch_size_jitter: self.batch_size_jitter,
            batch_bytes,
            flush_interval,
            flush_jitter: at_most_a_year("flush_jitter", flush_jitter)?,
        })
    }

    fn policy(&self) -> Result<Policy, BuildError> {
        let flush_timeout = above_zero("flush_timeout", self.flush_timeout)?;
        at_most_a_year("drain_timeout", self.drain_timeout)?;
        let Backoff { first, longest } = self.backoff;
        above_zero("backoff", first)?;
        at_most_a_year("backoff", longest)?;
        if first > longest {
            return Err(BuildError::Contradiction {
                setting: "backoff (first)",
                other: "backoff (longest)",
                rule: "the first delay must not be above the longest".into(),
            });
        }
        Ok(Policy {
            first_timeout: flush_timeout,
            flush_timeout,
            retries: self.retries,
            free_timeouts: false,
            backoff: self.backoff,
            give_up_after: self
                .give_up_after
                .map(|limit| at_most_a_year("give_up_after", limit))
                .transpose()?,
        })
    }
}

fn above_zero(setting: &'static str, duration: Duration) -> Result<Duration, BuildError> {
    if duration.is_zero() {
        return Err(BuildError::Zero {
            setting,
            least: "a millisecond",
        });
    }
    at_most_a_year(setting, duration)
}

fn at_most_a_year(setting: &'static str, duration: Duration) -> Result<Duration, BuildError> {
    if duration > LONGEST {
        return Err(BuildError::TooLarge {
            setting,
            most: "a year",
        });
    }
    Ok(duration)
}
