//! A histogram's series: a sketch of the values of the running interval.

use std::ops::ControlFlow;

use metrics::HistogramFn;
use parking_lot::Mutex;
use sketches_ddsketch::{Config, DDSketch};

use crate::line::Line;
use crate::metric_fields::{COUNT, MAX, MIN, SUM};
use crate::point::Point;
use crate::series::{NoRoom, Offer, Series};
use crate::series_settings::Quantile;
use crate::updates::{Reporter, Updates};

/// How far a quantile may be off, relative to itself.
const ERROR: f64 = 0.01;
/// Bins of 8 bytes for each sign: values from 1 to 10^17 keep the error, below them it grows.
const BINS: u32 = 2_048;

pub(crate) struct HistogramSeries {
    sketch: Mutex<DDSketch>,
    /// The point of an earlier interval that found no room. Only the hand-over locks it.
    left: Mutex<Option<Line>>,
    reporter: Reporter,
}

impl HistogramSeries {
    pub(crate) fn new(reporter: Reporter) -> Self {
        Self {
            sketch: Mutex::new(empty()),
            left: Mutex::new(None),
            reporter,
        }
    }
}

fn empty() -> DDSketch {
    DDSketch::new(Config::new(ERROR, BINS, f64::MIN_POSITIVE))
}

impl HistogramFn for HistogramSeries {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        let count = count as u64;
        if !value.is_finite() {
            self.reporter.updates.leave_out_non_finite(count);
            return;
        }
        let mut sketch = self.sketch.lock();
        let fits = (sketch.count() as u64)
            .checked_add(count)
            .is_some_and(|sum| sum <= i64::MAX as u64);
        if fits {
            sketch.add_with_count(value, count);
        }
        drop(sketch);
        match fits {
            true => self.reporter.changed(),
            false => self.reporter.updates.leave_out_refused(count),
        }
    }
}

impl Series for HistogramSeries {
    fn offer(&self, offer: &mut Offer<'_>) -> ControlFlow<NoRoom> {
        let mut left = self.left.lock();
        if let Some(line) = &*left {
            offer.insert(line.clone())?;
            *left = None;
        }
        let sketch = {
            let mut sketch = self.sketch.lock();
            if sketch.count() == 0 {
                return ControlFlow::Continue(());
            }
            std::mem::replace(&mut *sketch, empty())
        };
        let (settings, updates) = (offer.settings, offer.updates);
        let Some(line) = offer.line(|point| fields(point, &sketch, &settings.quantiles, updates)) else {
            return ControlFlow::Continue(());
        };
        // It is kept until it is handed over, whatever the buffer does meanwhile.
        *left = Some(line.clone());
        offer.insert(line)?;
        *left = None;
        ControlFlow::Continue(())
    }

    fn has_news(&self) -> bool {
        self.sketch.lock().count() > 0 || self.left.lock().is_some()
    }

    fn is_forgettable(&self) -> bool {
        !self.has_news()
    }

    fn is_own(&self) -> bool {
        self.reporter.is_own
    }
}

/// The fields of what `sketch` holds.
fn fields(point: Point, sketch: &DDSketch, quantiles: &[Quantile], updates: &Updates) -> Point {
    // The values are finite and there is one, so the least and the greatest are finite too.
    let (min, max) = (
        sketch.min().unwrap_or_default(),
        sketch.max().unwrap_or_default(),
    );
    let mut point = point
        .field(COUNT, sketch.count() as i64)
        .field(MIN, min)
        .field(MAX, max);
    match sketch.sum() {
        Some(sum) if sum.is_finite() => point = point.field(SUM, sum),
        // Values at the edge of the range, whose sum is beyond it.
        _ => updates.leave_out_non_finite(1),
    }
    for quantile in quantiles {
        // A sketch that is not empty answers for any quantile between 0 and 1, which the settings have checked.
        let value = sketch.quantile(quantile.value).ok().flatten().unwrap_or(max);
        point = point.field(&quantile.field, value.clamp(min, max));
    }
    point
}
