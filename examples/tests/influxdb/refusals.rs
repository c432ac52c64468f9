//! What the server refuses, and what the ledger says of it.

use std::time::Duration;

use buffer_core::DropReason;
use buffer_influx::{FieldValue, Point, Writer};
use tokio::time::sleep;

use crate::{number, server_for, sink};

#[tokio::test]
async fn a_batch_with_a_conflicting_type_is_dropped_with_a_reason_and_the_next_is_delivered() {
    const NAME: &str = "a_batch_with_a_conflicting_type_is_dropped_with_a_reason_and_the_next_is_delivered";
    let Some(server) = server_for(NAME) else { return };
    server.create_database("types");
    let writer = Writer::new(
        Writer::builder()
            .partitions(1)
            .build(sink(&server.url(), "types"))
            .unwrap(),
    );
    let mut report = Vec::new();
    for value in [
        FieldValue::Float(1.0),
        FieldValue::Boolean(true),
        FieldValue::Float(2.0),
    ] {
        writer.write(Point::new("m").field("v", value)).await.unwrap();
        let flushed = writer.flush().await;
        report.push((
            flushed.delivered,
            flushed.dropped.count(DropReason::Permanent),
            flushed.dropped.total(),
        ));
    }
    assert_eq!(report, [(1, 0, 0), (0, 1, 1), (1, 0, 0)]);
    assert_eq!(number(&server.query("types", "SELECT count(v) FROM m")[0]), 2);
}

#[tokio::test]
async fn points_for_a_missing_database_are_held_until_it_is_there() {
    let Some(server) = server_for("points_for_a_missing_database_are_held_until_it_is_there") else {
        return;
    };
    let often = Duration::from_millis(10);
    let settings = Writer::builder()
        .partitions(1)
        .flush_interval(often)
        .backoff(often, often);
    let writer = Writer::new(settings.build(sink(&server.url(), "late")).unwrap());

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
