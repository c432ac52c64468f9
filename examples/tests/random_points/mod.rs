//! Points at random, of everything that a point may hold, and what a server should give back of them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::{BTreeMap, HashMap};

use buffer_influx::{FieldValue, Point, Precision};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// A series by its measurement and tags, as they are stored.
pub(crate) type Series = (String, BTreeMap<String, String>);

/// What one point has: its series, its moment in nanoseconds, its fields.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) series: Series,
    pub(crate) moment: i64,
    pub(crate) fields: BTreeMap<String, FieldValue>,
}

/// The source of points; the same seed makes the same points.
pub(crate) struct RandomPoints {
    random: StdRng,
    names: Vec<String>,
    /// A field of a measurement has one type.
    types: HashMap<(String, String), u8>,
    /// The moments of points, each once: begins of some weeks, so that the server needs few shards.
    next_offset: i64,
    numbers_only: bool,
}

/// Everything that means something to some parser, and some that does not.
const CHARACTERS: [char; 26] = [
    ',', ' ', '=', '"', '\\', '\'', '#', '_', '\n', '\r', '\t', ':', '/', '.', '{', '}', '%', '-', '+', '0',
    'é', '☃', '🦀', 'a', 'b', 'T',
];

const FLOATS: [f64; 10] = [
    0.0,
    -0.0,
    5e-324,
    -1e-7,
    0.1,
    1e16,
    1e300,
    f64::MAX,
    f64::MIN,
    1.5,
];
const INTEGERS: [i64; 5] = [i64::MIN, i64::MAX, 0, -1, (1 << 53) + 1];

impl RandomPoints {
    pub(crate) fn new(seed: u64) -> Self {
        let mut points = Self {
            random: StdRng::seed_from_u64(seed),
            names: Vec::new(),
            types: HashMap::new(),
            next_offset: 0,
            numbers_only: false,
        };
        points.names = (0..400).map(|_| points.text(1..7)).collect();
        points
    }

    /// With fields that are numbers, all of the kind that every server keeps, and with moments after 1970 in milliseconds.
    pub(crate) fn of_numbers(seed: u64) -> Self {
        Self {
            numbers_only: true,
            ..Self::new(seed)
        }
    }

    /// A point, and what should be stored of it.
    pub(crate) fn next(&mut self) -> (Point, Stored) {
        let index = self.random.random_range(0..self.names.len());
        let measurement = self.names[index].clone();
        let mut point = Point::new(&measurement);
        let mut tags = BTreeMap::new();
        for _ in 0..self.random.random_range(0..4) {
            let (key, mut value) = (self.name(), self.name());
            if self.random.random_ratio(1, 10) {
                value.clear();
            }
            point = point.tag(&key, &value);
            tags.insert(key, value);
        }
        let tags = tags
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (as_written(&key), as_written(&value)))
            .collect();
        let mut fields = BTreeMap::new();
        for _ in 0..self.random.random_range(1..4) {
            // A measurement has few fields: each is a column in every row that is read back.
            let key = (index * 7 + self.random.random_range(0..6)) % self.names.len();
            let key = self.names[key].clone();
            let value = self.value(&measurement, &key);
            point = point.field(&key, value.clone());
            fields.insert(as_written(&key), value);
        }
        let (precision, number, moment) = self.moment();
        let stored = Stored {
            series: (as_written(&measurement), tags),
            moment,
            fields,
        };
        (point.timestamp_in(precision, number), stored)
    }

    /// One of few names, so that series and fields recur.
    fn name(&mut self) -> String {
        self.names.choose(&mut self.random).unwrap().clone()
    }

    fn text(&mut self, length: std::ops::Range<usize>) -> String {
        let length = self.random.random_range(length);
        (0..length)
            .map(|_| *CHARACTERS.choose(&mut self.random).unwrap())
            .collect()
    }

    fn value(&mut self, measurement: &str, key: &str) -> FieldValue {
        let kinds = if self.numbers_only { 1 } else { 4 };
        let kind = self.random.random_range(0..kinds);
        let written = (as_written(measurement), as_written(key));
        match *self.types.entry(written).or_insert(kind) {
            0 if self.numbers_only => {
                FieldValue::Float(f64::from(self.random.random_range(-1_000_000..1_000_000)) / 8.0)
            }
            0 if self.random.random() => FieldValue::Float(*FLOATS.choose(&mut self.random).unwrap()),
            0 => FieldValue::Float(f64::from_bits(self.random.random::<u64>() & !(1 << 62))),
            1 if self.random.random() => FieldValue::Integer(*INTEGERS.choose(&mut self.random).unwrap()),
            1 => FieldValue::Integer(self.random.random()),
            2 => FieldValue::Boolean(self.random.random()),
            // Texts may hold what names may not.
            _ => FieldValue::String(
                self.text(0..20) + ["", "", "\0\u{1b}\u{7f}"].choose(&mut self.random).unwrap(),
            ),
        }
    }

    /// A moment that no other point has, in some unit and in nanoseconds.
    fn moment(&mut self) -> (Precision, i64, i64) {
        const LAST: i64 = 9_223_372_036_854_775_806;
        const NOW: i64 = 1_700_000_000_000_000_000;
        self.next_offset += 1;
        let offset = self.next_offset;
        if self.numbers_only {
            let milliseconds = NOW / 1_000_000 + offset;
            return (Precision::Milliseconds, milliseconds, milliseconds * 1_000_000);
        }
        match self.random.random_range(0..7) {
            0 => (Precision::Nanoseconds, -LAST + offset - 1, -LAST + offset - 1),
            1 => (Precision::Nanoseconds, LAST - offset + 1, LAST - offset + 1),
            2 => (Precision::Nanoseconds, NOW + offset, NOW + offset),
            3 => (Precision::Nanoseconds, -offset, -offset),
            4 => (Precision::Microseconds, -offset, -offset * 1_000),
            5 => (Precision::Milliseconds, offset, offset * 1_000_000),
            _ => (Precision::Seconds, offset, offset * 1_000_000_000),
        }
    }
}

/// A name as it comes back: line breaks and tabs are two characters each.
fn as_written(name: &str) -> String {
    name.replace('\n', r"\n")
        .replace('\r', r"\r")
        .replace('\t', r"\t")
}
