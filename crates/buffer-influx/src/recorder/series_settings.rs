//! How series become points: their form, their names, their tags.

use std::borrow::Cow;

use metrics::{Key, Label};

use crate::encoder::Encoder;
use crate::point::Point;
use crate::point::point_error::{Element, PointError};
use crate::recorder::metric_fields::{COUNT, DELTA, GAUGE, MAX, MIN, SUM, TOTAL};

/// How counters are written.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Counters, Dialect, Encoder, InfluxRecorder};
///
/// let builder = InfluxRecorder::builder(Encoder::new(Dialect::Influx1)).counters(Counters::Totals);
/// # drop(builder);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Counters {
    /// What was counted since the last point, in the field `delta`: the sum of the points is the count.
    #[default]
    Deltas,
    /// What was counted since the program began, in the field `total`, which starts again with each run.
    Totals,
}

/// When gauges are written.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Gauges, InfluxRecorder};
///
/// let builder = InfluxRecorder::builder(Encoder::new(Dialect::Influx1)).gauges(Gauges::Always);
/// # drop(builder);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gauges {
    /// In the intervals in which they changed.
    #[default]
    WhenChanged,
    /// In every interval, from when they are first set until they are forgotten: a gauge is forgotten when nobody holds a handle to
    /// it and it was not set for the recorder's `idle_timeout`. The recorder does not rest meanwhile.
    Always,
}

/// How all series of a recorder are written.
pub(crate) struct SeriesSettings {
    pub(crate) encoder: Encoder,
    pub(crate) prefix: String,
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    pub(crate) quantiles: Vec<Quantile>,
}

/// A quantile between 0 and 1, and its field.
pub(crate) struct Quantile {
    pub(crate) value: f64,
    pub(crate) field: String,
}

/// The tag of a series that stands for many, as there are more than the limit.
const OVERFLOW: (&str, &str) = ("overflow", "true");
/// Where a name, a label's name and its value are cut. Longer ones come from texts that were made labels by mistake.
const LONGEST: usize = 1_024;
/// A moment with as many digits as any of a clock that is not set before 1970, in nanoseconds since then.
const LATEST: i64 = 9_223_372_036_854_775_806;

impl SeriesSettings {
    /// The point of `key`, without fields.
    pub(crate) fn point(&self, key: &Key) -> Point {
        let point = Point::new(format!("{}{}", self.prefix, key.name()));
        key.labels()
            .fold(point, |point, label| point.tag(label.key(), label.value()))
    }

    /// The key that stands for all those written as `key` is: two series would overwrite each other's points.
    pub(crate) fn canonical(&self, key: &Key) -> Key {
        let dialect = self.encoder.dialect();
        let longest_key = LONGEST.min(dialect.longest_name(Element::TagKey));
        let mut name = cleaned(key.name(), LONGEST).into_owned();
        if self.prefix.is_empty() && (name.is_empty() || name.starts_with('#')) {
            name.insert(0, '_');
        }
        let mut labels: Vec<Label> = Vec::new();
        for label in key.labels() {
            let (key, value) = (cleaned(label.key(), longest_key), cleaned(label.value(), LONGEST));
            let is_reserved = key == "time" || dialect.renames_series(&key);
            let key = if is_reserved {
                format!("{key}_").into()
            } else {
                key
            };
            labels.retain(|other| other.key() != key);
            labels.push(Label::new(key.into_owned(), value.into_owned()));
        }
        labels.retain(|label| self.is_written(label.key(), label.value()));
        Key::from_parts(name, labels).to_retained()
    }

    /// Whether a label makes a difference to what is written.
    fn is_written(&self, key: &str, value: &str) -> bool {
        if !self.encoder.default_tags().any(|(default, _)| default == key) {
            return !key.is_empty() && !value.is_empty();
        }
        // An empty one suppresses the default tag. Compared as they are written, as the encoder may change the default tag.
        let written = |point: Point| {
            self.encoder
                .encode(&point.field(GAUGE, 0).timestamp_ns(LATEST))
                .ok()
        };
        written(Point::new("x").tag(key, value)) != written(Point::new("x"))
    }

    /// The key of the series that stands for all of the same name.
    pub(crate) fn shared(&self, key: &Key) -> Key {
        let (tag, value) = OVERFLOW;
        // If that is a default tag, the series of the name alone is written alike.
        let is_written = self.is_written(tag, value);
        let labels: Vec<Label> = is_written.then(|| Label::new(tag, value)).into_iter().collect();
        Key::from_parts(key.name().to_owned(), labels).to_retained()
    }

    /// Whether points of `key` can be written, whatever their values: tried with the longest possible ones.
    pub(crate) fn check(&self, key: &Key) -> Result<(), PointError> {
        let integers = [DELTA, TOTAL, COUNT];
        let quantiles = self.quantiles.iter().map(|quantile| quantile.field.as_str());
        let floats = [GAUGE, SUM, MIN, MAX].into_iter().chain(quantiles);
        let point = self.point(key).timestamp_ns(LATEST);
        let point = integers
            .iter()
            .fold(point, |point, field| point.field(field, i64::MIN));
        let point = floats.fold(point, |point, field| point.field(field, -f64::MAX));
        self.encoder.encode(&point).map(drop)
    }
}

/// Replaces with `_` what the line protocol has no form for: control characters, and backslashes that a server would take for
/// escapes; and cuts what is longer.
fn cleaned(text: &str, longest: usize) -> Cow<'_, str> {
    let text = &text[..text.floor_char_boundary(longest)];
    let next_is_misread = |at: usize| {
        let next = text[at + 1..].chars().next();
        next.is_none_or(|next| ", =\"".contains(next))
    };
    let is_bad = |(at, character): (usize, char)| {
        character.is_ascii_control() || character == '\\' && next_is_misread(at)
    };
    if !text.char_indices().any(is_bad) {
        return text.into();
    }
    let character = |(at, character)| if is_bad((at, character)) { '_' } else { character };
    text.char_indices().map(character).collect()
}
