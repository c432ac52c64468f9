//! A million points through five crashes of the server.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use buffer_influx::Point;
use tokio::runtime::Runtime;

use crate::{server_for, writer};

const NAME: &str = "a_million_points_are_stored_once_through_five_crashes_in_bounded_memory";
const POINTS: i64 = 1_000_000;
const CRASHES: u64 = 5;
/// The buffer holds 100,000 lines of less than 100 bytes; the rest is the program, its runtime and the requests.
const MEMORY_KIB_AT_MOST: u64 = 64 * 1024;

/// Where the child writes to; with it this test is the child.
const CHILD_URL: &str = "BUFFER_TEST_CHILD_URL";

#[test]
fn a_million_points_are_stored_once_through_five_crashes_in_bounded_memory() {
    if let Ok(url) = env::var(CHILD_URL) {
        return write_all(&url);
    }
    let Some(mut server) = server_for(NAME) else {
        return;
    };
    server.create_database("million");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("million::{NAME}"), "--nocapture"])
        .env(CHILD_URL, server.url())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut crashes = 0;
    let mut end = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "crash" {
            server.kill();
            std::thread::sleep(Duration::from_millis(300));
            server.restart_mended();
            crashes += 1;
        }
        if let Some(numbers) = line.strip_prefix("end ") {
            end = Some(
                numbers
                    .split(' ')
                    .map(|number| number.parse().unwrap())
                    .collect::<Vec<u64>>(),
            );
        }
    }
    assert!(child.wait().unwrap().success());
    let [delivered, retried, memory_kib] = end.unwrap()[..] else {
        panic!("three numbers")
    };
    assert_eq!((delivered, crashes), (POINTS as u64, CRASHES));
    assert!(retried > 0, "the crashes were not felt");
    assert!(memory_kib < MEMORY_KIB_AT_MOST, "{memory_kib} KiB");
    // Each has a moment of its own, so what is stored twice would count once; its value says that it is the right one.
    assert_eq!(server.count("million", "n"), POINTS as u64, "{}", server.log());
    let sum = &server.query("million", "SELECT sum(n) FROM load")[0]["values"][0][1];
    assert_eq!(sum.as_i64(), Some(POINTS * (POINTS - 1) / 2));
}

/// The child: writes all points, and asks for a crash whenever a sixth of them is through.
fn write_all(url: &str) {
    let runtime = Runtime::new().unwrap();
    let writer = writer(url, "million", |buffer| {
        buffer
            .runtime(runtime.handle().clone())
            .partitions(2)
            .batch_size(5_000)
            .capacity(100_000)
            .backoff(Duration::from_millis(50), Duration::from_millis(500))
            .drain_timeout(Duration::from_secs(60))
    });
    let mut crashes = 0;
    for n in 0..POINTS {
        let point = Point::new("load").tag("host", "a").field("n", n).timestamp_ns(n);
        writer.write_blocking(point).unwrap();
        if n % 1_000 == 0 && crashes < CRASHES {
            let through = writer.ledger().delivered;
            if through > (crashes + 1) * POINTS as u64 / (CRASHES + 1) {
                crashes += 1;
                println!("\ncrash");
            }
        }
    }
    let ledger = runtime.block_on(writer.close()).ledger;
    println!(
        "\nend {} {} {}",
        ledger.delivered,
        ledger.retried,
        peak_memory_kib()
    );
}

fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
