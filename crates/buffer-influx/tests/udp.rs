//! Points that are sent in datagrams, and what is said of them.

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buffer_core::{DropReason, Health, Settled};
use buffer_influx::{
    Dialect, Encoder, Line, Point, PointError, TryWritePointError, Udp, UdpBuildError, UdpSummary, UdpWriter,
    WritePointError,
};

fn listener() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a time-out");
    socket
}

fn target(listener: &UdpSocket) -> Udp {
    Udp::new(listener.local_addr().expect("a bound socket").to_string())
}

fn received(listener: &UdpSocket) -> String {
    let mut datagram = vec![0; 70_000];
    let bytes = listener.recv(&mut datagram).expect("a datagram");
    datagram.truncate(bytes);
    String::from_utf8(datagram).expect("text")
}

fn point(n: i64) -> Point {
    Point::new("m").field("v", n).timestamp_ns(n)
}

#[tokio::test]
async fn lines_are_packed_into_datagrams_and_none_is_split() {
    const POINTS: i64 = 1_000;
    let listener = listener();
    let writer = UdpWriter::builder(target(&listener).datagram_bytes(100))
        .buffer(|buffer| buffer.partitions(1))
        .build()
        .expect("valid settings");
    let mut expected = Vec::new();
    let mut received_lines = Vec::new();
    for n in 0..POINTS {
        writer.write(point(n)).await.expect("a good point");
        expected.push(format!("m v={n}i {n}"));
        // Few at a time: what the listener's socket can't hold is lost.
        if n % 100 == 99 {
            assert_eq!(writer.flush().await.sent, 100);
            while received_lines.len() <= n as usize {
                let datagram = received(&listener);
                assert!(datagram.len() <= 100, "{datagram}");
                received_lines.extend(datagram.lines().map(str::to_owned));
            }
        }
    }
    assert_eq!(received_lines, expected);
    let UdpSummary { points, unsent, .. } = writer.close().await;
    assert_eq!((points.sent, unsent.len()), (POINTS as u64, 0));
}

#[tokio::test]
async fn a_line_that_fits_into_no_datagram_is_refused_at_the_door() {
    let listener = listener();
    let writer = UdpWriter::builder(target(&listener).datagram_bytes(20))
        .encoder(|encoder| encoder.default_tag("t", "a"))
        .build()
        .expect("valid settings");
    let long = || Point::new("m").field("v", "x".repeat(20)).timestamp_ns(1);
    match writer.write(long()).await {
        Err(WritePointError::Invalid {
            reason: PointError::LineTooLong { most: 20, .. },
            point,
        }) => assert_eq!(*point, long()),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        writer.try_write(long()),
        Err(TryWritePointError::Invalid { .. })
    ));
    writer.try_write(point(1)).expect("a good point");
    assert_eq!(writer.flush().await.sent, 1);
    assert_eq!(received(&listener), "m,t=a v=1i 1");
}

/// It has failed on a sink that tried to send it: no line of the batch was sent.
#[tokio::test]
async fn a_finished_line_that_fits_into_no_datagram_costs_no_other() {
    let listener = listener();
    let writer = UdpWriter::builder(target(&listener).datagram_bytes(65_507))
        .buffer(|buffer| {
            buffer
                .partitions(1)
                .flush_interval(Duration::from_secs(60))
                .retries(0)
        })
        .build()
        .expect("valid settings");
    let long = Point::new("m").field("v", "x".repeat(65_507)).timestamp_ns(2);
    let other = Encoder::new(Dialect::Influx2);
    writer.write(point(1)).await.expect("a good point");
    writer
        .write_line(other.encode(&long).expect("a valid point"))
        .await
        .expect("room");
    writer.write(point(3)).await.expect("a good point");
    let sent = writer.flush().await;
    assert_eq!(
        (sent.sent, sent.dropped.count(DropReason::Rejected)),
        (2, 1),
        "{sent:?}"
    );
    assert_eq!(received(&listener), "m v=1i 1");
    assert_eq!(received(&listener), "m v=3i 3");
}

