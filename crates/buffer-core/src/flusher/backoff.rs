//! The delays between attempts: exponential, with full jitter.

use std::time::Duration;

use rand::RngExt as _;

/// The settings of a backoff.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Backoff {
    pub(crate) fn delays(&self) -> Delays {
        Delays {
            ceiling: self.first,
            longest: self.longest,
            least: 0.0,
        }
    }

    /// Delays of at least half their ceiling: after a long outage the waiting clients come back spread over time, and none as
    /// early as full jitter could send it.
    pub(crate) fn long_delays(&self) -> Delays {
        Delays {
            least: 0.5,
            ..self.delays()
        }
    }
}

/// An endless iterator of delays: each drawn evenly between zero, or half, and a ceiling that doubles up to the longest.
///
/// Full jitter, because it spreads competing clients best for the same total work: "Exponential Backoff And Jitter", AWS
/// Architecture Blog, 2015.
#[derive(Debug)]
pub(crate) struct Delays {
    ceiling: Duration,
    longest: Duration,
    /// The least delay, as a part of the ceiling.
    least: f64,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = self.ceiling.mul_f64(rand::rng().random_range(self.least..=1.0));
        self.ceiling = self.ceiling.saturating_mul(2).min(self.longest);
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_fill_the_whole_range_under_a_ceiling_that_doubles_up_to_the_longest() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            longest: Duration::from_millis(350),
        };
        let mut longest_seen = [Duration::ZERO; 4];
        let mut shortest_seen = [Duration::MAX; 4];
        for _ in 0..1_000 {
            for (index, delay) in backoff.delays().take(4).enumerate() {
                longest_seen[index] = longest_seen[index].max(delay);
                shortest_seen[index] = shortest_seen[index].min(delay);
            }
        }
        for (index, ceiling) in [100, 200, 350, 350]
            .map(Duration::from_millis)
            .into_iter()
            .enumerate()
        {
            assert!(
                longest_seen[index] <= ceiling && longest_seen[index] > ceiling.mul_f64(0.9),
                "{index}"
            );
            assert!(shortest_seen[index] < ceiling.mul_f64(0.1), "{index}");
        }
    }
}
