//! Keeps a buffer that drops much from filling the log: one line a second for each reason, with the number of items.

use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::reason::DropReason;
use crate::sync::Mutex;

/// When each reason that occurred had its last line, and the items dropped since.
pub(crate) struct DropLog(Mutex<Vec<Line>>);

struct Line {
    reason: DropReason,
    last: Option<Instant>,
    items: u64,
}

const APART: Duration = Duration::from_secs(1);

impl DropLog {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Notes that items were dropped; says how many a line has to name, if it is time for one.
    pub(crate) fn line(&self, reason: DropReason, items: usize, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock();
        let index = lines.iter().position(|line| line.reason == reason);
        let index = index.unwrap_or_else(|| {
            lines.push(Line {
                reason,
                last: None,
                items: 0,
            });
            lines.len() - 1
        });
        let line = &mut lines[index];
        line.items += items as u64;
        let is_early = |last| now.saturating_duration_since(last) < APART;
        // The end comes once.
        if reason != DropReason::DrainTimeout && line.last.is_some_and(is_early) {
            return None;
        }
        line.last = Some(now);
        Some(std::mem::take(&mut line.items))
    }

    /// What was dropped and had no line yet, at the end.
    pub(crate) fn rests(&self) -> Vec<(DropReason, u64)> {
        let mut lines = self.0.lock();
        let rests = lines
            .iter_mut()
            .map(|line| (line.reason, std::mem::take(&mut line.items)));
        rests.filter(|(_, items)| *items > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_second_and_each_reason_has_its_own() {
        let (log, now) = (DropLog::new(), Instant::now());
        assert_eq!(log.line(DropReason::Overflow, 2, now), Some(2));
        assert_eq!(log.line(DropReason::Overflow, 3, now), None);
        assert_eq!(log.line(DropReason::Permanent, 1, now), Some(1));
        assert_eq!(log.line(DropReason::Overflow, 4, now + APART), Some(7));
        assert_eq!(log.line(DropReason::Overflow, 5, now + APART), None);
        assert_eq!(log.rests(), [(DropReason::Overflow, 5)]);
        for _ in 0..2 {
            assert_eq!(log.line(DropReason::DrainTimeout, 1, now), Some(1));
        }
    }
}
