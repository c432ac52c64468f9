//! Runs an application whose metrics go to InfluxDB, and compares the sums there with what it has counted.
//!
//! Begin with `run` below.

#![expect(
    unreachable_pub,
    reason = "a program exports nothing, so pub(crate) would say no more"
)]

mod args;
mod comparison;
mod shop;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use buffer_influx::{Client, InfluxRecorder, InfluxSink, V1};

use crate::args::{Command, HELP};
use crate::comparison::Comparison;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run { url, database, open }) => run(&url, &database, open).await,
        Ok(Command::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("recorder: {error}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("recorder: {}", sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str, database: &str, open: Duration) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(url, V1::new(database)).build()?;

    // 1. The recorder: from here on the macros of `metrics` write to the database, which need not be there yet.
    let recorder = InfluxRecorder::builder(client.encoder().default_tag("shop", "Lisboa"))
        .flush_interval(Duration::from_millis(200))
        .quantiles(&[0.5, 0.99])
        .buffer(|buffer| buffer.backoff(Duration::from_millis(50), Duration::from_millis(500)))
        .install(InfluxSink::new(client.clone()).create_missing_database())?;

    // 2. The application, which knows nothing of it.
    println!("the shop is open");
    let closes = Arc::new(AtomicBool::new(false));
    let shop = tokio::task::spawn_blocking({
        let closes = Arc::clone(&closes);
        move || shop::run(&closes)
    });
    tokio::time::sleep(open).await;
    // Relaxed: the flag publishes nothing, and the join orders the rest.
    closes.store(true, Relaxed);
    let counted = shop.await?;

    // 3. The end: the last interval is written, and everything is accounted for.
    let summary = recorder.close().await;
    let stats = recorder.stats();
    println!(
        "closed: {} points written in {} series, {} retried, {} dropped, {} left over",
        stats.points.delivered,
        stats.series,
        stats.points.retried,
        stats.points.dropped.total(),
        summary.undelivered.len()
    );

    // 4. What is in the database now.
    let comparison = Comparison::read(&client, &counted).await?;
    print!("{comparison}");
    if !comparison.agrees() {
        return Err("the sums in the database are not what was counted, see above".into());
    }
    Ok(())
}

/// An error with its causes, in one line.
fn sentence(error: &dyn Error) -> String {
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        sentence += &format!(": {error}");
        cause = error.source();
    }
    sentence
}
