//! Ours: a reading from its raw values to a finished line.

use buffer_influx::{Encoder, LineBuilder, SeriesKey};

use crate::readings::{HOSTS, Reading};

/// By way of the builder.
pub(crate) fn begin<'a>(encoder: &'a Encoder, reading: &Reading) -> LineBuilder<'a> {
    let mut line = encoder.line(reading.measurement);
    for (key, value) in &reading.tags {
        line.tag(key, value);
    }
    line
}

/// A key for each series, which the readings take by turns.
pub(crate) fn keys(encoder: &Encoder, readings: &[Reading]) -> Vec<SeriesKey> {
    let first_of_each = readings.iter().take(HOSTS);
    first_of_each.map(|reading| series(encoder, reading)).collect()
}

/// The key of the reading's series.
fn series(encoder: &Encoder, reading: &Reading) -> SeriesKey {
    let tags = reading.tags.iter().map(|(key, value)| (*key, value.as_str()));
    encoder.series(reading.measurement, tags).expect("a valid series")
}

/// Sets what follows the tags.
pub(crate) fn set_fields<'a, 'b>(
    line: &'b mut LineBuilder<'a>,
    reading: &Reading,
) -> &'b mut LineBuilder<'a> {
    for (key, value) in reading.floats {
        line.field(key, value);
    }
    line.field(reading.integer.0, reading.integer.1)
        .field(reading.boolean.0, reading.boolean.1)
        .field(reading.text.0, &reading.text.1)
        .timestamp_ns(reading.nanoseconds)
}
