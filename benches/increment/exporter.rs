//! `metrics::counter!`, with the recorder that Prometheus scrapes.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::contenders::Counter;

/// A process has one recorder for all its threads, but each thread may have another while it does something: so each run has
/// one of its own, and its page in the end is the sum of that run alone.
pub(crate) struct Exporter {
    recorder: PrometheusRecorder,
}

impl Exporter {
    pub(crate) fn new() -> Self {
        Self {
            recorder: PrometheusBuilder::new().build_recorder(),
        }
    }
}

impl Counter for Exporter {
    fn increment_all(&self, keys: &[&str]) {
        metrics::with_local_recorder(&self.recorder, || {
            for key in keys {
                metrics::counter!("views", "page" => (*key).to_owned()).increment(1);
            }
        });
    }

    /// It keeps totals, which are there to be scraped.
    fn take(&self) {}

    fn total(&self) -> i64 {
        let page = self.recorder.handle().render();
        let samples = page.lines().filter(|line| line.starts_with("views{"));
        let values = samples.map(|line| {
            line.rsplit(' ')
                .next()
                .and_then(|value| value.parse::<i64>().ok())
        });
        values
            .map(|value| value.expect("a count is a whole number"))
            .sum()
    }
}
