//! A missing database is created, once it can be.

mod scripted_server;

use std::time::Duration;

use buffer_influx::{Client, InfluxSink, Point, V1, Writer};
use scripted_server::{ScriptedServer, Step, json};

/// For a server that says nothing; elsewhere a machine that is busy must not pass for one.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(60);

/// A sink that may create the database, with a time limit that cuts off a creation without an answer.
fn writer(url: &str, flush_timeout: Duration) -> Writer {
    let client = Client::builder(url, V1::new("db"))
        .request_timeout(2 * LONG)
        .build()
        .expect("valid settings");
    Writer::builder(client.encoder())
        .buffer(|buffer| {
            buffer
                .partitions(1)
                .flush_timeout(flush_timeout)
                .backoff(Duration::from_millis(1), Duration::from_millis(1))
        })
        .build(InfluxSink::new(client).create_missing_database())
        .expect("valid settings")
}

/// Writes five points, and waits until they are settled.
async fn write(writer: &Writer) {
    for index in 0..5 {
        let point = Point::new("m").field("v", index).timestamp_ns(index);
        writer.write(point).await.expect("a good point");
    }
    writer.flush().await;
}

fn creations(server: &ScriptedServer) -> usize {
    let requests = server.requests();
    requests
        .filter(|request| request.line.starts_with("POST /query"))
        .count()
}

fn no_database() -> Step {
    json(404, "", r#"{"error":"database not found: \"db\""}"#)
}

#[tokio::test]
async fn a_missing_database_is_created_though_the_first_attempts_at_it_fail() {
    for failure in [
        json(503, "", "busy"),
        json(500, "", r#"{"error":"no leader"}"#),
        json(429, "", ""),
        Step::Silence,
    ] {
        let script = [
            no_database(),
            failure.clone(),
            no_database(),
            failure.clone(),
            no_database(),
            json(200, "", r#"{"results":[{"statement_id":0}]}"#),
        ];
        let server = ScriptedServer::new(script);
        let is_silent = matches!(failure, Step::Silence);
        let writer = self::writer(&server.url, if is_silent { SHORT } else { LONG });
        write(&writer).await;
        let ledger = writer.ledger();
        assert_eq!((ledger.delivered, ledger.dropped.total()), (5, 0), "{failure:?}");
        assert_eq!(creations(&server), 3, "{failure:?}");
    }
}

#[tokio::test]
async fn a_missing_database_that_can_t_be_created_is_not_tried_again() {
    for refusal in [
        json(403, "", r#"{"error":"forbidden"}"#),
        json(200, "", r#"{"results":[{"statement_id":0,"error":"no"}]}"#),
        json(200, "", r#"{"results":[{"statement_id":0}]}"#),
    ] {
        let script = [no_database(), refusal.clone(), no_database(), no_database()];
        let server = ScriptedServer::new(script);
        let writer = self::writer(&server.url, LONG);
        write(&writer).await;
        assert_eq!(writer.ledger().delivered, 5, "{refusal:?}");
        assert_eq!(creations(&server), 1, "{refusal:?}");
    }
}
