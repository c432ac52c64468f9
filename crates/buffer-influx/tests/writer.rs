//! Points go in one by one and come out in batches; a bad one comes back.

mod scripted_server;

use std::thread;
use std::time::Duration;

use buffer_core::DropReason;
use buffer_influx::{
    Client, Gzip, InfluxSink, Point, PointError, TryWritePointError, V1, WritePointBlockingError,
    WritePointError, WriteSyncError, Writer,
};
use scripted_server::{ScriptedServer, Step, json};

fn client(server: &ScriptedServer) -> Client {
    Client::builder(&server.url, V1::new("db"))
        .build()
        .expect("valid settings")
}

fn writer(server: &ScriptedServer) -> Writer {
    let client = client(server);
    Writer::builder(client.encoder())
        .buffer(|buffer| buffer.partitions(1))
        .build(InfluxSink::new(client))
        .expect("valid settings")
}

fn good(value: i64) -> Point {
    Point::new("m").field("v", value).timestamp_ns(value)
}

fn bad() -> Point {
    Point::new("m").tag("a", "b").timestamp_ns(1)
}

#[tokio::test]
async fn points_are_written_in_one_batch_at_the_flush() {
    let server = ScriptedServer::new([]);
    let writer = writer(&server);
    for value in 0..3 {
        writer.write(good(value)).await.expect("a good point");
    }
    assert_eq!(writer.flush().await.delivered, 3);
    assert_eq!(server.request().body, "m v=0i 0\nm v=1i 1\nm v=2i 2\n");
    assert_eq!(server.requests_left(), 0);
}

#[tokio::test]
async fn whoever_can_t_wait_for_a_flush_or_a_close_gets_what_is_left() {
    let server = ScriptedServer::new(vec![Step::Silence; 2]);
    let writer = writer(&server);
    writer.write(good(1)).await.expect("a good point");
    writer.request_flush();
    assert_eq!(writer.flush_within(Duration::from_millis(1)).await.pending, 1);
    let summary = writer.close_within(Duration::from_millis(1)).await;
    assert_eq!((summary.ledger.returned, summary.undelivered.len()), (1, 1));
}

