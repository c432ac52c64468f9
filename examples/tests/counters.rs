//! Counters into real databases: totals are exact in spite of killed backends and lost answers.
//!
//! Without PostgreSQL its tests pass and one line says so; with `BUFFER_REQUIRE_SERVERS=1` they fail instead.

#[path = "servers/port.rs"]
mod port;
#[path = "../counters_postgres/postgres.rs"]
mod postgres;
#[path = "counters/server.rs"]
mod server;
#[path = "../counters_postgres/sqlite.rs"]
mod sqlite;

use std::collections::BTreeMap;
use std::env;
use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::{Count, StatBuffer, StatBuilder};
use tokio::runtime::Runtime;

use crate::postgres::PostgresSink;
use crate::server::PostgresServer;
use crate::sqlite::SqliteSink;

/// A server, or none if none is installed.
fn server() -> Option<PostgresServer> {
    if let Some(programs) = server::programs() {
        return Some(PostgresServer::start(&programs));
    }
    let required = env::var_os("BUFFER_REQUIRE_SERVERS").is_some_and(|required| required == "1");
    assert!(
        !required,
        "no PostgreSQL found, and BUFFER_REQUIRE_SERVERS=1 requires it: apt-get install postgresql"
    );
    static TELL: Once = Once::new();
    TELL.call_once(|| {
        let line = "skipped, no PostgreSQL found: the tests of counters in it; to run them: \
                    apt-get install postgresql && cargo test -p buffer-examples\n";
        // Not by print, whose output a passing test keeps to itself.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    None
}

/// Writes, and then loses the answer to the first attempt of every third batch: by an error, or by never returning.
struct Forgetful<S> {
    sink: S,
    batches: AtomicU64,
    forgotten: std::sync::Arc<AtomicU64>,
}

impl<S> Forgetful<S> {
    fn new(sink: S) -> (Self, std::sync::Arc<AtomicU64>) {
        let forgotten = std::sync::Arc::default();
        let sink = Self {
            sink,
            batches: AtomicU64::new(0),
            forgotten: std::sync::Arc::clone(&forgotten),
        };
        (sink, forgotten)
    }
}

#[async_trait]
impl<S: Flush<Count<String>>> Flush<Count<String>> for Forgetful<S> {
    async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        self.sink.flush(batch).await?;
        if batch.attempt() > 1 {
            return Ok(());
        }
        // Relaxed: only the numbers matter.
        match self.batches.fetch_add(1, Relaxed) % 6 {
            2 => {
                self.forgotten.fetch_add(1, Relaxed);
                Err(FlushError::uncertain("the answer is lost"))
            }
            5 => {
                self.forgotten.fetch_add(1, Relaxed);
                std::future::pending().await
            }
            _ => Ok(()),
        }
    }
}

const THREADS: usize = 4;
const KEYS: usize = 50;

fn counters() -> StatBuilder<String> {
    StatBuffer::builder()
        .partitions(4)
        .batch_size(8)
        .flush_interval(Duration::from_millis(20))
        .buffer(|buffer| {
            buffer
                .flush_timeout(Duration::from_millis(500))
                .backoff(Duration::from_millis(5), Duration::from_millis(50))
                .drain_timeout(Duration::from_secs(60))
        })
}

/// Increments from several threads while `meanwhile` says so; returns what the totals must be.
fn increment_while(stats: &StatBuffer<String>, mut meanwhile: impl FnMut() -> bool) -> BTreeMap<String, i64> {
    let go_on = std::sync::atomic::AtomicBool::new(true);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let go_on = &go_on;
                scope.spawn(move || {
                    let mut totals = BTreeMap::<String, i64>::new();
                    // Relaxed: it only has to be seen at some time.
                    for number in (thread..).take_while(|_| go_on.load(Relaxed)) {
                        let key = format!("key {}", number % KEYS);
                        let n = number as i64 % 7 - 2;
                        stats.increment(key.as_str(), n).unwrap();
                        *totals.entry(key).or_default() += n;
                    }
                    totals
                })
            })
            .collect();
        while meanwhile() {}
        go_on.store(false, Relaxed);
        let mut all = BTreeMap::<String, i64>::new();
        for thread in threads {
            for (key, total) in thread.join().unwrap() {
                *all.entry(key).or_default() += total;
            }
        }
        all
    })
}

