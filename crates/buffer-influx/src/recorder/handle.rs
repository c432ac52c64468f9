//! The handle of a recorder: flush, close, numbers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{FlushReport, Health, Ledger, Summary};
use tokio::time::Instant;

use crate::line::Line;
use crate::recorder::recording::Recording;
use crate::recorder::registry::HandedOver;
use crate::recorder::updates::LeftOut;

/// A handle to a recorder that flushes and closes it; clones are handles to the same recorder.
///
/// # Examples
///
/// ```
/// use buffer_core::testing::ScriptedSink;
/// use buffer_influx::{Dialect, Encoder, InfluxRecorder};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sink = ScriptedSink::new([]);
/// let (recorder, handle) = InfluxRecorder::builder(Encoder::new(Dialect::Influx1)).build(sink.clone())?;
///
/// metrics::with_local_recorder(&recorder, || metrics::counter!("orders").increment(2));
///
/// assert_eq!(handle.close().await.ledger.delivered, 1);
/// assert!(sink.delivered()[0].as_str().starts_with("orders delta=2i "));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RecorderHandle {
    recording: Arc<Recording>,
}

/// What a recorder has done so far.
///
/// # Examples
///
/// ```
/// use buffer_influx::RecorderHandle;
///
/// fn report(recorder: &RecorderHandle) -> String {
///     let stats = recorder.stats();
///     format!("{} series, {} points written, {} updates left out", stats.series, stats.points.delivered, stats.refused)
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderStats {
    /// Series that are kept at present.
    pub series: usize,
    /// Values that were left out because they were not a number, or infinite.
    pub non_finite: u64,
    /// Updates that were left out because there was no place for their series, or because no point of it could be written.
    pub refused: u64,
    /// Every point that the buffer accepted, by what became of it.
    pub points: Ledger,
}

impl RecorderHandle {
    pub(crate) fn new(recording: Arc<Recording>) -> Self {
        Self { recording }
    }

    /// Ends the interval and waits until its points are settled; reports what became of them.
    ///
    /// In an outage it waits.
    ///
    /// # Cancel safety
    ///
    /// Safe: what was handed over is written, the rest stays in its series.
    pub async fn flush(&self) -> FlushReport {
        let Recording { buffer, .. } = &*self.recording;
        let mut report = FlushReport::default();
        loop {
            let handed_over = self.recording.hand_over();
            report += buffer.flush().await;
            if handed_over == HandedOver::All || buffer.is_closed() {
                return report;
            }
        }
    }

    /// Like [`flush`](RecorderHandle::flush), for at most `limit`. What is not settled by then is in [`FlushReport::pending`], and
    /// its flush goes on. What had no room in the buffer stays in its series.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](RecorderHandle::flush).
    pub async fn flush_within(&self, limit: Duration) -> FlushReport {
        let Recording { buffer, .. } = &*self.recording;
        let begin = Instant::now();
        let mut report = FlushReport::default();
        loop {
            let handed_over = self.recording.hand_over();
            report += buffer.flush_within(limit.saturating_sub(begin.elapsed())).await;
            if handed_over == HandedOver::All || buffer.is_closed() || begin.elapsed() >= limit {
                return report;
            }
        }
    }

    /// Closes the recorder: writes the last interval, waits until everything is settled or the buffer's `drain_timeout` has passed,
    /// and returns what is left.
    ///
    /// Updates that come later are not written.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on. What its deadline leaves is then not returned but dropped.
    pub async fn close(&self) -> Summary<Line> {
        self.recording.buffer.close().await
    }

    /// Like [`close`](RecorderHandle::close), with a time limit of its own.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](RecorderHandle::close).
    pub async fn close_within(&self, limit: Duration) -> Summary<Line> {
        self.recording.buffer.close_within(limit).await
    }

    /// Whether the recorder writes no more points.
    pub fn is_closed(&self) -> bool {
        self.recording.buffer.is_closed()
    }

    /// What the recorder has done so far.
    pub fn stats(&self) -> RecorderStats {
        let Recording { registry, buffer } = &*self.recording;
        let LeftOut { non_finite, refused } = registry.updates.left_out();
        RecorderStats {
            series: registry.series(),
            non_finite,
            refused,
            points: buffer.ledger(),
        }
    }

    /// Whether the sink takes points at present; if not, since when and why.
    pub fn health(&self) -> Health {
        self.recording.buffer.health()
    }
}

impl fmt::Debug for RecorderHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecorderHandle")
            .field("buffer", &self.recording.buffer)
            .finish_non_exhaustive()
    }
}
