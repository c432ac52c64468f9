//! UDP, as the server takes it.

use std::time::Duration;

use buffer_influx::{Point, Udp, UdpWriter};
use tokio::time::sleep;

use crate::server_for;

#[tokio::test]
async fn points_are_sent_in_datagrams_and_stored() {
    const POINTS: i64 = 1_000;
    let Some(server) = server_for("points_are_sent_in_datagrams_and_stored") else {
        return;
    };
    server.create_database("udp");
    for datagram_bytes in [1_400, 65_507] {
        let measurement = format!("m{datagram_bytes}");
        let target = Udp::new(format!("127.0.0.1:{}", server.udp_port)).datagram_bytes(datagram_bytes);
        let writer = UdpWriter::builder(target).build().unwrap();
        for n in 0..POINTS {
            let point = Point::new(&measurement).field("v", n).timestamp_ns(n);
            writer.write(point).await.unwrap();
        }
        let summary = writer.close().await;
        assert_eq!((summary.points.sent, summary.unsent.len()), (POINTS as u64, 0));
        let query = format!("SELECT count(v) FROM {measurement}");
        // The server stores datagrams after a while; should it never, the test program is stopped.
        while server.query("udp", &query).first().map(crate::number) != Some(POINTS as u64) {
            sleep(Duration::from_millis(20)).await;
        }
    }
}
