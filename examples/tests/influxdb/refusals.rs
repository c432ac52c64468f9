//! What the server refuses, and what the ledger says of it.

use std::time::Duration;

use buffer_core::DropReason;
use buffer_influx::{FieldValue, Point};
use tokio::time::sleep;

use crate::{number, server_for, writer};

#[tokio::test]
async fn a_line_of_a_conflicting_type_costs_itself_and_the_rest_of_its_batch_is_stored_once() {
    const NAME: &str = "a_line_of_a_conflicting_type_costs_itself_and_the_rest_of_its_batch_is_stored_once";
    const LINES: i64 = 5_000;
    let Some(server) = server_for(NAME) else { return };
    server.create_database("types");
    let writer = writer(&server.url(), "types", |buffer| buffer.partitions(1));
    let point = |n: i64, value: FieldValue| Point::new("m").field("v", value).timestamp_ns(n);
    writer.write(point(-1, FieldValue::Float(1.0))).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);

    for n in 0..LINES {
        let value = if n == 3_333 {
            FieldValue::Boolean(true)
        } else {
            FieldValue::Float(n as f64)
        };
        writer.write(point(n, value)).await.unwrap();
    }
    let report = writer.flush().await;
    let rejected = report.dropped.count(DropReason::Rejected);
    assert_eq!(
        (report.delivered, rejected, report.dropped.total()),
        (LINES as u64 - 1, 1, 1)
    );

    writer.write(point(LINES, FieldValue::Float(1.0))).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
    let stored = number(&server.query("types", "SELECT count(v) FROM m")[0]);
    assert_eq!(stored, writer.ledger().delivered);
}

#[tokio::test]
async fn points_for_a_missing_database_are_held_until_it_is_there() {
    let Some(server) = server_for("points_for_a_missing_database_are_held_until_it_is_there") else {
        return;
    };
    let often = Duration::from_millis(10);
    let writer = writer(&server.url(), "late", |buffer| {
        buffer.partitions(1).flush_interval(often).backoff(often, often)
    });

    writer.write(Point::new("m").field("v", 1)).await.unwrap();
    // More attempts than the retries that a failing batch has.
    while writer.ledger().retried < 20 {
        sleep(often).await;
    }
    let ledger = writer.ledger();
    assert_eq!(
        (ledger.pending, ledger.delivered, ledger.dropped.total()),
        (1, 0, 0)
    );

    server.create_database("late");
    assert_eq!(writer.flush().await.delivered, 1);
    writer.write(Point::new("m").field("v", 2)).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
    assert_eq!(number(&server.query("late", "SELECT count(v) FROM m")[0]), 2);
}
