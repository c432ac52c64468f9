//! Everything against a real InfluxDB 1: the examples, outages, the end of `main`, every character, every refusal.
//!
//! Without `influxd` every test here passes and one line says so; with `BUFFER_REQUIRE_SERVERS=1` it fails instead.

#[path = "influxdb/datagrams.rs"]
mod datagrams;
#[path = "influxdb/doors.rs"]
mod doors;
#[path = "influxdb/limits.rs"]
mod limits;
#[path = "influxdb/million.rs"]
mod million;
#[path = "influxdb/outage.rs"]
mod outage;
mod random_points;
#[path = "influxdb/random_round_trip.rs"]
mod random_round_trip;
#[path = "influxdb/recorder.rs"]
mod recorder;
#[path = "influxdb/refusals.rs"]
mod refusals;
mod reports;
#[path = "influxdb/round_trip.rs"]
mod round_trip;
mod run;
mod servers;

use std::env;
use std::process::Command;
use std::time::Duration;

use buffer_core::BufferBuilder;
use buffer_influx::{Client, InfluxSink, Line, Point, Target, V1, Writer};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::servers::influxd::{InfluxServer, PROGRAM, Switches};
use crate::servers::is_installed;

/// The tests that need a server. Each asks for it by its name, which must be here.
const TESTS: [&str; 25] = [
    "a_million_points_are_stored_once_through_five_crashes_in_bounded_memory",
    "a_line_of_a_conflicting_type_costs_itself_and_the_rest_of_its_batch_is_stored_once",
    "a_new_field_with_two_types_costs_the_points_of_one",
    "a_server_that_hangs_for_longer_than_all_retries_loses_nothing",
    "a_write_above_the_server_s_limit_is_split_and_a_line_above_it_is_refused",
    "an_outage_at_full_speed_loses_nothing_and_stores_nothing_twice",
    "everything_inserted_is_stored_when_main_ends_without_a_close",
    "lines_go_over_tls_and_only_to_a_server_that_is_trusted",
    "no_more_series_than_the_database_may_have_are_stored_and_the_others_are_named",
    "plain_http_to_the_tls_port_holds_the_points",
    "points_are_sent_in_datagrams_and_stored",
    "points_beyond_the_retention_policy_are_named",
    "points_for_a_missing_database_are_held_until_it_is_there",
    "points_for_a_missing_database_create_it_if_they_may",
    "points_for_a_missing_retention_policy_are_held_until_it_is_there",
    "points_wait_for_a_full_write_queue",
    "points_wait_until_a_full_cache_has_room",
    "points_wait_for_the_right_to_write",
    "special_characters_and_extreme_numbers_come_back_as_they_were",
    "the_example_of_a_writer_reports_the_bad_point_and_reads_the_others_back",
    "the_example_s_ledger_is_what_the_database_holds",
    "the_last_interval_is_stored_though_main_ends_without_a_close_and_the_server_is_down",
    "the_sums_of_an_application_s_metrics_are_stored_through_a_crash_of_the_server",
    "three_thousand_bad_lines_in_one_body_are_all_named",
    "twenty_thousand_random_points_come_back_as_they_were",
];

/// A server for the test `name`, or none if none is installed.
fn server_for(name: &str) -> Option<InfluxServer> {
    server_with(name, &Switches::default())
}

/// The same with a configuration of its own.
fn server_with(name: &str, switches: &Switches) -> Option<InfluxServer> {
    assert!(TESTS.contains(&name), "{name} is missing among TESTS");
    is_installed(PROGRAM, "influxdb", &TESTS).then(|| InfluxServer::start_with(switches))
}

fn client(url: &str, target: impl Into<Target>) -> Client {
    Client::builder(url, target).build().unwrap()
}

/// A writer to the database `database` with the settings that the test changes.
fn writer(
    url: &str,
    database: &str,
    settings: impl FnOnce(BufferBuilder<Line>) -> BufferBuilder<Line>,
) -> Writer {
    writer_by(client(url, V1::new(database)), settings)
}

fn writer_by(client: Client, settings: impl FnOnce(BufferBuilder<Line>) -> BufferBuilder<Line>) -> Writer {
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

#[test]
fn the_example_of_a_writer_reports_the_bad_point_and_reads_the_others_back() {
    let Some(server) = server_for("the_example_of_a_writer_reports_the_bad_point_and_reads_the_others_back")
    else {
        return;
    };
    let output = run::example("influx_writer")
        .args(["--url", &server.url(), "--db", "shown"])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    for words in [
        "refused at the door: the point can't be written",
        r#"celsius="warm""#,
        "line 3333 of 5000 was refused with status 400",
        "field type conflict",
        "flushed: 4999 delivered, 1 dropped",
        "closed: 5001 accepted, 5000 delivered, 1 dropped",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert_eq!(server.count("shown", "celsius"), 5_000);
}

/// It has failed on a child that ended by `process::exit` while its runtime was alive.
#[test]
fn everything_inserted_is_stored_when_main_ends_without_a_close() {
    const NAME: &str = "everything_inserted_is_stored_when_main_ends_without_a_close";
    /// Where the child writes to; if it is set, this test is the child.
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
