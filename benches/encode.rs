//! What it costs to make a reading a line, from raw values to finished text: `cargo bench -p buffer-benches --bench encode`.
//!
//! A reading has four tags and six fields, three of them floats, and a timestamp; there are a thousand different ones of a hundred
//! series. Those of the second load have something to escape in every name and text. All contenders that write InfluxDB's form are
//! checked to write what the bound writes. With the argument `once line` or `once series`, or the same with `escaped` behind it, it
//! encodes 10,000 lines and ends, for an instruction counter.

#[path = "encode/by_hand.rs"]
mod by_hand;
#[path = "encode/contenders.rs"]
mod contenders;
#[path = "encode/readings.rs"]
mod readings;
#[path = "encode/special.rs"]
mod special;

use std::hint::black_box;
use std::time::Instant;

use buffer_benches::{Bench, Contender};
use buffer_influx::{Dialect, Encoder, SeriesKey};
use questdb::ingress::{Buffer, ProtocolVersion};

use crate::contenders as by;
use crate::readings::{HOSTS, Reading};

/// How often all readings are encoded in a round.
const TIMES: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["once", what] => once(what, &readings::plain()),
        ["once", what, "escaped"] => once(what, &special::special()),
        _ => compare(),
    }
}

fn compare() {
    let mut bench = Bench::new("encode", "Encode", "ns per line");
    load(&mut bench, "plain", &readings::plain(), by::questdb);
    // Its check of names refuses commas.
    load(
        &mut bench,
        "all to escape",
        &special::special(),
        by::questdb_unchecked,
    );
    bench.finish();
}

fn load(bench: &mut Bench, name: &str, readings: &[Reading], questdb: fn(&mut Buffer, &Reading)) {
    let encoder = Encoder::new(Dialect::Influx1);
    let keys = keys(&encoder, readings);
    check(&encoder, readings, &keys);

    let bound = || {
        let mut text = String::new();
        let bound = each(readings, move |reading| {
            text.clear();
            by_hand::push_line(&mut text, reading);
            black_box(&text);
        });
        Contender::new("bound: itoa, zmij and a table by hand", bound)
    };
    let questdb = || {
        let mut rows = Buffer::new(ProtocolVersion::V1);
        let questdb = each(readings, move |reading| {
            rows.clear();
            questdb(&mut rows, reading);
            black_box(&rows);
        });
        Contender::new("questdb-rs, text", questdb)
    };
    let mut body = Vec::new();
    let line = each(readings, |reading| {
        let mut line = by::begin(&encoder, reading);
        black_box(by::set_fields(&mut line, reading).bytes().expect("a valid point"));
    });
    let own_line = each(readings, |reading| {
        let mut line = by::begin(&encoder, reading);
        black_box(
            by::set_fields(&mut line, reading)
                .finish()
                .expect("a valid point"),
        );
    });
    let point = each(readings, |reading| {
        black_box(by::point(&encoder, reading));
    });
    let influxdb2 = each(readings, |reading| {
        body.clear();
        by::influxdb2(&mut body, reading);
        black_box(&body);
    });
    let line_protocol = each(readings, |reading| {
        black_box(by::influxdb_line_protocol(reading));
    });
    let influxdb = each(readings, |reading| {
        black_box(by::influxdb(reading));
    });
    let mut contenders = [
        Contender::new("buffer-influx", line),
        bound().at_most(1.1),
        questdb().at_most(0.5),
        Contender::new("influxdb2", influxdb2).at_most(0.5),
        Contender::new("influxdb-line-protocol", line_protocol).at_most(0.5),
        Contender::new("influxdb", influxdb).at_most(0.5),
        Contender::new("ours, as a Line", own_line),
        Contender::new("ours, by way of a Point", point),
    ];
    bench.load(name, &mut contenders);

    let mut next = keys.iter().cycle();
    let series = each(readings, |reading| {
        let mut line = next.next().expect("it goes round").line();
        black_box(by::set_fields(&mut line, reading).bytes().expect("a valid point"));
    });
    let mut contenders = [
        Contender::new("buffer-influx", series),
        bound(),
        questdb().at_most(0.3),
    ];
    bench.load(&format!("{name}, of a known series"), &mut contenders);
}

/// Encodes all readings some times, and says how many nanoseconds each takes.
fn each<'a>(readings: &'a [Reading], mut encode: impl FnMut(&'a Reading) + 'a) -> impl FnMut() -> f64 + 'a {
    move || {
        let begin = Instant::now();
        for _ in 0..TIMES {
            readings.iter().for_each(&mut encode);
        }
        begin.elapsed().as_nanos() as f64 / (TIMES * readings.len()) as f64
    }
}

/// A key for each series, which the readings take by turns.
fn keys(encoder: &Encoder, readings: &[Reading]) -> Vec<SeriesKey> {
    let first_of_each = readings.iter().take(HOSTS);
    first_of_each
        .map(|reading| by::series(encoder, reading))
        .collect()
}

/// Everybody who writes InfluxDB's form writes what the bound does.
fn check(encoder: &Encoder, readings: &[Reading], keys: &[SeriesKey]) {
    for (reading, key) in readings.iter().zip(keys.iter().cycle()) {
        let mut bound = String::new();
        by_hand::push_line(&mut bound, reading);
        let mut line = by::begin(encoder, reading);
        assert_eq!(by::set_fields(&mut line, reading).bytes(), Ok(bound.as_bytes()));
        assert_eq!(
            by::set_fields(&mut key.line(), reading).bytes(),
            Ok(bound.as_bytes())
        );
        assert_eq!(by::point(encoder, reading).as_str(), bound);
    }
}

/// Encodes the same lines in every run, after one that allocates what is kept.
fn once(what: &str, readings: &[Reading]) {
    let encoder = Encoder::new(Dialect::Influx1);
    let keys = keys(&encoder, readings);
    check(&encoder, readings, &keys);
    for _ in 0..10 {
        match what {
            "series" => encode_series(readings, &keys),
            _ => encode_lines(readings, &encoder),
        }
    }
}

/// What the instruction counter looks at.
#[inline(never)]
fn encode_lines(readings: &[Reading], encoder: &Encoder) {
    for reading in readings {
        let mut line = by::begin(encoder, reading);
        black_box(by::set_fields(&mut line, reading).bytes().expect("a valid point"));
    }
}

/// What the instruction counter looks at.
#[inline(never)]
fn encode_series(readings: &[Reading], keys: &[SeriesKey]) {
    for (reading, key) in readings.iter().zip(keys.iter().cycle()) {
        black_box(
            by::set_fields(&mut key.line(), reading)
                .bytes()
                .expect("a valid point"),
        );
    }
}
