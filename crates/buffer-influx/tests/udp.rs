//! Points that are sent in datagrams, and what is said of them.

use std::net::UdpSocket;
use std::time::Duration;

use buffer_influx::{
    Dialect, Encoder, Point, PointError, Sent, TryWritePointError, Udp, UdpBuildError, UdpWriter,
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
    let (sent, undelivered) = writer.close().await;
    assert_eq!((sent.sent, undelivered.len()), (POINTS as u64, 0));
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

#[tokio::test]
async fn an_encoder_in_place_of_the_target_s_is_held_to_the_datagram_too() {
    let listener = listener();
    for (longest_line, expected) in [(1_000, 20), (10, 10)] {
        let own = Encoder::new(Dialect::VictoriaMetrics).longest_line(longest_line);
        let writer = UdpWriter::builder(target(&listener).datagram_bytes(20))
            .encoder(|_| own)
            .build()
            .expect("valid settings");
        let long = Point::new("m").field("v", "x".repeat(20)).timestamp_ns(1);
        match writer.write(long).await {
            Err(WritePointError::Invalid {
                reason: PointError::LineTooLong { most, .. },
                ..
            }) => assert_eq!(most, expected),
            other => panic!("{other:?}"),
        }
    }
}

/// It is sent all the same: nobody says that nobody listens, or only later.
#[tokio::test]
async fn what_nobody_listens_for_is_sent_and_not_called_delivered() {
    let address = target(&listener());
    let writer = UdpWriter::builder(address).build().expect("valid settings");
    writer.write(point(1)).await.expect("a good point");
    let Sent { sent, dropped, .. } = writer.flush().await;
    assert_eq!((sent, dropped.total()), (1, 0));
    assert_eq!(writer.sent().sent, 1);
    let text = format!("{:?}", writer.sent());
    assert!(text.contains("sent") && !text.contains("delivered"), "{text}");
}

#[tokio::test]
async fn points_are_held_while_the_host_is_not_found() {
    let writer = UdpWriter::builder(Udp::new("no-such-host.invalid:8089"))
        .buffer(|buffer| buffer.partitions(1).drain_timeout(Duration::from_millis(100)))
        .build()
        .expect("valid settings");
    writer.write(point(1)).await.expect("a good point");
    let (sent, unsent) = writer.close().await;
    assert_eq!((sent.sent, sent.returned, sent.dropped.total()), (0, 1, 0));
    assert_eq!(unsent[0].as_str(), "m v=1i 1");
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
