//! Real servers on free loopback ports, that a test may stop, kill and start again.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod influxd;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod victoria_metrics;

use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Once;

/// Whether `program` is installed; if not, one line names the tests that are skipped, once.
///
/// # Panics
///
/// When it is not, and `BUFFER_REQUIRE_SERVERS=1` requires it.
pub(crate) fn is_installed(program: &str, package: &str, tests: &[&str]) -> bool {
    let found = Command::new(program)
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok() {
        return true;
    }
    let required = env::var_os("BUFFER_REQUIRE_SERVERS").is_some_and(|required| required == "1");
    assert!(
        !required,
        "no {program} found, and BUFFER_REQUIRE_SERVERS=1 requires it: apt-get install {package}"
    );
    static TELL: Once = Once::new();
    TELL.call_once(|| {
        let how = format!("apt-get install {package} && cargo test -p buffer-examples");
        let line = format!(
            "skipped, no {program} found: {}; to run them: {how}\n",
            tests.join(", ")
        );
        // Not by eprintln!, whose output a passing test keeps to itself.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    });
    false
}
