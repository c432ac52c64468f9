//! From raw values to the answer of a server on loopback: `cargo bench -p buffer-benches --bench http`.
//!
//! Two threads make points of readings, and they go out in batches of 5,000 until all are answered. The server reads each request to
//! its end and answers 204; it runs in this process, on the same cores. It counts the lines, or, of compressed bodies, the bytes that
//! they had before.
//!
//! The bound sends the same bodies, finished before the clock starts, through the same HTTP client. Compression costs more than
//! everything else together, so with gzip there are two: one sends what was compressed before and is shown, and one has the
//! compression to do, as every client has, and is judged by.
//!
//! CPU is what this process takes on all cores, the server in it and the kernel on its behalf included: it says what of two cores a
//! bound leaves to whoever has more to do.

#[path = "http/bodies.rs"]
mod bodies;
#[path = "http/clients.rs"]
mod clients;
#[path = "http/clock.rs"]
mod clock;
#[path = "http/points.rs"]
mod points;
#[path = "encode/readings.rs"]
mod readings;
#[path = "http/server.rs"]
mod server;
#[path = "http/writing.rs"]
mod writing;

use std::convert::identity;

use buffer_benches::{Bench, Contender};
use buffer_influx::{Client, Dialect, Encoder, Gzip, V1};
use tokio::runtime::{Builder, Runtime};

use crate::bodies::{Body, send};
use crate::clock::Clock;
use crate::points::Points;
use crate::server::Server;

const POINTS: u64 = 200_000;

/// What all contenders are given.
struct Setting {
    runtime: Runtime,
    server: Server,
    points: Points,
    /// The finished texts.
    bodies: Vec<Body>,
}

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let points = Points::new(readings::plain());
    let bodies = points.bodies(&Encoder::new(Dialect::Influx1), 0, POINTS);
    let setting = Setting {
        runtime: runtime.expect("a runtime can be built"),
        server: Server::start(),
        points,
        bodies,
    };
    let mut bench = Bench::new(
        "http",
        "From values to the answer, over loopback HTTP",
        "ns per point",
    );
    plain(&mut bench, &setting);
    gzip(&mut bench, &setting);
    bench.finish();
}

fn plain(bench: &mut Bench, setting: &Setting) {
    let Setting {
        runtime,
        server,
        points,
        ..
    } = setting;
    let ours = client(server, Gzip::Never);
    let influxdb2 = influxdb2::ClientBuilder::new(&server.url, "org", "token").build();
    let influxdb2 = influxdb2.expect("the settings make sense");
    let influxdb = influxdb::Client::new(&server.url, "db");
    let finished = sender(setting, setting.bodies.clone(), identity);
    let mut contenders = [
        Contender::new("buffer-influx", || {
            setting.lines(|| setting.write(&ours, clock::wall))
        }),
        Contender::new("bound: finished bodies", || {
            setting.lines(|| finished(clock::wall))
        })
        .at_most(1.25),
        Contender::new("influxdb2", || {
            setting.lines(|| clients::influxdb2(runtime, &influxdb2, points, POINTS))
        })
        .at_most(0.5),
        Contender::new("influxdb", || {
            setting.lines(|| clients::influxdb(runtime, &influxdb, points, POINTS))
        })
        .at_most(0.5),
    ];
    bench.load("plain", &mut contenders);
    let mut contenders = [
        Contender::new("buffer-influx", || {
            setting.lines(|| setting.write(&ours, clock::cpu))
        }),
        Contender::new("bound: finished bodies", || {
            setting.lines(|| finished(clock::cpu))
        }),
    ];
    bench.load("plain, CPU", &mut contenders);
}

fn gzip(bench: &mut Bench, setting: &Setting) {
    let Setting {
        runtime,
        server,
        points,
        ..
    } = setting;
    let ours = client(server, Gzip::Above(0));
    let influxdb2 = influxdb2::ClientBuilder::new(&server.url, "org", "token")
        .gzip(true)
        .build();
    let influxdb2 = influxdb2.expect("the settings make sense");
    let compressed = sender(setting, setting.bodies.clone(), Body::packed);
    let packed = setting.bodies.iter().cloned().map(Body::packed).collect();
    let finished = sender(setting, packed, identity);
    let influxdb2_bytes = clients::influxdb2_bytes(points, POINTS);
    let mut contenders = [
        Contender::new("buffer-influx", || {
            setting.packed(setting.bytes(), || setting.write(&ours, clock::wall))
        }),
        Contender::new("bound: finished texts, compressed and sent", || {
            setting.packed(setting.bytes(), || compressed(clock::wall))
        })
        .at_most(1.25),
        Contender::new("compressed bodies", || {
            setting.packed(setting.bytes(), || finished(clock::wall))
        }),
        Contender::new("influxdb2", || {
            setting.packed(influxdb2_bytes, || {
                clients::influxdb2(runtime, &influxdb2, points, POINTS)
            })
        })
        .at_most(0.5),
    ];
    bench.load("gzip", &mut contenders);
    let mut contenders = [
        Contender::new("buffer-influx", || {
            setting.packed(setting.bytes(), || setting.write(&ours, clock::cpu))
        }),
        Contender::new("bound: finished texts, compressed and sent", || {
            setting.packed(setting.bytes(), || compressed(clock::cpu))
        }),
    ];
    bench.load("gzip, CPU", &mut contenders);
}

fn client(server: &Server, gzip: Gzip) -> Client {
    let client = Client::builder(&server.url, V1::new("db")).gzip(gzip);
    client.build().expect("the settings make sense")
}

/// Sends bodies, of which `finish` does what is left to do; says how many seconds of a clock it took.
fn sender<'a>(
    setting: &'a Setting,
    bodies: Vec<Body>,
    finish: fn(Body) -> Body,
) -> impl Fn(Clock) -> f64 + 'a {
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client can be built");
    let url = format!("{}/write?db=db&precision=ns", setting.server.url);
    // Copied before the clock starts.
    move |clock| send(&setting.runtime, &client, &url, bodies.clone(), finish, clock)
}

impl Setting {
    fn write(&self, client: &Client, clock: Clock) -> f64 {
        writing::write(&self.runtime, client, &self.points, 0, POINTS, clock)
    }

    /// Of all finished texts.
    fn bytes(&self) -> u64 {
        self.bodies.iter().map(|body| body.bytes.len() as u64).sum()
    }

    /// Nanoseconds per point of what sends all points in plain bodies.
    fn lines(&self, send: impl FnOnce() -> f64) -> f64 {
        let seconds = send();
        assert_eq!(self.server.take_counts(), (POINTS, 0));
        seconds * 1e9 / POINTS as f64
    }

    /// Nanoseconds per point of what sends all points in compressed bodies, of so many bytes before.
    fn packed(&self, bytes: u64, send: impl FnOnce() -> f64) -> f64 {
        let seconds = send();
        assert_eq!(self.server.take_counts(), (0, bytes));
        seconds * 1e9 / POINTS as f64
    }
}
