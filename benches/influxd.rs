//! Into a real InfluxDB 1.6.7: `cargo bench -p buffer-benches --bench influxd`.
//!
//! Two threads make points of readings of a hundred series, which a writer hands over in batches of 5,000 until all are stored; the
//! server is a process of its own on the same cores. Each round writes points of later moments. The bound blasts the server with
//! finished bodies on two connections. CPU is what this process takes, with the kernel on its behalf; its bound is the sum of what
//! can't be left out: to encode the points, to compress the text, and to copy the result once. Not in it is what the client takes to
//! send that, which is shown beside.
//!
//! It needs the program `influxd`: `apt-get install influxdb` on Debian.

#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/clock.rs"]
mod clock;
#[path = "http/points.rs"]
mod points;
#[path = "encode/readings.rs"]
mod readings;
#[path = "influxd/server.rs"]
mod server;
#[path = "http/writing.rs"]
mod writing;

use std::cell::Cell;
use std::convert::identity;
use std::hint::black_box;

use buffer_benches::{Bench, Contender};
use buffer_influx::{Client, Dialect, Encoder, Gzip, V1};
use tokio::runtime::{Builder, Runtime};

use crate::bodies::{Body, send};
use crate::clock::Clock;
use crate::points::Points;
use crate::server::InfluxServer;

const POINTS: u64 = 200_000;

/// What all contenders are given.
struct Setting {
    runtime: Runtime,
    server: InfluxServer,
    points: Points,
    /// The number of the next point that nobody has written.
    next: Cell<u64>,
}

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be built");
    let Some(server) = InfluxServer::start(&runtime) else {
        eprintln!("skipped: there is no `influxd`; on Debian: apt-get install influxdb");
        return;
    };
    let setting = Setting {
        runtime,
        server,
        points: Points::new(readings::plain()),
        next: Cell::new(0),
    };
    let created = setting
        .runtime
        .block_on(setting.client(Gzip::Never).create_database());
    created.expect("the server creates a database");
    let mut bench = Bench::new("influxd", "Into InfluxDB 1.6.7", "ns per point");
    for (name, gzip) in [("plain", Gzip::Never), ("gzip", Gzip::Above(0))] {
        setting.time(&mut bench, name, gzip);
        setting.cpu(&mut bench, &format!("{name}, CPU of the client"), gzip);
    }
    setting.check();
    bench.finish();
}

impl Setting {
    fn client(&self, gzip: Gzip) -> Client {
        let client = Client::builder(&self.server.url, V1::new("bench"))
            .no_proxy()
            .gzip(gzip);
        client.build().expect("the settings make sense")
    }

    /// Until everything is stored.
    fn time(&self, bench: &mut Bench, name: &str, gzip: Gzip) {
        let (ours, finished) = (self.client(gzip), self.sender(gzip));
        let mut contenders = [
            Contender::new("buffer-influx", || per_point(self.write(&ours, clock::wall))),
            Contender::new("bound: finished bodies", || per_point(finished(clock::wall)))
                // Nine tenths of the points in a second.
                .at_most(1.11),
        ];
        bench.load(name, &mut contenders);
    }

    fn cpu(&self, bench: &mut Bench, name: &str, gzip: Gzip) {
        let (ours, encoder) = (self.client(gzip), Encoder::new(Dialect::Influx1));
        let finished = self.sender(gzip);
        let mut contenders = [
            Contender::new("buffer-influx", || per_point(self.write(&ours, clock::cpu))),
            Contender::new("bound: encode, gzip and one copy", || {
                let begin = clock::cpu();
                self.make_bodies(&encoder, self.next.get(), gzip);
                per_point(clock::cpu() - begin)
            })
            .at_most(1.3),
            Contender::new("finished bodies, sent", || per_point(finished(clock::cpu))),
        ];
        bench.load(name, &mut contenders);
    }

    /// Sends the next points in finished bodies; says how many seconds of a clock it took.
    fn sender(&self, gzip: Gzip) -> impl Fn(Clock) -> f64 {
        let encoder = Encoder::new(Dialect::Influx1);
        let client = reqwest::Client::builder().no_proxy().build();
        let client = client.expect("a client can be built");
        let url = format!("{}/write?db=bench&precision=ns", self.server.url);
        move |clock| {
            let texts = self.points.bodies(&encoder, self.take_numbers(), POINTS);
            let bodies = texts.into_iter().map(|text| finished(text, gzip)).collect();
            send(&self.runtime, &client, &url, bodies, identity, clock)
        }
    }

    fn write(&self, client: &Client, clock: Clock) -> f64 {
        let first = self.take_numbers();
        writing::write(&self.runtime, client, &self.points, first, POINTS, clock)
    }

    fn take_numbers(&self) -> u64 {
        self.next.replace(self.next.get() + POINTS)
    }

    /// Batch by batch, as a writer does it.
    fn make_bodies(&self, encoder: &Encoder, first: u64, gzip: Gzip) {
        for first in (first..first + POINTS).step_by(points::BATCH) {
            for body in self.points.bodies(encoder, first, points::BATCH as u64) {
                let body = finished(body, gzip);
                black_box(body.clone());
            }
        }
    }

    /// Every point of every round is there.
    fn check(&self) {
        let client = self.client(Gzip::Never);
        let counted = self.runtime.block_on(client.query("SELECT count(load) FROM cpu"));
        let counted = counted.expect("the server counts");
        let series = counted.series().next().expect("there are points");
        assert_eq!(series.values[0][1], self.next.get());
    }
}

fn finished(text: Body, gzip: Gzip) -> Body {
    match gzip {
        Gzip::Never => text,
        _ => text.packed(),
    }
}

fn per_point(seconds: f64) -> f64 {
    seconds * 1e9 / POINTS as f64
}
