//! Moments as numbers.

use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};

/// The first nanosecond that InfluxDB stores; it keeps the outermost values of an `i64` for itself.
pub(crate) const EARLIEST: i64 = -9_223_372_036_854_775_806;

/// All that it stores.
const NANOSECONDS: RangeInclusive<i128> = EARLIEST as i128..=9_223_372_036_854_775_806;

/// A moment that InfluxDB stores.
#[inline(always)]
pub(crate) fn stored(nanoseconds: i128) -> Option<i64> {
    let is_stored = NANOSECONDS.contains(&nanoseconds);
    is_stored.then_some(nanoseconds as i64)
}

/// Nanoseconds since 1970. A `u64` of seconds is far below what an `i128` of nanoseconds holds.
pub(crate) fn nanoseconds(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_before_1970_are_negative_to_the_nanosecond() {
        assert_eq!(nanoseconds(UNIX_EPOCH - Duration::new(1, 1)), -1_000_000_001);
        assert_eq!(nanoseconds(UNIX_EPOCH + Duration::new(1, 1)), 1_000_000_001);
    }
}
