//! Lines, from raw values to finished text.

use std::hint::black_box;

use buffer_influx::{Dialect, Encoder, SeriesKey};

use crate::ours;
use crate::readings::Reading;

/// The first time allocates what is kept.
const TIMES: usize = 10;

pub(crate) fn run(readings: &[Reading]) {
    let encoder = Encoder::new(Dialect::Influx1);
    (0..TIMES).for_each(|_| encode_lines(readings, &encoder));
}

pub(crate) fn run_with_series(readings: &[Reading]) {
    let encoder = Encoder::new(Dialect::Influx1);
    let keys = ours::keys(&encoder, readings);
    (0..TIMES).for_each(|_| encode_series(readings, &keys));
}

/// What the instruction counter looks at.
#[inline(never)]
fn encode_lines(readings: &[Reading], encoder: &Encoder) {
    for reading in readings {
        let mut line = ours::begin(encoder, reading);
        black_box(
            ours::set_fields(&mut line, reading)
                .bytes()
                .expect("a valid point"),
        );
    }
}

/// What the instruction counter looks at.
#[inline(never)]
fn encode_series(readings: &[Reading], keys: &[SeriesKey]) {
    for (reading, key) in readings.iter().zip(keys.iter().cycle()) {
        let mut line = key.line();
        black_box(
            ours::set_fields(&mut line, reading)
                .bytes()
                .expect("a valid point"),
        );
    }
}
