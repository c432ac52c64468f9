//! What the server is too small or too busy for.

use std::time::Duration;

use buffer_core::{DropReason, Health};
use buffer_influx::{Client, Gzip, InfluxSink, Point, V1, Writer};
use tokio::time::sleep;

use crate::reports::Reports;
use crate::servers::influxd::Switches;
use crate::{server_with, writer};

const OFTEN: Duration = Duration::from_millis(10);

fn http(lines: &str) -> Switches {
    Switches {
        http: lines.to_owned(),
        ..Switches::default()
    }
}

fn data(lines: &str) -> Switches {
    Switches {
        data: lines.to_owned(),
        ..Switches::default()
    }
}

/// The server answers 413 before it has read a body, and closes: the sender of a large one sees a lost connection as often.
#[tokio::test]
async fn a_write_above_the_server_s_limit_is_split_and_a_line_above_it_is_refused() {
    const NAME: &str = "a_write_above_the_server_s_limit_is_split_and_a_line_above_it_is_refused";
    const LINES: i64 = 10_000;
    let Some(server) = server_with(NAME, &http("max-body-size = 100000")) else {
        return;
    };
    server.create_database("small");
    let reports = Reports::default();
    let client = Client::builder(&server.url(), V1::new("small"))
        .gzip(Gzip::Never)
        .build()
        .unwrap();
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| {
            let hour = Duration::from_secs(3_600);
            let buffer = buffer
                .partitions(1)
                .batch_size(LINES as usize + 1)
                .flush_interval(hour);
            reports.of(buffer.backoff(OFTEN, OFTEN).flush_jitter(Duration::ZERO))
        })
        .build(InfluxSink::new(client))
        .unwrap();
    for n in 0..LINES {
        let point = Point::new("m")
            .field("v", n)
            .field("text", "x".repeat(200))
            .timestamp_ns(n);
        writer.write(point).await.unwrap();
    }
    let large = Point::new("large")
        .field("text", "x".repeat(100_000))
        .timestamp_ns(1);
    writer.write(large).await.unwrap();
    let report = writer.flush().await;
    assert_eq!(
        (report.delivered, report.dropped.count(DropReason::Rejected)),
        (LINES as u64, 1),
        "{report:?}"
    );
    let [(line, cause)] = &reports.rejected()[..] else {
        panic!()
    };
    assert!(line.starts_with("large ") && cause.status() == 413, "{cause}");
    assert_eq!(server.count("small", "v"), LINES as u64);
}

#[tokio::test]
async fn points_wait_for_a_full_write_queue() {
    let switches = http(
        "max-concurrent-write-limit = 1\nmax-enqueued-write-limit = 1\nenqueued-write-timeout = 50000000",
    );
    let Some(server) = server_with("points_wait_for_a_full_write_queue", &switches) else {
        return;
    };
    server.create_database("busy");
    let writer = writer(&server.url(), "busy", |buffer| {
        buffer.partitions(1).flush_interval(OFTEN).backoff(OFTEN, OFTEN)
    });
    let half = server.half_a_write("/write?db=busy");
    writer.write(Point::new("m").field("v", 1)).await.unwrap();
    while writer.ledger().retried < 10 {
        assert_eq!(writer.ledger().dropped.total(), 0);
        sleep(OFTEN).await;
    }
    assert_eq!(writer.ledger().pending, 1);
    let Health::Held { reason, .. } = writer.health() else {
        panic!("well")
    };
    assert!(
        reason.contains("503") && reason.contains("request throttled"),
        "{reason}"
    );
    drop(half);
    assert_eq!(writer.flush().await.delivered, 1);
    assert_eq!(server.count("busy", "v"), 1);
}

/// Its cache is emptied when nothing was stored for a second.
#[tokio::test]
async fn points_wait_until_a_full_cache_has_room() {
    let switches = data("cache-max-memory-size = 20000\ncache-snapshot-write-cold-duration = \"1s\"");
    let Some(server) = server_with("points_wait_until_a_full_cache_has_room", &switches) else {
        return;
    };
    server.create_database("full");
    let writer = writer(&server.url(), "full", |buffer| {
        buffer
            .partitions(1)
            .batch_size(100)
            .retries(2)
            .backoff(OFTEN, OFTEN)
    });
    for n in 0..2_000 {
        writer
            .write(Point::new("m").field("v", n).timestamp_ns(n))
            .await
            .unwrap();
    }
    writer.flush().await;
    let ledger = writer.ledger();
    assert_eq!(ledger.delivered, 2_000, "{ledger:?}");
    assert!(ledger.retried > 0, "{ledger:?}");
    assert_eq!(server.count("full", "v"), 2_000);
}

#[tokio::test]
async fn no_more_series_than_the_database_may_have_are_stored_and_the_others_are_named() {
    const NAME: &str = "no_more_series_than_the_database_may_have_are_stored_and_the_others_are_named";
    let Some(server) = server_with(NAME, &data("max-series-per-database = 3")) else {
        return;
    };
    server.create_database("few");
    let reports = Reports::default();
    let writer = writer(&server.url(), "few", |buffer| {
        let hour = Duration::from_secs(3_600);
        reports.of(buffer.partitions(1).flush_interval(hour))
    });
    for n in 0..1_000 {
        let point = Point::new("m")
            .tag("t", (n % 5).to_string())
            .field("v", n)
            .timestamp_ns(n);
        writer.write(point).await.unwrap();
    }
    let report = writer.flush().await;
    let rejected = reports.rejected();
    assert_eq!((report.delivered, rejected.len()), (600, 400));
    assert!(
        rejected
            .iter()
            .all(|(_, cause)| cause.reason().contains("max-series-per-database"))
    );
    assert_eq!(server.count("few", "v"), 600);
}
