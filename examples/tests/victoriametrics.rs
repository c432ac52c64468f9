//! Everything against a real VictoriaMetrics, which takes the requests of InfluxDB 1 and reads the lines in its own way.
//!
//! Without `victoria-metrics` every test here passes and one line says so; with `BUFFER_REQUIRE_SERVERS=1` it fails instead.

mod random_points;
mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buffer_core::Health;
use buffer_influx::{
    Client, Dialect, Encoder, FieldValue, InfluxRecorder, InfluxSink, Point, PointError, Udp, UdpWriter, V1,
    V2, V3, WriteError, WritePointError, Writer,
};
use tokio::time::sleep;

use crate::random_points::{RandomPoints, Stored};
use crate::servers::is_installed;
use crate::servers::port::free_port;
use crate::servers::victoria_metrics::{PROGRAM, VictoriaMetrics};

/// The tests that need a server. Each asks for it by its name, which must be here.
const TESTS: [&str; 9] = [
    "a_connection_that_was_idle_for_too_long_costs_no_retry",
    "a_line_that_is_written_twice_is_stored_once_where_duplicates_are_dropped",
    "a_path_that_is_not_there_holds_the_points",
    "a_server_that_is_killed_and_comes_back_has_every_point_once",
    "deltas_in_quick_succession_add_up_where_duplicates_are_dropped",
    "points_are_sent_in_datagrams_and_stored",
    "points_wait_for_a_busy_server",
    "points_wait_for_the_right_to_write",
    "random_points_come_back_as_they_were",
];

/// So that a sample with the moment of another replaces it; without this, VictoriaMetrics keeps both.
const DROPS_DUPLICATES: &str = "-dedup.minScrapeInterval=1ms";

const OFTEN: Duration = Duration::from_millis(10);

/// A server for the test `name`, or none if none is installed.
fn server_for(name: &str, arguments: &[&str]) -> Option<VictoriaMetrics> {
    assert!(TESTS.contains(&name), "{name} is missing among TESTS");
    is_installed(PROGRAM, "victoria-metrics", &TESTS).then(|| VictoriaMetrics::start(arguments))
}

fn target() -> V1 {
    V1::new("db").dialect(Dialect::VictoriaMetrics)
}

fn writer(client: Client) -> Writer {
    Writer::builder(client.encoder())
        .buffer(|buffer| {
            buffer
                .partitions(1)
                .flush_interval(OFTEN)
                .backoff(OFTEN, OFTEN)
                .drain_timeout(Duration::from_secs(1))
        })
        .build(InfluxSink::new(client))
        .unwrap()
}

fn client(server: &VictoriaMetrics, target: V1) -> Client {
    Client::builder(&server.url(), target).build().unwrap()
}

/// A moment after 1970, which the export begins with.
fn point(n: i64) -> Point {
    Point::new("m")
        .field("v", n)
        .timestamp_ns(1_700_000_000_000_000_000 + n * 1_000_000)
}

