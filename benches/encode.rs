//! What it costs to make a reading a line, from raw values to finished text: `cargo bench -p buffer-benches --bench encode`.
//!
//! A reading has four tags and six fields, three of them floats, and a timestamp; there are a thousand different ones of a hundred
//! series. Those of the second load have something to escape in every name and text. All contenders that write InfluxDB's form are
//! checked to write what the bound writes.

#[path = "encode/by_hand.rs"]
mod by_hand;
#[path = "encode/contenders.rs"]
mod contenders;
#[path = "encode/ours.rs"]
mod ours;
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
use crate::readings::Reading;

/// How often all readings are encoded in a round.
const TIMES: usize = 100;

fn main() {
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
    let keys = ours::keys(&encoder, readings);
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
        let mut line = ours::begin(&encoder, reading);
        black_box(
            ours::set_fields(&mut line, reading)
                .bytes()
                .expect("a valid point"),
        );
    });
    let own_line = each(readings, |reading| {
        let mut line = ours::begin(&encoder, reading);
        black_box(
            ours::set_fields(&mut line, reading)
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
        black_box(
            ours::set_fields(&mut line, reading)
                .bytes()
                .expect("a valid point"),
        );
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

/// Everybody who writes InfluxDB's form writes what the bound does.
fn check(encoder: &Encoder, readings: &[Reading], keys: &[SeriesKey]) {
    for (reading, key) in readings.iter().zip(keys.iter().cycle()) {
        let mut bound = String::new();
        by_hand::push_line(&mut bound, reading);
        let mut line = ours::begin(encoder, reading);
        assert_eq!(ours::set_fields(&mut line, reading).bytes(), Ok(bound.as_bytes()));
        assert_eq!(
            ours::set_fields(&mut key.line(), reading).bytes(),
            Ok(bound.as_bytes())
        );
        assert_eq!(by::point(encoder, reading).as_str(), bound);
    }
}
