//! A histogram's series: a sketch of the values of the running interval.

use std::ops::ControlFlow;

use metrics::HistogramFn;
use parking_lot::Mutex;
use sketches_ddsketch::{Config, DDSketch};

use crate::line::Line;
use crate::point::Point;
use crate::recorder::metric_fields::{COUNT, MAX, MIN, SUM};
use crate::recorder::series::{NoRoom, Offer, Series};
use crate::recorder::series_settings::Quantile;
use crate::recorder::updates::{Reporter, Updates};

/// How far a quantile may be off, relative to itself.
const ERROR: f64 = 0.01;
/// Bins of 8 bytes for each sign: values from 1 to 10^17 keep the error, below them it grows.
const BINS: u32 = 2_048;

pub(crate) struct HistogramSeries {
    sketch: Mutex<DDSketch>,
    /// The point of an earlier interval that found no room. The hand-over holds the lock while user code runs, which may register a
    /// metric; so code that has locked the tables, and keeps that waiting, must not wait for it.
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
        // Kept until it is handed over, whatever the buffer does meanwhile.
        *left = Some(line.clone());
        offer.insert(line)?;
        *left = None;
        ControlFlow::Continue(())
    }

    fn has_news(&self) -> bool {
        if self.sketch.lock().count() > 0 {
            return true;
        }
        // If it is locked, a hand-over is using it.
        self.left.try_lock().is_none_or(|left| left.is_some())
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
    let (min, max) = (sketch.min().unwrap_or_default(), sketch.max().unwrap_or_default());
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics::Key;
    use proptest::collection::vec;
    use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
    use proptest::prelude::*;

    use super::*;
    use crate::encode::dialect::Dialect;
    use crate::encoder::Encoder;
    use crate::point::field_value::FieldValue;
    use crate::recorder::metric_fields;
    use crate::recorder::series_settings::{Counters, Gauges, SeriesSettings};

    const QUANTILES: [f64; 5] = [0.0, 0.25, 0.5, 0.99, 1.0];

    fn histogram() -> HistogramSeries {
        HistogramSeries::new(Reporter {
            updates: Arc::default(),
            is_own: false,
        })
    }

    /// The points that it hands over; the first `full` of them find no room.
    fn offered(histogram: &HistogramSeries, mut full: usize) -> Vec<Point> {
        let mut points = Vec::new();
        offer(histogram, &mut |line| {
            if full > 0 {
                full -= 1;
                return Err(NoRoom);
            }
            points.push(line.as_str().parse().expect("a line"));
            Ok(())
        });
        points
    }

    fn offer(histogram: &HistogramSeries, insert: &mut dyn FnMut(Line) -> Result<(), NoRoom>) {
        let quantile = |value| Quantile {
            value,
            field: metric_fields::quantile(value),
        };
        let settings = SeriesSettings {
            encoder: Encoder::new(Dialect::Influx1),
            prefix: String::new(),
            counters: Counters::Deltas,
            gauges: Gauges::WhenChanged,
            quantiles: QUANTILES.map(quantile).into(),
        };
        let _ = histogram.offer(&mut Offer {
            key: &Key::from_static_name("h"),
            settings: &settings,
            updates: &histogram.reporter.updates,
            moment: 7,
            insert,
        });
    }

    fn float(point: &Point, field: &str) -> f64 {
        let mut fields = point.fields();
        match fields.find(|(key, _)| *key == field).map(|(_, value)| value) {
            Some(FieldValue::Float(float)) => *float,
            Some(FieldValue::Integer(integer)) => *integer as f64,
            other => panic!("{field}: {other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_values_are_counted_and_their_quantiles_lie_among_them(
            values in vec((POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO, 1..1_000_usize), 1..200),
        ) {
            let histogram = histogram();
            for (value, times) in &values {
                histogram.record_many(*value, *times);
            }
            let sketch = histogram.sketch.lock();
            prop_assert!(sketch.length() <= 2 * BINS as usize, "{} bins", sketch.length());
            drop(sketch);
            let point = offered(&histogram, 0).remove(0);
            let count: usize = values.iter().map(|(_, times)| times).sum();
            let least = values.iter().map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
            let greatest = values.iter().map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(float(&point, COUNT), count as f64);
            prop_assert_eq!((float(&point, MIN), float(&point, MAX)), (least, greatest));
            for quantile in QUANTILES {
                let value = float(&point, &metric_fields::quantile(quantile));
                prop_assert!((least..=greatest).contains(&value), "{quantile}: {value}");
            }
        }

        #[test]
        fn quantiles_of_usual_values_are_off_by_one_percent_at_most(
            mut values in vec(prop_oneof![1e-9..1e6_f64, -1e6..-1e-9_f64], 1..500),
        ) {
            let histogram = histogram();
            for value in &values {
                histogram.record(*value);
            }
            let point = offered(&histogram, 0).remove(0);
            values.sort_by(f64::total_cmp);
            for quantile in QUANTILES {
                let exact = values[(quantile * (values.len() - 1) as f64) as usize];
                let value = float(&point, &metric_fields::quantile(quantile));
                // A hair more, for the last digits of the logarithm.
                prop_assert!((value - exact).abs() <= exact.abs() * ERROR * 1.000_001, "{quantile}: {value}, {exact}");
            }
        }
    }

    #[test]
    fn a_point_that_finds_no_room_is_kept_and_what_comes_after_it_has_its_own() {
        let histogram = histogram();
        histogram.record(1.0);
        assert!(offered(&histogram, 1).is_empty());
        histogram.record(2.0);
        assert!(offered(&histogram, 1).is_empty());
        histogram.record(4.0);
        assert!(histogram.has_news() && !histogram.is_forgettable());
        let sums: Vec<f64> = offered(&histogram, 0)
            .iter()
            .map(|point| float(point, SUM))
            .collect();
        assert_eq!(sums, [1.0, 6.0]);
        assert!(!histogram.has_news() && histogram.is_forgettable());
    }

    /// It has failed, by hanging, on a series that waits for the hand-over.
    #[test]
    fn who_asks_for_news_does_not_wait_for_a_hand_over() {
        let histogram = histogram();
        histogram.record(1.0);
        let mut answers = Vec::new();
        offer(&histogram, &mut |_| {
            answers.push((histogram.has_news(), histogram.is_forgettable()));
            Ok(())
        });
        assert_eq!(answers, [(true, false)]);
        assert!(!histogram.has_news());
    }

    #[test]
    fn more_values_than_an_integer_counts_are_left_out_and_counted() {
        let histogram = histogram();
        histogram.record_many(1.0, i64::MAX as usize);
        histogram.record_many(1.0, 3);
        histogram.record_many(1.0, usize::MAX);
        assert_eq!(
            histogram.reporter.updates.left_out().refused,
            3_u64.wrapping_add(u64::MAX)
        );
        assert_eq!(offered(&histogram, 0).len(), 1);
        histogram.record(1.0);
        assert_eq!(offered(&histogram, 0).len(), 1);
    }
}
