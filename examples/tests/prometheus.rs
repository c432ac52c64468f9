//! The example `prometheus`: what is scraped is what the ledger says, after a run with failures.

#[path = "servers/port.rs"]
mod port;
mod run;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

/// The page, as it is scraped.
fn scrape(address: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    page
}

/// The value of a series of the buffer `events`, by its name and the value of its other label.
fn value(page: &str, name: &str, label: Option<&str>) -> Option<f64> {
    let line = page.lines().find(|line| {
        let is_named = line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        let label = label.is_none_or(|label| line.contains(&format!("=\"{label}\"")));
        is_named && line.contains("buffer=\"events\"") && label
    });
    line?.rsplit(' ').next()?.parse().ok()
}

#[test]
fn a_scrape_equals_the_ledger_field_by_field_after_a_run_with_failures() {
    let address = format!("127.0.0.1:{}", port::free_port());
    let mut child = run::example("prometheus")
        .args(["--seconds=2", "--listen", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ledger = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [name, items] if name.starts_with("buffer_") => {
                ledger.insert((name.to_owned(), None), items.parse::<f64>().unwrap());
            }
            [name, reason, items] if name.starts_with("buffer_") => {
                ledger.insert(
                    (name.to_owned(), Some(reason.to_owned())),
                    items.parse::<f64>().unwrap(),
                );
            }
            ["scrape", ..] => break,
            _ => {}
        }
    }
    let page = scrape(&address);
    // The end of its input ends the program.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    assert!(ledger.len() >= 8, "{ledger:?}");
    for ((name, reason), items) in &ledger {
        let scraped = value(&page, name, reason.as_deref());
        assert_eq!(scraped, Some(*items), "{name} {reason:?}\n{page}");
    }
    let (permanent, rejected) = (Some("permanent".to_owned()), Some("rejected".to_owned()));
    for reason in [permanent, rejected] {
        assert!(ledger[&("buffer_items_dropped_total".to_owned(), reason)] > 0.0);
    }
    for result in ["ok", "transient", "uncertain", "unavailable", "permanent"] {
        let attempts = value(&page, "buffer_attempts_total", Some(result));
        assert!(
            attempts.is_some_and(|attempts| attempts > 0.0),
            "{result}\n{page}"
        );
    }
    for metric in buffer_core::metrics::ALL {
        let has_no_value_here = [
            "buffer_items_refused_total",
            "buffer_batch_bytes",
            "buffer_insert_wait_seconds",
        ];
        assert!(
            page.contains(&format!("# HELP {} ", metric.name)) || has_no_value_here.contains(&metric.name),
            "{}\n{page}",
            metric.name
        );
    }
}