/// Fails when the statement does not look at the batch's id.
#[test]
fn totals_are_exact_though_backends_are_killed_in_mid_flush_again_and_again() {
    let Some(mut server) = server() else { return };
    let runtime = Runtime::new().unwrap();
    let sink = PostgresSink::new(&server.url()).unwrap();
    runtime.block_on(sink.create_tables()).unwrap();
    server.slow_down();
    let (sink, forgotten) = Forgetful::new(sink);
    let stats = counters().runtime(runtime.handle().clone()).build(sink).unwrap();
    let mut killed = 0;
    let mut rounds = 0;
    let totals = increment_while(&stats, || {
        rounds += 1;
        killed += server.terminate_busy_backends();
        // One that is killed by a signal takes all others down, and the server recovers.
        if rounds % 100 == 50 {
            killed += server.kill_a_busy_backend();
        }
        killed < 60 || rounds < 400
    });
    let summary = runtime.block_on(stats.close());
    assert_eq!(
        (summary.undelivered.len(), summary.ledger.pending),
        (0, 0),
        "{summary:?}"
    );
    assert_eq!(summary.ledger.dropped.total(), 0);
    assert_eq!(
        summary.ledger.returned,
        stats.tallies().merged_back,
        "what is not delivered went back and came again"
    );
    assert!(forgotten.load(Relaxed) > 0);
    assert_eq!(server.totals(), totals);
}

/// Fails when connections are kept regardless of their runtime.
#[test]
fn counts_arrive_in_postgresql_when_the_runtime_dies_with_its_connections() {
    let Some(mut server) = server() else { return };
    let runtime = Runtime::new().unwrap();
    let sink = PostgresSink::new(&server.url()).unwrap();
    runtime.block_on(sink.create_tables()).unwrap();
    let stats = counters().runtime(runtime.handle().clone()).build(sink).unwrap();
    stats.increment("a", 1).unwrap();
    runtime.block_on(stats.flush());
    stats.increment("a", 2).unwrap();
    drop(runtime);
    assert_eq!(server.totals(), BTreeMap::from([("a".to_owned(), 3)]));
}

/// A key that a database refuses harms no other.
#[test]
fn a_key_that_postgresql_refuses_is_dropped_and_the_others_of_its_batch_are_stored() {
    let Some(mut server) = server() else { return };
    let runtime = Runtime::new().unwrap();
    let sink = PostgresSink::new(&server.url()).unwrap();
    runtime.block_on(sink.create_tables()).unwrap();
    let stats = counters().runtime(runtime.handle().clone()).build(sink).unwrap();
    for key in ["a", "no\0byte", "b"] {
        stats.increment(key, 1).unwrap();
    }
    let summary = runtime.block_on(stats.close());
    assert_eq!((summary.ledger.delivered, summary.ledger.dropped.total()), (2, 1));
    assert_eq!(
        server.totals(),
        BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 1)])
    );
}

#[test]
fn totals_in_sqlite_are_exact_though_answers_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters.sqlite");
    let runtime = Runtime::new().unwrap();
    let (sink, forgotten) = Forgetful::new(SqliteSink::open(&path).unwrap());
    let stats = counters().runtime(runtime.handle().clone()).build(sink).unwrap();
    let totals = increment_while(&stats, || forgotten.load(Relaxed) < 10);
    let summary = runtime.block_on(stats.close());
    assert_eq!(
        (summary.undelivered.len(), summary.ledger.dropped.total()),
        (0, 0)
    );
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut select = connection.prepare("SELECT key, total FROM counters").unwrap();
    let rows = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let stored: BTreeMap<String, i64> = rows.map(Result::unwrap).collect();
    assert_eq!(stored, totals);
}
