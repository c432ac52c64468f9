//! The whole way against a real InfluxDB 1: the example, an outage, the end of `main`, special characters, refusals.
//!
//! Without `influxd` every test here passes and one line tells of it; with `BUFFER_REQUIRE_SERVERS=1` it fails instead.

#[path = "influxdb/outage.rs"]
mod outage;
#[path = "influxdb/refusals.rs"]
mod refusals;
#[path = "influxdb/round_trip.rs"]
mod round_trip;
mod run;
#[path = "influxdb/server.rs"]
mod server;

use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use buffer_core::Builder;
use buffer_influx::{Client, InfluxSink, Line, Point, Target, V1, Writer};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::server::InfluxServer;

/// The tests that need a server. Each asks for it by its name, which must be here.
const TESTS: [&str; 6] = [
    "the_example_s_ledger_is_what_the_database_holds",
    "an_outage_at_full_speed_loses_nothing_and_stores_nothing_twice",
    "everything_inserted_is_stored_when_main_ends_without_a_close",
    "special_characters_and_extreme_numbers_come_back_as_they_were",
    "a_line_of_a_conflicting_type_costs_itself_and_the_rest_of_its_batch_is_stored_once",
    "points_for_a_missing_database_are_held_until_it_is_there",
];

/// A server for the test `name`, or none, if none is installed.
fn server_for(name: &str) -> Option<InfluxServer> {
    assert!(TESTS.contains(&name), "{name} is missing among TESTS");
    if Command::new(server::PROGRAM)
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .is_ok()
    {
        return Some(InfluxServer::start());
    }
    let required = env::var_os("BUFFER_REQUIRE_SERVERS").is_some_and(|required| required == "1");
    assert!(
        !required,
        "no influxd found, and BUFFER_REQUIRE_SERVERS=1 requires it: apt-get install influxdb"
    );
    static TELL: Once = Once::new();
    TELL.call_once(|| {
        let how = "apt-get install influxdb && cargo test -p buffer-examples";
        let line = format!(
            "skipped, no influxd found: {}; to run them: {how}\n",
            TESTS.join(", ")
        );
        // Not by eprintln!, whose output a passing test keeps to itself.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    None
}

fn client(url: &str, target: impl Into<Target>) -> Client {
    Client::builder(url, target).build().unwrap()
}

/// A writer to the database `database` with the settings that the test changes.
fn writer(url: &str, database: &str, settings: impl FnOnce(Builder<Line>) -> Builder<Line>) -> Writer {
    let client = client(url, V1::new(database));
    Writer::builder(client.encoder())
        .buffer(settings)
        .build(InfluxSink::new(client))
        .unwrap()
}

/// The number in the first row of a series, after the time.
fn number(series: &Value) -> u64 {
    series["values"][0][1].as_u64().unwrap()
}

#[test]
fn the_example_s_ledger_is_what_the_database_holds() {
    let Some(server) = server_for("the_example_s_ledger_is_what_the_database_holds") else {
        return;
    };
    let arguments = ["--seconds", "3", "--url", &server.url(), "--db", "metrics"];
    let output = run::host_metrics().args(arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let stored: u64 = server
        .query("metrics", "SELECT count(sample) FROM /.+/")
        .iter()
        .map(number)
        .sum();
    assert_eq!(stored, run::all_delivered(&stdout));
}

/// It has failed on a child that ended by `process::exit` while its runtime was alive.
#[test]
fn everything_inserted_is_stored_when_main_ends_without_a_close() {
    const NAME: &str = "everything_inserted_is_stored_when_main_ends_without_a_close";
    /// Where the child writes to; with it this test is the child.
    const CHILD_URL: &str = "BUFFER_TEST_CHILD_URL";
    const POINTS: i64 = 12_345;
    if let Ok(url) = env::var(CHILD_URL) {
        return Runtime::new().unwrap().block_on(async {
            // No batch is flushed for its age: the last one leaves in the drain or not at all.
            let writer = writer(&url, "exit", |buffer| {
                buffer.flush_interval(Duration::from_secs(3_600))
            });
            for n in 0..POINTS {
                writer
                    .write(Point::new("load").field("n", n).timestamp_ns(n))
                    .await
                    .unwrap();
            }
        });
    }
    let Some(server) = server_for(NAME) else { return };
    server.create_database("exit");
    let mut child = Command::new(env::current_exe().unwrap());
    let output = child
        .args(["--exact", NAME])
        .env(CHILD_URL, server.url())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(
        server
            .query("exit", "SELECT count(n) FROM load")
            .iter()
            .map(number)
            .sum::<u64>(),
        POINTS as u64
    );
}
