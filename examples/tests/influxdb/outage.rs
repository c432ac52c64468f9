//! An outage while several threads insert as fast as they can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, SystemTime};

use buffer_core::Health;
use buffer_influx::{Client, Point, V1, Writer};
use tokio::runtime::Runtime;

use crate::servers::influxd::InfluxServer;
use crate::{number, server_for, writer, writer_by};

/// It has failed on a writer that settles a batch as delivered when its attempt runs into the time limit.
#[test]
fn an_outage_at_full_speed_loses_nothing_and_stores_nothing_twice() {
    let Some(mut server) = server_for("an_outage_at_full_speed_loses_nothing_and_stores_nothing_twice")
    else {
        return;
    };
    server.create_database("outage");
    let runtime = Runtime::new().unwrap();
    let writer = writer(&server.url(), "outage", |buffer| {
        buffer
            .flush_timeout(Duration::from_secs(1))
            .runtime(runtime.handle().clone())
    });

    let done = Arc::new(AtomicBool::new(false));
    let producers = [0, 1, 2].map(|producer| {
        let (writer, done) = (writer.clone(), Arc::clone(&done));
        thread::spawn(move || insert_until(&done, &writer, producer))
    });
    play_outage(&mut server);
    // Relaxed: the flag publishes nothing, and the joins order the rest.
    done.store(true, Relaxed);
    let inserted = producers.map(|producer| producer.join().unwrap());
    let ledger = runtime.block_on(writer.close()).ledger;

    assert_eq!(ledger.accepted, inserted.iter().sum::<u64>());
    assert_eq!(ledger.delivered, ledger.accepted, "{ledger:?}");
    assert_eq!(
        (ledger.dropped.total(), ledger.returned, ledger.pending),
        (0, 0, 0)
    );
    assert!(ledger.retried > 0, "the outage was not felt: {ledger:?}");
    let stored = server.query("outage", "SELECT count(n) FROM load GROUP BY thread");
    assert_eq!(stored.len(), inserted.len());
    for series in stored {
        let producer: usize = series["tags"]["thread"].as_str().unwrap().parse().unwrap();
        assert_eq!(number(&series), inserted[producer], "producer {producer}");
    }
}

/// It has failed on a sink that calls a time-out uncertain.
#[tokio::test]
async fn a_server_that_hangs_for_longer_than_all_retries_loses_nothing() {
    let Some(server) = server_for("a_server_that_hangs_for_longer_than_all_retries_loses_nothing") else {
        return;
    };
    server.create_database("hang");
    let often = Duration::from_millis(50);
    let client = Client::builder(&server.url(), V1::new("hang"))
        .request_timeout(often)
        .build()
        .unwrap();
    let writer = writer_by(client, |buffer| {
        buffer
            .partitions(1)
            .retries(2)
            .flush_interval(often)
            .backoff(often, often)
    });
    server.stop();
    let point = |n: i64| Point::new("m").field("n", n).timestamp_ns(n);
    writer.write(point(1)).await.unwrap();
    while writer.ledger().retried < 10 {
        assert_eq!(writer.ledger().dropped.total(), 0);
        tokio::time::sleep(often).await;
    }
    let Health::Held { reason, .. } = writer.health() else {
        panic!("well")
    };
    assert!(reason.contains("no answer from the server in time"), "{reason}");
    server.cont();
    writer.write(point(2)).await.unwrap();
    writer.flush().await;
    let ledger = writer.ledger();
    assert_eq!((ledger.delivered, ledger.dropped.total()), (2, 0));
    assert_eq!(server.count("hang", "n"), 2);
}

/// The outage of the scenario: two seconds without an answer, then a crash, and a start three seconds later. Its sleeps are
/// these durations; the load goes on through all of it.
fn play_outage(server: &mut InfluxServer) {
    thread::sleep(Duration::from_secs(2));
    server.stop();
    thread::sleep(Duration::from_secs(2));
    server.cont();
    server.kill();
    thread::sleep(Duration::from_secs(3));
    server.restart();
    thread::sleep(Duration::from_secs(3));
}

/// Inserts as fast as the buffer takes it, and says how many points that were; each has a stamp of its own.
fn insert_until(done: &AtomicBool, writer: &Writer, producer: usize) -> u64 {
    let thread = producer.to_string();
    let begin = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as i64;
    let mut n = 0;
    // Relaxed: see where it is set.
    while !done.load(Relaxed) {
        let point = Point::new("load")
            .tag("thread", &thread)
            .field("n", n)
            .timestamp_ns(begin + n);
        writer.write_blocking(point).unwrap();
        n += 1;
    }
    n as u64
}