/// Writes a point and waits until there was more than a batch's retries; returns what the writer's health says.
async fn held(writer: &Writer) -> String {
    writer.write(point(1)).await.unwrap();
    while writer.ledger().retried < 10 {
        assert_eq!(writer.ledger().dropped.total(), 0);
        sleep(OFTEN).await;
    }
    let ledger = writer.ledger();
    assert_eq!((ledger.pending, ledger.dropped.total()), (1, 0));
    match writer.health() {
        Health::Held { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// It keeps numbers as floats with a precision of its own, and no texts, so the fields are eighths.
#[tokio::test]
async fn random_points_come_back_as_they_were() {
    const SEED: u64 = 20_260_215;
    const ACCEPTED: usize = 20_000;
    let Some(server) = server_for("random_points_come_back_as_they_were", &[]) else {
        return;
    };
    let writer = writer(client(&server, target()));
    let mut points = RandomPoints::of_numbers(SEED);
    let (mut expected, mut accepted, mut refused) = (BTreeMap::new(), 0, 0);
    while accepted < ACCEPTED {
        let (
            point,
            Stored {
                series: (measurement, tags),
                moment,
                fields,
            },
        ) = points.next();
        match writer.write(point).await {
            Ok(()) => accepted += 1,
            Err(WritePointError::Invalid { .. }) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        for (key, value) in fields {
            let FieldValue::Float(value) = value else {
                panic!("{value:?}")
            };
            let name = format!("{measurement}_{key}");
            expected.insert((name, tags.clone(), moment / 1_000_000), value);
        }
    }
    assert!(refused > 0, "{refused}");
    writer.flush().await;
    let ledger = writer.close().await.ledger;
    assert_eq!(ledger.delivered, ledger.accepted, "{ledger:?}");

    let mut stored = BTreeMap::new();
    for series in server.export() {
        let mut labels: BTreeMap<String, String> = serde_json::from_value(series["metric"].clone()).unwrap();
        let name = labels.remove("__name__").unwrap_or_default();
        assert_eq!(labels.remove("db").as_deref(), Some("db"));
        let values = series["values"].as_array().unwrap();
        let moments = series["timestamps"].as_array().unwrap();
        for (value, moment) in values.iter().zip(moments) {
            let key = (name.clone(), labels.clone(), moment.as_i64().unwrap());
            stored.insert(key, value.as_f64().unwrap());
        }
    }
    for (key, value) in &expected {
        assert_eq!(stored.get(key), Some(value), "seed {SEED}: {key:?}");
    }
    let (expected, stored): (BTreeSet<_>, BTreeSet<_>) = (expected.keys().collect(), stored.keys().collect());
    assert_eq!(
        stored.difference(&expected).collect::<Vec<_>>(),
        Vec::<&&_>::new()
    );
}

/// Mostly the client sees in time that the server has closed the connection; if it does not, it sends once more.
#[tokio::test]
async fn a_connection_that_was_idle_for_too_long_costs_no_retry() {
    const NAME: &str = "a_connection_that_was_idle_for_too_long_costs_no_retry";
    let Some(server) = server_for(NAME, &["-http.idleConnTimeout=300ms"]) else {
        return;
    };
    let client = client(&server, target());
    let line = |n| client.encoder().encode(&point(n)).unwrap();
    for n in 0..8 {
        client.write(&[line(n)]).await.unwrap();
        // Around the moment at which the server closes the connection.
        sleep(Duration::from_millis(290 + 5 * n as u64)).await;
    }
    assert_eq!(server.values().len(), 8);
}

#[tokio::test]
async fn points_wait_for_the_right_to_write() {
    let arguments = ["-httpAuth.username=user", "-httpAuth.password=hidden"];
    let Some(server) = server_for("points_wait_for_the_right_to_write", &arguments) else {
        return;
    };
    let reason = held(&writer(client(&server, target()))).await;
    assert!(reason.contains("401"), "{reason}");
    let reason = held(&writer(client(&server, target().basic_auth("user", "wrong")))).await;
    assert!(reason.contains("401") && !reason.contains("wrong"), "{reason}");
    let writer = writer(client(&server, target().basic_auth("user", "hidden")));
    writer.write(point(1)).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
}

#[tokio::test]
async fn points_wait_for_a_busy_server() {
    let arguments = ["-maxConcurrentInserts=1", "-insert.maxQueueDuration=50ms"];
    let Some(server) = server_for("points_wait_for_a_busy_server", &arguments) else {
        return;
    };
    let writer = writer(client(&server, target()));
    let half = server.half_a_write("/write?db=db");
    let reason = held(&writer).await;
    assert!(reason.contains("503"), "{reason}");
    drop(half);
    assert_eq!(writer.flush().await.delivered, 1);
    assert_eq!(server.values().len(), 1);
}

/// It answers 400 to a path that it does not know, which is no bad point; it knows the paths of versions 1 and 2.
#[tokio::test]
async fn a_path_that_is_not_there_holds_the_points() {
    let Some(server) = server_for("a_path_that_is_not_there_holds_the_points", &[]) else {
        return;
    };
    let wrong = Client::builder(&server.url(), V3::new("db", "token"))
        .build()
        .unwrap();
    let reason = held(&writer(wrong)).await;
    assert!(reason.contains("unsupported path requested"), "{reason}");

    let version_2 = Client::builder(&server.url(), V2::new("org", "bucket", "token"))
        .build()
        .unwrap();
    let base = Client::builder(&format!("{}/influx", server.url()), target())
        .build()
        .unwrap();
    for (n, client) in [version_2, base].into_iter().enumerate() {
        let line = client.encoder().encode(&point(n as i64)).unwrap();
        client.write(&[line]).await.unwrap();
    }
    assert_eq!(server.values().len(), 2);

    // What it would refuse as a whole, or lose without a word, never gets there.
    let encoder = Encoder::new(Dialect::VictoriaMetrics);
    let long = Point::new("m").field("v", "x".repeat(600_000));
    assert!(matches!(
        encoder.encode(&long),
        Err(PointError::LineTooLong { .. })
    ));
    let long = Encoder::new(Dialect::Influx1)
        .encode(&long.timestamp_ns(1))
        .unwrap();
    match client(&server, target()).write(&[long]).await {
        Err(WriteError::Refused(refusal)) => {
            assert!(refusal.message().contains("too long line"), "{refusal}")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_has_every_point_once() {
    const NAME: &str = "a_server_that_is_killed_and_comes_back_has_every_point_once";
    const POINTS: i64 = 20_000;
    let Some(mut server) = server_for(NAME, &[]) else {
        return;
    };
    let writer = writer(client(&server, target()));
    for n in 0..POINTS {
        if n == POINTS / 2 {
            // A kill costs what is not on its disk; this test is about what comes afterwards.
            writer.flush().await;
            server.end();
            server.restart();
            server.kill();
        }
        if n == POINTS / 2 + 1_000 {
            while writer.health() == Health::Well {
                sleep(OFTEN).await;
            }
            server.restart();
        }
        writer.write(point(n)).await.unwrap();
    }
    writer.flush().await;
    let ledger = writer.ledger();
    assert_eq!((ledger.delivered, ledger.dropped.total()), (POINTS as u64, 0));
    assert!(ledger.retried > 0);
    assert_eq!(server.values().len(), POINTS as usize);
}

#[tokio::test]
async fn points_are_sent_in_datagrams_and_stored() {
    const POINTS: i64 = 1_000;
    let port = free_port();
    let listen = format!("-influxListenAddr=127.0.0.1:{port}");
    let Some(server) = server_for("points_are_sent_in_datagrams_and_stored", &[&listen]) else {
        return;
    };
    let target = Udp::new(format!("127.0.0.1:{port}")).dialect(Dialect::VictoriaMetrics);
    let writer = UdpWriter::builder(target).build().unwrap();
    for n in 0..POINTS {
        writer.write(point(n)).await.unwrap();
    }
    let summary = writer.close().await;
    assert_eq!((summary.points.sent, summary.unsent.len()), (POINTS as u64, 0));
    // The server stores datagrams after a while; if it never does, the test program is stopped.
    while server.values().len() != POINTS as usize {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_line_that_is_written_twice_is_stored_once_where_duplicates_are_dropped() {
    const TEST: &str = "a_line_that_is_written_twice_is_stored_once_where_duplicates_are_dropped";
    for (arguments, stored) in [(&[][..], 2), (&[DROPS_DUPLICATES][..], 1)] {
        let Some(server) = server_for(TEST, arguments) else {
            return;
        };
        let client = client(&server, target());
        let line = client.encoder().encode(&point(1)).unwrap();
        for _ in 0..2 {
            client.write(std::slice::from_ref(&line)).await.unwrap();
        }
        assert_eq!(server.values().len(), stored, "{arguments:?}");
    }
}

/// It has failed on stamps that differ by less than the server can tell: it kept one delta of those within a millisecond.
#[tokio::test]
async fn deltas_in_quick_succession_add_up_where_duplicates_are_dropped() {
    const TEST: &str = "deltas_in_quick_succession_add_up_where_duplicates_are_dropped";
    let Some(server) = server_for(TEST, &[DROPS_DUPLICATES]) else {
        return;
    };
    let client = client(&server, target());
    let (recorder, handle) = InfluxRecorder::builder(client.encoder())
        .build(InfluxSink::new(client))
        .unwrap();
    let counter = metrics::with_local_recorder(&recorder, || metrics::counter!("quick"));
    for _ in 0..200 {
        counter.increment(1);
        assert_eq!(handle.flush().await.delivered, 1);
    }
    assert_eq!(server.values().iter().sum::<f64>(), 200.0);
    let _ = handle.close().await;
}
