//! The points that are written: the readings again and again, each time at a later moment.

use buffer_influx::{Encoder, Line};

use crate::bodies::Body;
use crate::readings::Reading;

/// What everybody writes in one request.
pub(crate) const BATCH: usize = 5_000;

/// Points with numbers, of which each has a moment of its own.
pub(crate) struct Points {
    readings: Vec<Reading>,
}

impl Points {
    pub(crate) fn new(readings: Vec<Reading>) -> Self {
        Self { readings }
    }

    /// What was read, and when: a second later each time.
    pub(crate) fn get(&self, number: u64) -> (&Reading, i64) {
        const SECOND: i64 = 1_000_000_000;
        let (time, index) = (
            number as usize / self.readings.len(),
            number as usize % self.readings.len(),
        );
        let reading = &self.readings[index];
        (reading, reading.nanoseconds + time as i64 * SECOND)
    }

    /// From raw values, as a program does it.
    pub(crate) fn line(&self, encoder: &Encoder, number: u64) -> Line {
        let (reading, moment) = self.get(number);
        let mut line = encoder.line(reading.measurement);
        for (key, value) in &reading.tags {
            line.tag(key, value);
        }
        for (key, value) in reading.floats {
            line.field(key, value);
        }
        line.field(reading.integer.0, reading.integer.1)
            .field(reading.boolean.0, reading.boolean.1)
            .field(reading.text.0, &reading.text.1);
        line.timestamp_ns(moment).finish().expect("a valid point")
    }

    /// The finished texts of `points` points from `first` on.
    pub(crate) fn bodies(&self, encoder: &Encoder, first: u64, points: u64) -> Vec<Body> {
        let numbers: Vec<u64> = (first..first + points).collect();
        let body = |numbers: &[u64]| {
            let mut body = Vec::new();
            for number in numbers {
                body.extend_from_slice(self.line(encoder, *number).as_bytes());
                body.push(b'\n');
            }
            Body::plain(body)
        };
        numbers.chunks(BATCH).map(body).collect()
    }
}
