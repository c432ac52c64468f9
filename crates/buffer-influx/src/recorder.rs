//! The recorder: makes handles for the application's metrics.

pub(crate) mod builder;
mod counter;
mod driver;
pub(crate) mod error;
mod gauge;
pub(crate) mod handle;
mod histogram;
mod metric_fields;
mod recording;
mod registry;
mod series;
pub(crate) mod series_settings;
mod tables;
mod updates;

use std::fmt;
use std::sync::Arc;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

use crate::recorder::counter::CounterSeries;
use crate::recorder::gauge::GaugeSeries;
use crate::recorder::handle::RecorderHandle;
use crate::recorder::histogram::HistogramSeries;
use crate::recorder::recording::Recording;
use crate::recorder::registry::Found;
use crate::recorder::updates::Updates;

/// A [`metrics::Recorder`] that writes an application's metrics as points, through a [`Buffer`](buffer_core::Buffer) of its own.
///
/// Each series, which is a metric with its labels, becomes a point for each interval in which it changed. The measurement is the
/// metric's name, the tags are its labels, and the fields depend on its kind:
///
/// | kind | fields |
/// |---|---|
/// | counter | `delta`, or `total` by choice |
/// | gauge | `gauge` |
/// | histogram | `count`, `sum`, `min`, `max`, `p50`, `p90`, `p95`, `p99` |
///
/// An outage loses no update: the buffer holds what it has and tries again until the server is back, and while the buffer is full,
/// the series go on summing. When the last of recorder and [handles](RecorderHandle) is dropped, what is left is still written, even
/// at the end of `main`. `docs/metrics.md` in the repository has all the details.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, InfluxRecorder, InfluxSink, V1};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086", V1::new("metrics")).build()?;
/// let recorder = InfluxRecorder::builder(client.encoder().default_tag("host", "a"))
///     .prefix("shop_")
///     .install(InfluxSink::new(client))?;
///
/// metrics::counter!("orders", "country" => "pt").increment(1);
/// metrics::histogram!("order_value").record(12.5);
///
/// let summary = recorder.close().await;
/// assert!(summary.undelivered.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct InfluxRecorder {
    recording: Arc<Recording>,
    refused: Arc<Refused>,
}

impl InfluxRecorder {
    pub(crate) fn new(recording: Arc<Recording>) -> Self {
        let refused = Refused(Arc::clone(&recording.registry.updates));
        Self {
            recording,
            refused: Arc::new(refused),
        }
    }

    /// A handle that flushes and closes.
    pub fn handle(&self) -> RecorderHandle {
        RecorderHandle::new(Arc::clone(&self.recording))
    }
}

/// Descriptions have no place in the line protocol, so they are not kept.
impl Recorder for InfluxRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.recording.registry.find(key) {
            Found::Own(series) => Counter::from_arc(series),
            Found::Shared(series) => Counter::from_arc(Arc::new(SharedCounter {
                series,
                refused: Arc::clone(&self.refused),
            })),
            Found::Refused => Counter::from_arc(Arc::clone(&self.refused)),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.recording.registry.find::<GaugeSeries>(key) {
            Found::Own(series) | Found::Shared(series) => Gauge::from_arc(series),
            Found::Refused => Gauge::from_arc(Arc::clone(&self.refused)),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.recording.registry.find::<HistogramSeries>(key) {
            Found::Own(series) | Found::Shared(series) => Histogram::from_arc(series),
            Found::Refused => Histogram::from_arc(Arc::clone(&self.refused)),
        }
    }
}

impl fmt::Debug for InfluxRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InfluxRecorder")
            .field("buffer", &self.recording.buffer)
            .finish_non_exhaustive()
    }
}

/// Counts the updates of a metric that has no series.
struct Refused(Arc<Updates>);

impl CounterFn for Refused {
    fn increment(&self, _: u64) {
        self.0.leave_out_refused(1);
    }

    fn absolute(&self, _: u64) {
        self.0.leave_out_refused(1);
    }
}

impl GaugeFn for Refused {
    fn increment(&self, _: f64) {
        self.0.leave_out_refused(1);
    }

    fn decrement(&self, _: f64) {
        self.0.leave_out_refused(1);
    }

    fn set(&self, _: f64) {
        self.0.leave_out_refused(1);
    }
}

impl HistogramFn for Refused {
    fn record(&self, _: f64) {
        self.0.leave_out_refused(1);
    }

    fn record_many(&self, _: f64, count: usize) {
        self.0.leave_out_refused(count as u64);
    }
}

/// A counter that is summed together with others of its name.
struct SharedCounter {
    series: Arc<CounterSeries>,
    refused: Arc<Refused>,
}

impl CounterFn for SharedCounter {
    fn increment(&self, value: u64) {
        self.series.increment(value);
    }

    /// The greatest of several counters says nothing of their sum.
    fn absolute(&self, value: u64) {
        CounterFn::absolute(&*self.refused, value);
    }
}
