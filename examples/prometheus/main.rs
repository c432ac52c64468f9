//! A service that buffers events for a database that fails now and then, and is scraped by Prometheus.
//!
//! Begin with `run` below.

#![expect(
    unreachable_pub,
    reason = "a program exports nothing, so pub(crate) would say no more"
)]

mod args;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use buffer_core::{Batch, Buffer, Flush, FlushError, Ledger, async_trait};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::time::{Instant, sleep};

use crate::args::{Command, HELP, Run};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(settings)) => run(settings).await,
        Ok(Command::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("prometheus: {error}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prometheus: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Run { listen, seconds }: Run) -> Result<(), Box<dyn Error>> {
    // 1. The recorder, and the page that Prometheus scrapes. Without buckets it would show summaries, which can't be added up over
    //    processes.
    let seconds_buckets = [0.001, 0.01, 0.1, 1.0, 10.0];
    let items_buckets = [1.0, 10.0, 100.0, 1_000.0, 10_000.0];
    PrometheusBuilder::new()
        .with_http_listener(listen)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &seconds_buckets)?
        .set_buckets_for_metric(Matcher::Full("buffer_batch_items".to_owned()), &items_buckets)?
        .install()?;
    println!("http://{listen}/metrics");

    // 2. A buffer: it reports itself, so there is nothing to connect.
    let events = Buffer::builder()
        .name("events")
        .batch_size(500)
        .flush_interval(Duration::from_millis(100))
        .backoff(Duration::from_millis(5), Duration::from_millis(50))
        .dead_letters(Cemetery)
        .build(Database::default())?;

    // 3. The service does its work.
    let end = Instant::now() + seconds;
    let mut number = 0;
    while Instant::now() < end {
        for _ in 0..100 {
            events.insert(number).await?;
            number += 1;
        }
        sleep(Duration::from_millis(5)).await;
    }

    // 4. What the ledger says at the end is what the page says.
    print_ledger(&events.close().await.ledger);
    println!("scrape the page, then end this program with Ctrl-C or the end of its input");
    tokio::select! {
        () = end_of_input() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}

/// A database in trouble: some of its answers are late, some are lost, some refuse one event or everything.
#[derive(Default)]
struct Database {
    attempts: AtomicU64,
}

#[async_trait]
impl Flush<u64> for Database {
    async fn flush(&self, batch: &mut Batch<u64>) -> Result<(), FlushError> {
        // Relaxed: a number that picks the answer.
        match self.attempts.fetch_add(1, Ordering::Relaxed) % 10 {
            1 => return Err(FlushError::transient("deadlock, rolled back")),
            3 => return Err(FlushError::unavailable("the connection is refused")),
            5 => return Err(FlushError::uncertain("the connection broke")),
            9 => return Err(FlushError::permanent("not what the table holds")),
            _ => {}
        }
        for index in 0..batch.len() {
            if batch[index].is_multiple_of(1_000) {
                batch.reject(index, "a round number");
            }
        }
        Ok(())
    }
}

/// Takes what the database does not take.
struct Cemetery;

#[async_trait]
impl Flush<u64> for Cemetery {
    async fn flush(&self, _: &mut Batch<u64>) -> Result<(), FlushError> {
        Ok(())
    }
}

/// Prints the ledger under the names that it has on the page.
fn print_ledger(ledger: &Ledger) {
    println!("buffer_items_accepted_total {}", ledger.accepted);
    println!("buffer_items_delivered_total {}", ledger.delivered);
    for (reason, items) in ledger.dropped.iter() {
        println!("buffer_items_dropped_total {reason} {items}");
    }
    println!("buffer_items_returned_total {}", ledger.returned);
    println!("buffer_items_retried_total {}", ledger.retried);
    println!("buffer_items_dead_lettered_total {}", ledger.dead_lettered);
    println!("buffer_items_pending {}", ledger.pending);
}

async fn end_of_input() {
    // Whatever the input says and however it ends, this is the end.
    let read = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let _ = read.await;
}
