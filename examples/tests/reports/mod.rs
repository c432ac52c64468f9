//! What became of each line, as the outcome hook sees it.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::{Arc, Mutex};

use buffer_core::{BufferBuilder, DropReason, Outcome, Settled};
use buffer_influx::{Line, RejectedLine};

/// The reports of all dropped lines, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Vec<Report>>>);

#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) line: String,
    pub(crate) reason: DropReason,
    /// The server's words, if the line was rejected.
    pub(crate) cause: Option<RejectedLine>,
}

impl Reports {
    /// Collects the reports of a buffer.
    pub(crate) fn of(&self, buffer: BufferBuilder<Line>) -> BufferBuilder<Line> {
        let Self(reports) = self.clone();
        buffer.on_outcome(move |settled: &Settled<'_, Line>| {
            let Outcome::Dropped(reason) = settled.outcome else {
                return;
            };
            let report = |(index, line): (usize, &Line)| Report {
                line: line.to_string(),
                reason,
                cause: settled
                    .cause(index)
                    .and_then(|cause| cause.downcast_ref())
                    .cloned(),
            };
            let mut reports = reports.lock().unwrap();
            reports.extend(settled.items.iter().enumerate().map(report));
        })
    }

    pub(crate) fn all(&self) -> Vec<Report> {
        self.0.lock().unwrap().clone()
    }

    /// The rejected lines, sorted, each with the server's words.
    ///
    /// # Panics
    ///
    /// When a line was dropped otherwise.
    pub(crate) fn rejected(&self) -> Vec<(String, RejectedLine)> {
        let named = |Report { line, reason, cause }: Report| match cause {
            Some(cause) => (line, cause),
            None => panic!("{line}: {reason}"),
        };
        let mut rejected: Vec<_> = self.all().into_iter().map(named).collect();
        rejected.sort_by(|(one, _), (other, _)| one.cmp(other));
        rejected
    }
}
