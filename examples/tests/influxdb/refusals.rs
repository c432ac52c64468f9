//! What the server refuses, and what the ledger and the reports say of it.

use std::time::Duration;

use buffer_influx::{Client, Dialect, Encoder, FieldValue, InfluxSink, Point, V1, Writer};
use tokio::time::sleep;

use crate::reports::Reports;
use crate::{client, server_for, writer, writer_by};

const LINES: i64 = 5_000;

fn point(n: i64, value: impl Into<FieldValue>) -> Point {
    Point::new("m").field("v", value).timestamp_ns(n)
}

/// A writer whose batches are flushed only when they are full or on request.
fn patient_writer(client: Client, encoder: Encoder, reports: &Reports) -> Writer {
    Writer::builder(encoder)
        .buffer(|buffer| {
            let hour = Duration::from_secs(3_600);
            let buffer = buffer
                .partitions(1)
                .flush_interval(hour)
                .flush_jitter(Duration::ZERO);
            reports.of(buffer)
        })
        .build(InfluxSink::new(client))
        .unwrap()
}

#[tokio::test]
async fn a_line_of_a_conflicting_type_costs_itself_and_the_rest_of_its_batch_is_stored_once() {
    const NAME: &str = "a_line_of_a_conflicting_type_costs_itself_and_the_rest_of_its_batch_is_stored_once";
    let Some(server) = server_for(NAME) else { return };
    server.create_database("types");
    let (client, reports) = (client(&server.url(), V1::new("types")), Reports::default());
    let writer = patient_writer(client.clone(), client.encoder(), &reports);
    writer.write(point(-1, 1.0)).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);

    for n in 0..LINES {
        let value = if n == 3_333 {
            true.into()
        } else {
            FieldValue::Float(n as f64)
        };
        writer.write(point(n, value)).await.unwrap();
    }
    let report = writer.flush().await;
    assert_eq!((report.delivered, report.dropped.total()), (LINES as u64 - 1, 1));
    let [(line, cause)] = &reports.rejected()[..] else {
        panic!()
    };
    assert_eq!(
        (line.as_str(), cause.number(), cause.lines()),
        ("m v=true 3333", 3_334, 5_000)
    );
    assert!(cause.reason().contains("field type conflict"), "{cause}");

    // Hundreds of them, and each is named.
    for n in 0..LINES {
        let value = if n % 20 == 7 {
            "text".into()
        } else {
            FieldValue::Float(0.5)
        };
        writer.write(point(LINES + n, value)).await.unwrap();
    }
    let report = writer.flush().await;
    assert_eq!((report.delivered, report.dropped.total()), (4_750, 250));
    assert_eq!(reports.rejected().len(), 251);
    assert_eq!(server.count("types", "v"), writer.ledger().delivered);
}

/// The server answers `field type conflict` and stores nothing, until one type has come first.
#[tokio::test]
async fn a_new_field_with_two_types_costs_the_points_of_one() {
    let Some(server) = server_for("a_new_field_with_two_types_costs_the_points_of_one") else {
        return;
    };
    server.create_database("new");
    let (client, reports) = (client(&server.url(), V1::new("new")), Reports::default());
    let writer = patient_writer(client.clone(), client.encoder(), &reports);
    for n in 0..LINES {
        let value = if n % 100 == 50 {
            true.into()
        } else {
            FieldValue::Integer(n)
        };
        writer.write(point(n, value)).await.unwrap();
    }
    let report = writer.flush().await;
    let rejected = reports.rejected();
    assert_eq!(
        report.delivered + rejected.len() as u64,
        LINES as u64,
        "{report:?}"
    );
    assert!(
        rejected
            .iter()
            .all(|(_, cause)| cause.reason().contains("field type conflict"))
    );
    assert_eq!(server.count("new", "v"), report.delivered);
    // Which of the two types came first is up to the halves; the points of the other are lost, and no others.
    assert!([50, 4_950].contains(&rejected.len()), "{}", rejected.len());
}