#[tokio::test]
async fn a_bad_point_is_handed_back_and_costs_nothing_else() {
    let server = ScriptedServer::new([]);
    let writer = writer(&server);
    writer.write(good(1)).await.expect("a good point");
    let refused = writer.write(bad()).await.expect_err("no fields");
    assert!(
        matches!(
            &refused,
            WritePointError::Invalid {
                reason: PointError::NoFields,
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(refused.into_point(), bad());
    let refused = writer.try_write(bad()).expect_err("no fields");
    assert!(
        matches!(
            &refused,
            TryWritePointError::Invalid {
                reason: PointError::NoFields,
                ..
            }
        ),
        "{refused:?}"
    );
    assert_eq!(refused.into_point(), bad());
    writer.try_write(good(2)).expect("a good point");

    let summary = writer.close().await;
    assert_eq!((summary.ledger.accepted, summary.ledger.delivered), (2, 2));
    assert_eq!(server.request().body, "m v=1i 1\nm v=2i 2\n");
}

#[tokio::test]
async fn a_closed_writer_hands_points_back() {
    let server = ScriptedServer::new([]);
    let writer = writer(&server);
    assert!(!writer.is_closed());
    let _ = writer.close().await;
    assert!(writer.is_closed());
    let refused = writer.write(good(1)).await.expect_err("closed");
    assert!(matches!(refused, WritePointError::Closed(_)), "{refused:?}");
    assert_eq!(refused.into_point(), good(1));
    assert!(matches!(
        writer.try_write(good(1)),
        Err(TryWritePointError::Closed(_))
    ));
    assert_eq!(writer.ledger().accepted, 0);
}

#[tokio::test]
async fn what_is_in_a_point_that_is_refused_is_not_shown() {
    let server = ScriptedServer::new([]);
    let writer = writer(&server);
    let invalid = "Err(Invalid { reason: NoFields, .. })";
    assert_eq!(format!("{:?}", writer.write(bad()).await), invalid);
    assert_eq!(format!("{:?}", writer.try_write(bad())), invalid);
    assert_eq!(format!("{:?}", writer.write_sync(bad()).await), invalid);
    assert_eq!(format!("{:?}", writer.write_blocking(bad())), invalid);
    let _ = writer.close().await;
    let closed = "Err(Closed(..))";
    assert_eq!(format!("{:?}", writer.write(good(1)).await), closed);
    assert_eq!(format!("{:?}", writer.try_write(good(1))), closed);
    assert_eq!(format!("{:?}", writer.write_sync(good(1)).await), closed);
    let blocking = thread::spawn(move || writer.write_blocking(good(1)));
    assert_eq!(format!("{:?}", blocking.join().expect("no panic")), closed);
}

#[tokio::test]
async fn a_full_writer_hands_points_back() {
    let server = ScriptedServer::new([]);
    let client = client(&server);
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.partitions(1).batch_size(2).capacity(2))
        .build(InfluxSink::new(client))
        .expect("valid settings");
    for value in 0..2 {
        writer.try_write(good(value)).expect("room");
    }
    let refused = writer.try_write(good(2)).expect_err("full");
    assert!(matches!(refused, TryWritePointError::Full(_)), "{refused:?}");
    writer
        .write(refused.into_point())
        .await
        .expect("room after the flush");
    assert_eq!(writer.close().await.ledger.delivered, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plain_thread_writes_blocking_and_a_task_may_not() {
    let server = ScriptedServer::new([]);
    let writer = writer(&server);
    let refused = writer.write_blocking(good(1)).expect_err("inside of a runtime");
    assert!(
        matches!(refused, WritePointBlockingError::InsideRuntime(_)),
        "{refused:?}"
    );
    assert_eq!(refused.into_point(), good(1));

    let from_thread = thread::spawn({
        let writer = writer.clone();
        move || {
            let refused = writer.write_blocking(bad()).expect_err("no fields");
            assert!(
                matches!(refused, WritePointBlockingError::Invalid { .. }),
                "{refused:?}"
            );
            writer.write_blocking(good(1))
        }
    });
    from_thread.join().expect("no panic").expect("a good point");
    assert_eq!(writer.flush().await.delivered, 1);
}

#[test]
fn what_is_pending_when_the_runtime_ends_is_still_written() {
    let server = ScriptedServer::new([]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let client = client(&server);
    let writer = runtime.block_on(async {
        let writer = Writer::builder(client.encoder())
            .buffer(|buffer| buffer.partitions(1).drain_timeout(Duration::from_secs(5)))
            .build(InfluxSink::new(client))
            .expect("valid settings");
        writer.write(good(1)).await.expect("a good point");
        writer.flush().await;
        writer.write(good(2)).await.expect("a good point");
        writer
    });
    drop(runtime);
    assert_eq!(writer.ledger().delivered, 2);
    server.request();
    assert_eq!(server.request().body, "m v=2i 2\n");
}

#[tokio::test]
async fn each_caller_of_write_sync_gets_the_answer_for_its_own_point() {
    let body = r#"{"error":"partial write: unable to parse 'm v=2i 2': no dropped=0"}"#;
    let server = ScriptedServer::new([json(400, "", body)]);
    let writer = writer(&server);
    let (one, two, three) = tokio::join!(
        writer.write_sync(good(1)),
        writer.write_sync(good(2)),
        writer.write_sync(good(3)),
    );
    assert!(one.is_ok() && three.is_ok(), "{one:?} {three:?}");
    assert!(
        matches!(&two, Err(WriteSyncError::NotStored(why)) if why.drop_reason() == Some(DropReason::Rejected)),
        "{two:?}"
    );
    let refused = writer.write_sync(bad()).await.expect_err("no fields");
    assert!(matches!(refused, WriteSyncError::Invalid { .. }), "{refused:?}");
    let _ = writer.close().await;
    let refused = writer.write_sync(good(4)).await.expect_err("closed");
    assert!(matches!(refused, WriteSyncError::Closed(_)), "{refused:?}");
    assert_eq!(refused.into_point(), Some(good(4)));
    let not_stored = two.expect_err("it was accepted");
    assert_eq!(not_stored.into_point(), None);
}

#[tokio::test]
async fn the_stats_count_attempts_errors_and_bytes() {
    let server = ScriptedServer::new([json(503, "Retry-After: 0\r\n", "busy")]);
    let client = client(&server);
    let often = Duration::from_millis(1);
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.partitions(1).backoff(often, often))
        .build(InfluxSink::new(client))
        .expect("valid settings");
    writer.write(good(1)).await.expect("a good point");
    writer.flush().await;
    let stats = writer.stats();
    assert_eq!((stats.writes, stats.errors), (2, 1));
    assert_eq!(stats.bytes, "m v=1i 1\n".len() as u64);
    assert_eq!((stats.points.accepted, stats.points.delivered), (1, 1));
}

#[tokio::test]
async fn a_line_that_is_heavier_than_a_batch_may_be_is_handed_back() {
    let server = ScriptedServer::new([]);
    let writer = writer(&server);
    let heavy = || Point::new("m").field("v", "x".repeat(4 << 20)).timestamp_ns(1);
    let refused = writer.write(heavy()).await.expect_err("too heavy");
    assert!(matches!(refused, WritePointError::Oversized(_)), "too heavy");
    assert_eq!(refused.into_point(), heavy());
    assert!(matches!(
        writer.try_write(heavy()),
        Err(TryWritePointError::Oversized(_))
    ));
    assert!(matches!(
        writer.write_sync(heavy()).await,
        Err(WriteSyncError::Oversized(_))
    ));
    writer.write(good(1)).await.expect("a good point");
    assert_eq!(writer.close().await.ledger.delivered, 1);
}

#[tokio::test]
async fn a_batch_is_sealed_at_4_mib() {
    // It is much for a busy machine: plain, and with time for it.
    const LONG: Duration = Duration::from_secs(600);
    let server = ScriptedServer::new([]);
    let client = Client::builder(&server.url, V1::new("db"))
        .gzip(Gzip::Never)
        .request_timeout(LONG);
    let client = client.build().expect("valid settings");
    let writer = Writer::builder(client.encoder())
        .buffer(|buffer| buffer.partitions(1).flush_timeout(LONG).drain_timeout(LONG))
        .build(InfluxSink::new(client))
        .expect("valid settings");
    for n in 0..6 {
        let point = Point::new("m").field("v", "x".repeat(1 << 20)).timestamp_ns(n);
        writer.write(point).await.expect("a good point");
    }
    assert_eq!(writer.close().await.ledger.delivered, 6);
    let lines = [server.request(), server.request()].map(|request| request.body.lines().count());
    assert_eq!(lines, [3, 3]);
}

#[tokio::test]
async fn lines_that_are_built_go_with_the_points_and_come_back_where_there_is_no_room() {
    let server = ScriptedServer::new([]);
    let client = client(&server);
    let writer = Writer::builder(client.encoder().default_tag("host", "a"))
        .buffer(|buffer| buffer.partitions(1).batch_size(3).capacity(3))
        .build(InfluxSink::new(client))
        .expect("valid settings");
    let load = writer.encoder().series("load", []).expect("a valid series");
    let line = |value: i64| {
        let line = load.line().field("v", value).timestamp_ns(value).finish();
        line.expect("a valid point")
    };
    writer.write_line(line(0)).await.expect("there is room");
    writer.write(good(1)).await.expect("a good point");
    writer.try_write_line(line(2)).expect("there is room");
    let refused = writer.try_write_line(line(3)).expect_err("three are pending");
    assert_eq!(refused.into_item(), line(3));
    assert_eq!(writer.flush().await.delivered, 3);
    assert_eq!(
        server.request().body,
        "load,host=a v=0i 0\nm,host=a v=1i 1\nload,host=a v=2i 2\n"
    );
    let _ = writer.close().await;
    let refused = writer.write_line(line(4)).await.expect_err("it is closed");
    assert_eq!(refused.into_item(), line(4));
}
