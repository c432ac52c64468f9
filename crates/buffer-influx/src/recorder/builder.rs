//! The settings of a recorder.

use std::sync::Arc;
use std::time::Duration;

use buffer_core::{BufferBuilder, BuildError, Flush};
use metrics::Key;
use tokio::runtime::Handle;

use crate::encoder::Encoder;
use crate::line::Line;
use crate::recorder::InfluxRecorder;
use crate::recorder::driver::Driver;
use crate::recorder::error::{InstallRecorderError, RecorderBuildError};
use crate::recorder::handle::RecorderHandle;
use crate::recorder::metric_fields;
use crate::recorder::recording::Recording;
use crate::recorder::registry::{Limits, Registry};
use crate::recorder::series_settings::{Counters, Gauges, Quantile, SeriesSettings};
use crate::writer::Writer;
use crate::writer::builder::WriterBuilder;

/// The settings of an [`InfluxRecorder`], made by [`InfluxRecorder::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// # use buffer_core::testing::ScriptedSink;
/// use buffer_influx::{Counters, Dialect, Encoder, Gauges, InfluxRecorder};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), buffer_influx::RecorderBuildError> {
/// # let sink = ScriptedSink::new([]);
/// let (recorder, handle) = InfluxRecorder::builder(Encoder::new(Dialect::Influx2).default_tag("host", "a"))
///     .flush_interval(Duration::from_secs(5))
///     .counters(Counters::Totals)
///     .gauges(Gauges::Always)
///     .quantiles(&[0.5, 0.999])
///     .buffer(|buffer| buffer.drain_timeout(Duration::from_secs(5)))
///     .build(sink)?;
/// # drop((recorder, handle));
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct RecorderBuilder {
    name: String,
    encoder: Encoder,
    writer: WriterBuilder,
    flush_interval: Duration,
    flush_jitter: Option<Duration>,
    prefix: String,
    counters: Counters,
    gauges: Gauges,
    quantiles: Vec<f64>,
    series_limit: usize,
    idle_timeout: Duration,
    runtime: Option<Handle>,
}

/// A duration above it is a mistake, as in the settings of a buffer.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl InfluxRecorder {
    /// The settings of a recorder whose points are encoded by `encoder`; every series has the encoder's default tags.
    ///
    /// Two processes need a tag that tells them apart. Otherwise they share their series, and their gauges overwrite each other.
    pub fn builder(encoder: Encoder) -> RecorderBuilder {
        RecorderBuilder {
            name: "metrics".to_owned(),
            writer: Writer::builder(encoder.clone()).buffer(|buffer| buffer.partitions(1).retries(u32::MAX)),
            encoder,
            flush_interval: Duration::from_secs(10),
            flush_jitter: None,
            prefix: String::new(),
            counters: Counters::default(),
            gauges: Gauges::default(),
            quantiles: vec![0.5, 0.9, 0.95, 0.99],
            series_limit: 10_000,
            idle_timeout: Duration::from_secs(5 * 60),
            runtime: None,
        }
    }
}

impl RecorderBuilder {
    /// The name of the recorder's buffer. Default: `metrics`.
    ///
    /// Metrics about this buffer, which have the label `buffer` with this value, are written along with others and never alone: they
    /// change with every flush, and must not cause the next one.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The length of an interval. Default: 10 s.
    ///
    /// With a longer one less is written, and a crash loses more.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Lengthens each interval by a random time of up to this much, so that processes don't write in step, and ends the first at a random
    /// moment. With zero, all are of one length. Default: 20 % of the interval.
    pub fn flush_jitter(mut self, jitter: Duration) -> Self {
        self.flush_jitter = Some(jitter);
        self
    }

    /// What every measurement begins with. Default: nothing.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How counters are written. Default: [`Counters::Deltas`].
    pub fn counters(mut self, counters: Counters) -> Self {
        self.counters = counters;
        self
    }

    /// When gauges are written. Default: [`Gauges::WhenChanged`].
    pub fn gauges(mut self, gauges: Gauges) -> Self {
        self.gauges = gauges;
        self
    }

    /// The quantiles of histograms, each between 0 and 1. Default: 0.5, 0.9, 0.95 and 0.99.
    ///
    /// They are off by 1 % at most while an interval's values span no more than a factor of 10^17. A field is named after its
    /// percentage: `p50`, `p99_9`.
    pub fn quantiles(mut self, quantiles: &[f64]) -> Self {
        self.quantiles = quantiles.to_vec();
        self
    }

    /// The most series that the application may have. Default: 10,000.
    ///
    /// Beyond it, counters and histograms of one name are summed in one series with the tag `overflow=true`. Gauges, which can't be
    /// summed, are refused and counted. A series takes some hundred bytes, a histogram up to 32 KiB.
    pub fn series_limit(mut self, series: usize) -> Self {
        self.series_limit = series;
        self
    }