/// The lines are of a dialect that has unsigned integers, which this server does not.
#[tokio::test]
async fn three_thousand_bad_lines_in_one_body_are_all_named() {
    let Some(server) = server_for("three_thousand_bad_lines_in_one_body_are_all_named") else {
        return;
    };
    server.create_database("bad");
    let (client, reports) = (client(&server.url(), V1::new("bad")), Reports::default());
    let writer = patient_writer(client, Encoder::new(Dialect::Influx2), &reports);
    for n in 0..LINES {
        let value = if n % 5 < 3 {
            FieldValue::Unsigned(7)
        } else {
            FieldValue::Integer(n)
        };
        writer.write(point(n, value)).await.unwrap();
    }
    let report = writer.flush().await;
    let rejected = reports.rejected();
    assert_eq!((report.delivered, rejected.len()), (2_000, 3_000));
    assert!(
        rejected
            .iter()
            .all(|(line, cause)| line.contains("v=7u") && cause.reason() == "invalid number")
    );
    assert_eq!(server.count("bad", "v"), 2_000);

    // Nothing but bad ones is another answer.
    for n in 0..LINES {
        writer.write(point(n, 7_u64)).await.unwrap();
    }
    assert_eq!(writer.flush().await.delivered, 0);
    assert_eq!(reports.rejected().len(), 8_000);
    assert_eq!(server.count("bad", "v"), 2_000);
}

#[tokio::test]
async fn points_beyond_the_retention_policy_are_named() {
    let Some(server) = server_for("points_beyond_the_retention_policy_are_named") else {
        return;
    };
    server.query("", "CREATE DATABASE short WITH DURATION 1h");
    let (client, reports) = (client(&server.url(), V1::new("short")), Reports::default());
    let writer = patient_writer(client.clone(), client.encoder(), &reports);
    for n in 0..1_000 {
        let point = Point::new("m").tag("n", n.to_string()).field("v", n);
        let point = if n % 250 == 100 {
            point.timestamp_ns(n)
        } else {
            point
        };
        writer.write(point).await.unwrap();
    }
    let report = writer.flush().await;
    let rejected = reports.rejected();
    assert_eq!((report.delivered, rejected.len()), (996, 4));
    assert!(
        rejected
            .iter()
            .all(|(_, cause)| cause.reason().contains("points beyond retention policy"))
    );
    assert_eq!(server.count("short", "v"), 996);
}

/// Writes to `database` until there was more than a batch's retries, and says that nothing is lost by it.
async fn held(writer: &Writer) {
    writer.write(point(1, 1)).await.unwrap();
    while writer.ledger().retried < 20 {
        assert_eq!(writer.ledger().dropped.total(), 0);
        sleep(OFTEN).await;
    }
    let ledger = writer.ledger();
    assert_eq!(
        (ledger.pending, ledger.delivered, ledger.dropped.total()),
        (1, 0, 0)
    );
}

const OFTEN: Duration = Duration::from_millis(10);

#[tokio::test]
async fn points_for_a_missing_database_are_held_until_it_is_there() {
    let Some(server) = server_for("points_for_a_missing_database_are_held_until_it_is_there") else {
        return;
    };
    let writer = writer(&server.url(), "late", |buffer| {
        buffer.partitions(1).flush_interval(OFTEN).backoff(OFTEN, OFTEN)
    });
    held(&writer).await;
    server.create_database("late");
    assert_eq!(writer.flush().await.delivered, 1);
    writer.write(point(2, 2)).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
    assert_eq!(server.count("late", "v"), 2);
}

#[tokio::test]
async fn points_for_a_missing_database_create_it_if_they_may() {
    let Some(server) = server_for("points_for_a_missing_database_create_it_if_they_may") else {
        return;
    };
    let client = client(&server.url(), V1::new("a/b"));
    let name = "points_for_a_missing_database_create_it_if_they_may";
    // The server takes no slash in a name, so this one stays missing, and the points are held.
    let refused = client.create_database().await.expect_err(name);
    assert!(refused.to_string().contains("invalid name"), "{refused}");

    let client = crate::client(&server.url(), V1::new("new"));
    let writer = Writer::builder(client.encoder())
        .build(InfluxSink::new(client).create_missing_database())
        .unwrap();
    writer.write(point(1, 1)).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
    assert_eq!(writer.ledger().retried, 0);
    assert_eq!(server.count("new", "v"), 1);
}

/// It answers with status 500, which is no failure here.
#[tokio::test]
async fn points_for_a_missing_retention_policy_are_held_until_it_is_there() {
    let Some(server) = server_for("points_for_a_missing_retention_policy_are_held_until_it_is_there") else {
        return;
    };
    server.create_database("kept");
    let client = client(&server.url(), V1::new("kept").retention_policy("late one"));
    let writer = writer_by(client, |buffer| {
        buffer.partitions(1).flush_interval(OFTEN).backoff(OFTEN, OFTEN)
    });
    held(&writer).await;
    server.query(
        "",
        r#"CREATE RETENTION POLICY "late one" ON kept DURATION INF REPLICATION 1"#,
    );
    assert_eq!(writer.flush().await.delivered, 1);
    let stored = server.query("kept", r#"SELECT count(v) FROM "late one".m"#);
    assert_eq!(crate::number(&stored[0]), 1);
}
