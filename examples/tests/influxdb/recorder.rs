//! An application's metrics through a crash of the server, and through the end of the application.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use buffer_influx::{Client, InfluxRecorder, InfluxSink, V1};
use metrics::{counter, gauge, histogram};
use tokio::runtime::Runtime;

use crate::servers::influxd::InfluxServer;
use crate::{run, server_for};

/// The number in the first row that a query finds, after the time.
fn number(server: &InfluxServer, database: &str, query: &str) -> f64 {
    let series = server.query(database, query);
    series[0]["values"][0][1].as_f64().expect(query)
}

/// It has failed on stamps of whole seconds, where one interval's points overwrite another's.
#[test]
fn the_sums_of_an_application_s_metrics_are_stored_through_a_crash_of_the_server() {
    let Some(mut server) =
        server_for("the_sums_of_an_application_s_metrics_are_stored_through_a_crash_of_the_server")
    else {
        return;
    };
    server.create_database("shop");
    let mut child = run::example("recorder")
        .args(["--url", &server.url(), "--db", "shop", "--seconds", "4"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("the shop is open"));
    // The outage of the scenario: it begins when there is something stored, and takes a second of the four.
    while server.query("shop", "SELECT * FROM orders LIMIT 1").is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    server.kill();
    thread::sleep(Duration::from_secs(1));
    server.restart();
    let output: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success(), "{output:#?}");

    let words: Vec<&str> = output[0].split(' ').collect();
    assert!(output[0].ends_with(" 0 dropped, 0 left over"), "{output:#?}");
    let retried = words.iter().position(|word| *word == "retried,").unwrap() - 1;
    assert_ne!(words[retried], "0", "the outage was not felt: {output:#?}");
    let counted = |what: &str| -> f64 {
        let row = output
            .iter()
            .find_map(|line| line.strip_prefix(what)?.strip_prefix(": counted "));
        row.and_then(|row| row.split_once(',')?.0.parse().ok())
            .expect(what)
    };
    let orders: f64 = ["Brasil", "Moçambique", "Portugal"]
        .map(|country| counted(&format!("orders from {country}")))
        .iter()
        .sum();
    assert!(orders > 1_000.0, "{output:#?}");
    for (what, query) in [
        ("values of orders", "SELECT sum(\"count\") FROM order_value"),
        ("their sum", "SELECT sum(\"sum\") FROM order_value"),
        ("steps", "SELECT sum(delta) FROM steps"),
        (
            "queue of clerk 3",
            "SELECT last(gauge) FROM queue WHERE clerk = '3'",
        ),
    ] {
        assert_eq!(number(&server, "shop", query), counted(what), "{what}");
    }
    assert_eq!(number(&server, "shop", "SELECT sum(delta) FROM orders"), orders);
}

/// It has failed on a recorder whose buffer does not ask for the last interval.
#[test]
fn the_last_interval_is_stored_though_main_ends_without_a_close_and_the_server_is_down() {
    const NAME: &str = "the_last_interval_is_stored_though_main_ends_without_a_close_and_the_server_is_down";
    /// Where the child writes to; with it this test is the child.
    const CHILD_URL: &str = "BUFFER_TEST_CHILD_URL";
    const COUNT: u64 = 12_345;
    if let Ok(url) = env::var(CHILD_URL) {
        return Runtime::new().unwrap().block_on(async {
            let client = Client::builder(&url, V1::new("exit")).build().unwrap();
            // No interval ends: the only one leaves in the drain or not at all.
            InfluxRecorder::builder(client.encoder())
                .flush_interval(Duration::from_secs(3_600))
                .flush_jitter(Duration::ZERO)
                .install(InfluxSink::new(client))
                .unwrap();
            for n in 0..COUNT {
                counter!("load").increment(1);
                histogram!("load").record(n as f64);
                gauge!("load").set(n as f64);
            }
            println!("\ncounted");
            std::io::stdin().read_line(&mut String::new()).unwrap();
        });
    }
    let Some(mut server) = server_for(NAME) else {
        return;
    };
    server.create_database("exit");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("recorder::{NAME}"), "--nocapture"])
        .env(CHILD_URL, server.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "counted"));
    server.kill();
    child.stdin.take().unwrap().write_all(b"end\n").unwrap();
    // The outage of the scenario; the child is in its drain meanwhile.
    thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "it ended without a server");
    server.restart();
    assert!(child.wait().unwrap().success());

    let count = COUNT as f64;
    assert_eq!(number(&server, "exit", "SELECT sum(delta) FROM load"), count);
    assert_eq!(number(&server, "exit", "SELECT sum(\"count\") FROM load"), count);
    let sum = count * (count - 1.0) / 2.0;
    assert_eq!(number(&server, "exit", "SELECT sum(\"sum\") FROM load"), sum);
    assert_eq!(
        number(&server, "exit", "SELECT last(gauge) FROM load"),
        count - 1.0
    );
}