#[tokio::test]
async fn an_encoder_in_place_of_the_target_s_is_held_to_the_datagram_too() {
    let listener = listener();
    for (longest_line, expected) in [(1_000, 20), (10, 10)] {
        let own = Encoder::new(Dialect::VictoriaMetrics).longest_line(longest_line);
        let writer = UdpWriter::builder(target(&listener).datagram_bytes(20))
            .encoder(|_| own)
            .build()
            .expect("valid settings");
        let long = Point::new("m")
            .field("v", "x".repeat(20))
            .timestamp_ns(100_000_000_000_000_000);
        match writer.write(long).await {
            Err(WritePointError::Invalid {
                reason: PointError::LineTooLong { most, .. },
                ..
            }) => assert_eq!(most, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn victoria_metrics_gets_no_datagram_whose_unit_of_time_it_would_guess_wrong() {
    let listener = listener();
    let own = Encoder::new(Dialect::VictoriaMetrics);
    let plain = || target(&listener).dialect(Dialect::VictoriaMetrics);
    for writer in [
        UdpWriter::builder(plain()),
        UdpWriter::builder(plain()).encoder(|_| own),
    ] {
        let writer = writer.build().expect("valid settings");
        for (moment, is_taken) in [(99_999_999_999_999_999, false), (100_000_000_000_000_000, true)] {
            let point = Point::new("m").field("v", 1).timestamp_ns(moment);
            let written = writer.write(point).await;
            assert_eq!(written.is_ok(), is_taken, "{written:?}");
        }
    }
}

/// It is sent all the same: nobody says that nobody listens, or only with a later datagram.
///
/// It has failed on a sink that took such a word for that datagram's own: it held all that were left.
#[tokio::test]
async fn what_nobody_listens_for_is_sent_and_not_called_delivered() {
    let nobody = Udp::new("127.0.0.1:1").datagram_bytes(20);
    let writer = UdpWriter::builder(nobody)
        .buffer(|buffer| buffer.partitions(1).drain_timeout(Duration::from_secs(10)))
        .build()
        .expect("valid settings");
    for n in 0..50 {
        writer.write(point(n)).await.expect("a good point");
    }
    let UdpSummary { points, unsent, .. } = writer.close().await;
    assert_eq!((points.sent, points.dropped.total(), unsent.len()), (50, 0, 0));
    assert_eq!(writer.sent().sent, 50);
    let text = format!("{:?}", writer.sent());
    assert!(text.contains("sent") && !text.contains("delivered"), "{text}");
}

/// What a listener's socket holds is less than what a batch of a `Writer` makes.
#[tokio::test]
async fn a_batch_is_a_burst_of_a_few_datagrams() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    let writer = UdpWriter::builder(Udp::new("127.0.0.1:1"))
        .buffer(|buffer| {
            let note =
                move |settled: &Settled<'_, Line>| seen.lock().expect("no panic").push(settled.items.len());
            buffer
                .partitions(1)
                .flush_interval(Duration::from_secs(60))
                .on_outcome(note)
        })
        .build()
        .expect("valid settings");
    for n in 0..1_200 {
        writer.write(point(n)).await.expect("a good point");
    }
    assert!(writer.close().await.unsent.is_empty());
    assert_eq!(*sizes.lock().expect("no panic"), [500, 500, 200]);
}

#[tokio::test]
async fn points_are_held_while_the_host_is_not_found() {
    let writer = UdpWriter::builder(Udp::new("no-such-host.invalid:8089"))
        .buffer(|buffer| buffer.partitions(1).drain_timeout(Duration::from_millis(100)))
        .build()
        .expect("valid settings");
    writer.write(point(1)).await.expect("a good point");
    assert_eq!(writer.flush_within(Duration::from_millis(1)).await.pending, 1);
    assert!(!writer.is_closed());
    let UdpSummary { points, unsent, .. } = writer.close().await;
    assert_eq!((points.sent, points.returned, points.dropped.total()), (0, 1, 0));
    assert_eq!(unsent[0].as_str(), "m v=1i 1");
    assert!(writer.is_closed());
    assert!(
        matches!(writer.health(), Health::Held { .. }),
        "{:?}",
        writer.health()
    );
}

#[tokio::test]
async fn a_line_that_is_built_is_sent_as_a_point_is() {
    let listener = listener();
    let writer = UdpWriter::builder(target(&listener))
        .buffer(|buffer| buffer.partitions(1).flush_interval(Duration::from_secs(60)))
        .build()
        .expect("valid settings");
    let line = |n: i64| {
        let line = writer.encoder().line("m").field("v", n).timestamp_ns(n).finish();
        line.expect("a good line")
    };
    writer.write_line(line(1)).await.expect("room");
    writer.try_write_line(line(2)).expect("room");
    assert_eq!(writer.flush().await.sent, 2);
    assert_eq!(received(&listener), "m v=1i 1\nm v=2i 2");
    assert_eq!(writer.close_within(Duration::from_secs(10)).await.points.sent, 2);
    assert_eq!(writer.buffer().ledger().delivered, 2);
}

#[test]
fn a_datagram_of_an_impossible_size_is_refused() {
    for bytes in [0, 65_508] {
        let target = Udp::new("localhost:8089")
            .datagram_bytes(bytes)
            .dialect(Dialect::VictoriaMetrics);
        assert!(matches!(
            UdpWriter::builder(target).build(),
            Err(UdpBuildError::DatagramBytes { bytes: found }) if found == bytes
        ));
    }
    assert!(matches!(
        UdpWriter::builder(Udp::new("localhost:8089")).build(),
        Err(UdpBuildError::Buffer(_))
    ));
}

#[tokio::test]
async fn an_address_without_a_port_is_refused() {
    for wrong in [
        "localhost",
        "localhost:",
        ":8089",
        "localhost:0",
        "localhost:70000",
        "::1",
        "",
        "http://localhost",
    ] {
        assert!(
            matches!(
                UdpWriter::builder(Udp::new(wrong)).build(),
                Err(UdpBuildError::Address { address }) if address == wrong
            ),
            "{wrong}"
        );
    }
    for good in ["localhost:8089", "127.0.0.1:8089", "[::1]:8089"] {
        assert!(UdpWriter::builder(Udp::new(good)).build().is_ok(), "{good}");
    }
}
