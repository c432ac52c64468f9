//! Logins and TLS: what keeps points out holds them.

use std::time::Duration;

use buffer_core::Health;
use buffer_influx::{Client, ClientError, InfluxSink, Point, V1, Writer};
use tokio::time::sleep;

use crate::servers::influxd::Switches;
use crate::{client, server_with, writer_by};

const OFTEN: Duration = Duration::from_millis(10);
/// The authority that has signed the server's certificate, which is for 127.0.0.1 and good for a hundred years.
const CA: &str = include_str!("tls/ca.pem");
const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/influxdb/tls/server.pem");

fn tls() -> Switches {
    Switches {
        http: format!("https-enabled = true\nhttps-certificate = \"{SERVER}\""),
        ..Switches::default()
    }
}

/// A writer that has a point which it can't get rid of; its health says why.
async fn held(client: Client) -> (Writer, String) {
    let writer = writer_by(client, |buffer| {
        buffer
            .partitions(1)
            .flush_interval(OFTEN)
            .backoff(OFTEN, OFTEN)
            .drain_timeout(OFTEN)
    });
    writer
        .write(Point::new("m").field("v", 1).timestamp_ns(1))
        .await
        .unwrap();
    while writer.ledger().retried < 10 {
        assert_eq!(writer.ledger().dropped.total(), 0);
        sleep(OFTEN).await;
    }
    let ledger = writer.ledger();
    assert_eq!((ledger.pending, ledger.dropped.total()), (1, 0));
    let Health::Held { reason, .. } = writer.health() else {
        panic!("well")
    };
    (writer, reason)
}

#[tokio::test]
async fn points_wait_for_the_right_to_write() {
    let switches = Switches {
        http: "auth-enabled = true".to_owned(),
        ..Switches::default()
    };
    let Some(server) = server_with("points_wait_for_the_right_to_write", &switches) else {
        return;
    };
    server.query("", "CREATE USER admin WITH PASSWORD 'adm' WITH ALL PRIVILEGES");
    let admin = |query: &str| server.query_by("&u=admin&p=adm", "locked", query);
    admin("CREATE DATABASE locked");
    let url = server.url();

    let stranger = V1::new("locked").basic_auth("writer", "hidden");
    let (writer, reason) = held(client(&url, stranger)).await;
    assert!(reason.contains("401") && !reason.contains("hidden"), "{reason}");
    admin("CREATE USER writer WITH PASSWORD 'hidden'");
    loop {
        let Health::Held { reason, .. } = writer.health() else {
            panic!("well")
        };
        if reason.contains("403") {
            break;
        }
        sleep(OFTEN).await;
    }
    admin("GRANT ALL ON locked TO writer");
    assert_eq!(writer.flush().await.delivered, 1);

    let (_writer, reason) = held(client(&url, V1::new("locked"))).await;
    assert!(reason.contains("401"), "{reason}");

    // Whoever may write may do so in the URL as well; whoever may not is told so.
    let by_url = client(&url, V1::new("locked").query_auth("writer", "hidden"));
    let line = by_url
        .encoder()
        .encode(&Point::new("m").field("v", 1).timestamp_ns(2))
        .unwrap();
    by_url.write(&[line]).await.unwrap();
    assert_eq!(by_url.query("SELECT v FROM m").await.unwrap().series().count(), 1);
    let error = client(&url, V1::new("locked")).query("SELECT v FROM m").await;
    assert!(
        matches!(error, Err(ClientError::Refused { status: 401, .. })),
        "{error:?}"
    );
    assert_eq!(crate::number(&admin("SELECT count(v) FROM m")[0]), 2);
}

#[tokio::test]
async fn lines_go_over_tls_and_only_to_a_server_that_is_trusted() {
    let Some(server) = server_with("lines_go_over_tls_and_only_to_a_server_that_is_trusted", &tls()) else {
        return;
    };
    let url = server.url().replace("http:", "https:");
    let trusting = Client::builder(&url, V1::new("safe"))
        .ca_certificates(CA)
        .build()
        .unwrap();
    assert!(trusting.ping().await.unwrap().version.is_some());
    let writer = Writer::builder(trusting.encoder())
        .build(InfluxSink::new(trusting.clone()).create_missing_database())
        .unwrap();
    writer.write(Point::new("m").field("v", 7)).await.unwrap();
    assert_eq!(writer.flush().await.delivered, 1);
    let results = trusting.query("SELECT v FROM m").await.unwrap();
    assert_eq!(
        results.series().next().unwrap().column("v").collect::<Vec<_>>(),
        [7]
    );

    let wrong = url.replace("127.0.0.1", "localhost");
    let wrong_name = Client::builder(&wrong, V1::new("safe"))
        .ca_certificates(CA)
        .build()
        .unwrap();
    let (_writer, reason) = held(wrong_name).await;
    assert!(reason.contains("no connection"), "{reason}");
}

/// The server answers 400 and then closes the connection in the middle of what is still sent.
#[tokio::test]
async fn plain_http_to_the_tls_port_holds_the_points() {
    let Some(server) = server_with("plain_http_to_the_tls_port_holds_the_points", &tls()) else {
        return;
    };
    let (writer, _reason) = held(client(&server.url(), V1::new("db"))).await;
    let summary = writer.close().await;
    assert_eq!(
        (summary.ledger.dropped.total(), summary.undelivered.len()),
        (0, 1)
    );
}
