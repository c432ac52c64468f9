//! Runs the built examples, and reads the ledger that `host_metrics` prints.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::env::{consts::EXE_SUFFIX, current_exe};
use std::process::Command;

/// The example `host_metrics`.
pub(crate) fn host_metrics() -> Command {
    example("host_metrics")
}

/// The example `name`, which `cargo test` builds next to the tests.
pub(crate) fn example(name: &str) -> Command {
    let test = current_exe().expect("the path of the running test");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("a test lies in <target>/<profile>/deps");
    let example = profile.join("examples").join(format!("{name}{EXE_SUFFIX}"));
    assert!(
        example.exists(),
        "{} is missing: run `cargo build -p buffer-examples --examples`",
        example.display()
    );
    Command::new(example)
}

/// The points that were delivered, by the last row of the ledger in `stdout`.
///
/// # Panics
///
/// When the ledger is missing, or when a point was not delivered.
pub(crate) fn all_delivered(stdout: &str) -> u64 {
    let row = stdout
        .lines()
        .find_map(|line| line.strip_prefix("| total"))
        .expect(stdout);
    let numbers: Vec<u64> = row
        .split('|')
        .filter_map(|cell| cell.trim().parse().ok())
        .collect();
    let [accepted, delivered, dropped, returned, pending, _retried] = numbers[..] else {
        panic!("{row}")
    };
    assert_eq!(
        (delivered, dropped, returned, pending),
        (accepted, 0, 0, 0),
        "{stdout}"
    );
    delivered
}