    /// How long a series is kept while it does not change, or as a gauge is not set, and nobody holds a handle to it. Default: 5 minutes.
    /// With [`Duration::MAX`] none is ever forgotten.
    ///
    /// A series that is forgotten begins anew when it comes back. So a series that can't begin anew is kept: a counter that is
    /// written as a total or was set by `absolute`, and a gauge that was changed by differences and is not at zero. A gauge that was
    /// only ever `set` is forgotten, and so is a counter that was only incremented: a difference that comes later begins at zero, and
    /// a later `absolute` counts from zero. If a series is to have both, hold its handle.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Changes the settings of the recorder's buffer. Default: one partition, batches of 5,000 lines or of 4 MiB, and unlimited
    /// retries, so that only what the server refuses for good is dropped; the rest as in [`BufferBuilder`].
    ///
    /// This builder sets its name, `last_items` and `runtime`; `settings` can't change them.
    pub fn buffer(mut self, settings: impl FnOnce(BufferBuilder<Line>) -> BufferBuilder<Line>) -> Self {
        self.writer = self.writer.buffer(settings);
        self
    }

    /// The runtime to run on. Default: the one that `build` is called in.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Checks the settings and starts a recorder that writes to `sink`.
    ///
    /// # Errors
    ///
    /// A [`RecorderBuildError`] that names the setting to change, or says that there is no runtime.
    pub fn build_recorder(self, sink: impl Flush<Line>) -> Result<InfluxRecorder, RecorderBuildError> {
        let (interval, jitter) = self.interval()?;
        let (name, runtime) = (self.name.clone(), self.runtime.clone());
        let (registry, writer) = self.registry()?;
        let runtime = match runtime {
            Some(runtime) => runtime,
            None => Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
        };
        let registry = Arc::new(registry);
        let last_lines = Arc::clone(&registry);
        let writer = writer.buffer(|buffer| {
            buffer
                .name(name)
                .runtime(runtime.clone())
                .last_items(move || last_lines.last_lines())
        });
        let recording = Arc::new(Recording {
            registry,
            buffer: writer.build(sink)?.buffer().clone(),
        });
        runtime.spawn(Driver::new(&recording, interval, jitter).run());
        Ok(InfluxRecorder::new(recording))
    }

    /// Like [`build_recorder`](RecorderBuilder::build_recorder), but also returns a handle to flush and close the recorder: for one
    /// that is handed to other code.
    ///
    /// # Errors
    ///
    /// As for [`build_recorder`](RecorderBuilder::build_recorder).
    pub fn build(
        self,
        sink: impl Flush<Line>,
    ) -> Result<(InfluxRecorder, RecorderHandle), RecorderBuildError> {
        let recorder = self.build_recorder(sink)?;
        let handle = recorder.handle();
        Ok((recorder, handle))
    }

    /// Like [`build`](RecorderBuilder::build), but installs the recorder as the process's own.
    ///
    /// The process never drops it, so its buffer is closed by [`close`](RecorderHandle::close), or by the end of the runtime.
    ///
    /// # Errors
    ///
    /// An [`InstallRecorderError`].
    pub fn install(self, sink: impl Flush<Line>) -> Result<RecorderHandle, InstallRecorderError> {
        let (recorder, handle) = self.build(sink)?;
        match metrics::set_global_recorder(recorder) {
            Ok(()) => Ok(handle),
            Err(_) => Err(InstallRecorderError::AlreadyInstalled),
        }
    }

    /// The interval and its jitter, checked.
    fn interval(&self) -> Result<(Duration, Duration), BuildError> {
        if self.flush_interval.is_zero() {
            return Err(BuildError::Zero {
                setting: "flush_interval",
                least: "a millisecond",
            });
        }
        let jitter = self.flush_jitter.unwrap_or(self.flush_interval / 5);
        for (setting, duration) in [("flush_interval", self.flush_interval), ("flush_jitter", jitter)] {
            if duration > LONGEST {
                return Err(BuildError::TooLarge {
                    setting,
                    most: "a year",
                });
            }
        }
        Ok((self.flush_interval, jitter))
    }

    /// The checked registry, and what is left for the buffer.
    fn registry(self) -> Result<(Registry, WriterBuilder), RecorderBuildError> {
        if self.series_limit == 0 {
            let (setting, least) = ("series_limit", "1");
            return Err(BuildError::Zero { setting, least }.into());
        }
        let quantile = |quantile: f64| match (0.0..=1.0).contains(&quantile) {
            true => Ok(Quantile {
                value: quantile,
                field: metric_fields::quantile(quantile),
            }),
            false => Err(RecorderBuildError::Quantile { quantile }),
        };
        let settings = SeriesSettings {
            encoder: self.encoder,
            prefix: self.prefix,
            counters: self.counters,
            gauges: self.gauges,
            quantiles: self
                .quantiles
                .into_iter()
                .map(quantile)
                .collect::<Result<_, _>>()?,
        };
        settings
            .check(&Key::from_static_name("x"))
            .map_err(RecorderBuildError::Names)?;
        let limits = Limits {
            own_buffer: self.name,
            series: self.series_limit,
            idle_timeout: self.idle_timeout,
        };
        Ok((Registry::new(settings, limits), self.writer))
    }
}

impl std::fmt::Debug for RecorderBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderBuilder")
            .field("name", &self.name)
            .field("encoder", &self.encoder)
            .finish_non_exhaustive()
    }
}
