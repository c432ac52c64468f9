//! One measurement at one moment: what a program hands in.

pub(crate) mod field_value;
pub(crate) mod moment;
pub(crate) mod parse;
pub(crate) mod point_error;
pub(crate) mod precision;
pub(crate) mod unread;

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use crate::point::field_value::FieldValue;
use crate::point::moment::nanoseconds;
use crate::point::precision::Precision;

/// A measurement at a moment, with its tags and fields.
///
/// The setters take anything and refuse nothing: the [`Encoder`](crate::Encoder), which every write goes through, does the checking.
/// A tag or a field that is set twice keeps its last value. Tags are sorted by key, as InfluxDB asks for; a tag with an empty key or
/// an empty value is left out when the point is encoded, as InfluxDB has no such tags.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Dialect, Encoder, Point};
///
/// let point = Point::new("weather")
///     .tag("city", "São Paulo")
///     .field("temperature", 24.5)
///     .field("sunny", true)
///     .timestamp_ns(1_700_000_000_000_000_000);
/// assert_eq!(
///     Encoder::new(Dialect::Influx1).encode(&point)?.as_str(),
///     r"weather,city=São\ Paulo temperature=24.5,sunny=true 1700000000000000000",
/// );
/// # Ok::<(), buffer_influx::PointError>(())
/// ```
#[derive(Clone)]
pub struct Point {
    /// The measurement first, then keys and tag values as they came: one allocation instead of one for each.
    text: String,
    measurement: Span,
    /// Sorted by key, no key twice.
    tags: Vec<Tag>,
    /// As they came, no key twice.
    fields: Vec<Field>,
    /// Where each field is, once there are many: the look at all of them would take longer and longer.
    #[expect(
        clippy::box_collection,
        reason = "most points have none, and a point is moved with each call"
    )]
    places: Option<Box<HashMap<Box<str>, usize>>>,
    /// Nanoseconds since 1970. Wider than InfluxDB's own, so that the encoder sees what does not fit.
    timestamp: Option<i128>,
}

/// A point is short-lived, so room for its names costs less than growing does.
const USUAL_TEXT_BYTES: usize = 160;

/// From so many on, fields are found by an index.
const MANY_FIELDS: usize = 64;

/// Where a name stands in [`Point::text`].
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone)]
struct Tag {
    key: Span,
    value: Span,
}

#[derive(Clone)]
struct Field {
    key: Span,
    value: FieldValue,
}

impl Point {
    /// A point of `measurement`, without tags, fields or a timestamp.
    pub fn new(measurement: impl AsRef<str>) -> Self {
        let mut text = String::with_capacity(USUAL_TEXT_BYTES);
        let measurement = append(&mut text, measurement.as_ref());
        Self {
            text,
            measurement,
            tags: Vec::new(),
            fields: Vec::new(),
            places: None,
            timestamp: None,
        }
    }

    /// Sets the tag `key`; setting it to the empty string leaves it out.
    #[must_use]
    pub fn tag(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        let value = append(&mut self.text, value.as_ref());
        match self.tags.binary_search_by(|tag| tag.key.of(&self.text).cmp(key)) {
            Ok(index) => self.tags[index].value = value,
            Err(index) => {
                let key = append(&mut self.text, key);
                self.tags.insert(index, Tag { key, value });
            }
        }
        self
    }

    /// Sets the field `key`.
    #[must_use]
    pub fn field(mut self, key: impl AsRef<str>, value: impl Into<FieldValue>) -> Self {
        let key = key.as_ref();
        let value = value.into();
        match self.place_of(key) {
            Some(place) => self.fields[place].value = value,
            None => {
                if self.fields.len() >= MANY_FIELDS {
                    self.index_fields();
                }
                if let Some(places) = &mut self.places {
                    places.insert(key.into(), self.fields.len());
                }
                let key = append(&mut self.text, key);
                self.fields.push(Field { key, value });
            }
        }
        self
    }

    /// Where among the fields `key` is.
    fn place_of(&self, key: &str) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self
                .fields
                .iter()
                .position(|field| field.key.of(&self.text) == key),
        }
    }

    /// Makes `places`, if it is not there yet.
    fn index_fields(&mut self) {
        if self.places.is_none() {
            let places = self
                .fields()
                .zip(0..)
                .map(|((key, _), place)| (key.into(), place));
            self.places = Some(Box::new(places.collect()));
        }
    }

    /// Sets the moment of the point.
    ///
    /// A point without one is stamped when it is encoded, so that a repeated write of the line overwrites itself instead
    /// of storing the point twice.
    #[must_use]
    pub fn timestamp(mut self, time: SystemTime) -> Self {
        self.timestamp = Some(nanoseconds(time));
        self
    }

    /// Sets the moment of the point in nanoseconds since 1970; see [`timestamp`](Point::timestamp).
    #[must_use]
    pub fn timestamp_ns(mut self, nanoseconds: i64) -> Self {
        self.timestamp = Some(nanoseconds.into());
        self
    }

    /// Sets the moment of the point as a number since 1970, in the unit `precision`; see [`timestamp`](Point::timestamp).
    #[must_use]
    pub fn timestamp_in(mut self, precision: Precision, moment: i64) -> Self {
        self.timestamp = Some(precision.nanoseconds(moment));
        self
    }

    /// Sets the moment of the point in nanoseconds since 1970, also where no server stores it.
    pub(crate) fn at(mut self, nanoseconds: i128) -> Self {
        self.timestamp = Some(nanoseconds);
        self
    }

    /// The measurement.
    pub fn measurement(&self) -> &str {
        self.measurement.of(&self.text)
    }

    /// The tags, sorted by key, empty ones included.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags
            .iter()
            .map(|Tag { key, value }| (key.of(&self.text), value.of(&self.text)))
    }

    /// The fields, in the order in which their keys were first set.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.fields
            .iter()
            .map(|Field { key, value }| (key.of(&self.text), value))
    }

    /// Nanoseconds since 1970: of the point, or of now where the point has no timestamp.
    pub(crate) fn moment(&self) -> i128 {
        self.timestamp.unwrap_or_else(|| nanoseconds(SystemTime::now()))
    }
}

impl Span {
    fn of(self, text: &str) -> &str {
        &text[self.start..self.end]
    }
}

fn append(text: &mut String, name: &str) -> Span {
    let start = text.len();
    text.push_str(name);
    Span {
        start,
        end: text.len(),
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.timestamp == other.timestamp
            && self.measurement() == other.measurement()
            && self.tags().eq(other.tags())
            && self.fields.len() == other.fields.len()
            && self.fields().all(|(key, value)| {
                other
                    .place_of(key)
                    .is_some_and(|place| other.fields[place].value == *value)
            })
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Point")
            .field("measurement", &self.measurement())
            .field(
                "tags",
                &fmt::from_fn(|f| f.debug_map().entries(self.tags()).finish()),
            )
            .field(
                "fields",
                &fmt::from_fn(|f| f.debug_map().entries(self.fields()).finish()),
            )
            .field("timestamp_ns", &self.timestamp)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_sorted_fields_stay_in_order_and_the_last_of_a_key_wins() {
        let point = Point::new("m")
            .tag("b", "1")
            .tag("a", "2")
            .tag("b", "3")
            .field("y", 1)
            .field("x", true)
            .field("y", 2.5);
        assert_eq!(point.tags().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(
            point.fields().collect::<Vec<_>>(),
            [("y", &FieldValue::Float(2.5)), ("x", &FieldValue::Boolean(true))]
        );
    }

    #[test]
    fn points_with_the_same_content_are_equal_however_they_were_built() {
        let one = Point::new("m")
            .tag("a", "old")
            .tag("a", "new")
            .field("x", 1)
            .field("y", 2);
        let other = Point::new("m").field("y", 2).field("x", 1).tag("a", "new");
        assert_eq!(one, other);
        assert_ne!(one, other.clone().tag("b", "c"));
        assert_ne!(one, other.clone().timestamp_ns(1));
        assert_ne!(one, other.field("x", 3));
    }

    /// Hangs when each field is looked for among all others.
    #[test]
    fn the_last_of_a_key_wins_among_a_hundred_thousand_fields_too() {
        let fields = 100_000;
        let one_of = |point: Point, number: i64| point.field(format!("f{number}"), number);
        let point = (0..fields).fold(Point::new("m"), one_of);
        let point = point.field("f70000", "last").field("f3", "last");
        assert_eq!(point.fields().count(), fields as usize);
        let last = FieldValue::from("last");
        assert_eq!(point.fields().nth(70_000), Some(("f70000", &last)));
        assert_eq!(point.fields().nth(3), Some(("f3", &last)));
        assert_eq!(point, point.clone());
        assert_ne!(point, point.clone().field("f9", 0));
    }

    #[test]
    fn a_moment_may_come_in_any_unit() {
        for (precision, moment) in [
            (Precision::Seconds, -2),
            (Precision::Milliseconds, -2_000),
            (Precision::Microseconds, -2_000_000),
            (Precision::Nanoseconds, -2_000_000_000),
        ] {
            assert_eq!(
                Point::new("m").timestamp_in(precision, moment).moment(),
                -2_000_000_000
            );
        }
        assert_eq!(
            Point::new("m")
                .timestamp_in(Precision::Seconds, i64::MAX)
                .moment(),
            i128::from(i64::MAX) * 1_000_000_000
        );
    }

    #[test]
    fn a_point_prints_its_parts() {
        let text = format!(
            "{:?}",
            Point::new("m").tag("a", "b").field("x", 1).timestamp_ns(5)
        );
        assert_eq!(
            text,
            r#"Point { measurement: "m", tags: {"a": "b"}, fields: {"x": Integer(1)}, timestamp_ns: Some(5) }"#
        );
    }
}
