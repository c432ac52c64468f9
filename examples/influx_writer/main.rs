//! Writes points to InfluxDB, one of them bad, asks for them again, and reports what became of each.
//!
//! Begin with `run` below.

#![expect(
    unreachable_pub,
    reason = "a program exports nothing, so pub(crate) would say no more"
)]

mod args;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use buffer_core::{Outcome, Settled};
use buffer_influx::{Client, InfluxSink, Line, Point, RejectedLine, Target, Writer};

use crate::args::{Command, HELP, HOW_TO_START};

const POINTS: u32 = 5_000;
/// The number of the point that has a text where the others have a number.
const BAD: u32 = 3_333;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run { url, target }) => run(&url, target).await,
        Ok(Command::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Command::HowToStart) => {
            eprintln!("{HOW_TO_START}");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("influx_writer: {error}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("influx_writer: {}", sentence(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str, target: Target) -> Result<(), Box<dyn Error>> {
    let client = Client::builder(url, target).build()?;
    let version = client.ping().await?.version;
    println!(
        "{url} answers, version {}",
        version.as_deref().unwrap_or("unknown")
    );
    if !matches!(client.target(), Target::V2(_)) {
        client.create_database().await?;
    }

    // 1. A writer: each point gets a tag, and whatever is dropped is reported.
    let encoder = client.encoder().default_tag("example", "influx_writer");
    let writer = Writer::builder(encoder)
        .buffer(|buffer| buffer.partitions(1).on_outcome(report))
        .build(InfluxSink::new(client.clone()))?;

    // 2. A point that no server could take is refused at the door.
    if let Err(refused) = writer.write(Point::new("weather").tag("city", "Rome")).await {
        println!("refused at the door: {}", sentence(&refused));
    }

    // 3. A point that somebody waits for: it is stored when this returns.
    let run = SystemTime::now();
    let point = |number: u32| {
        let moment = run + Duration::from_micros(number.into());
        Point::new("weather").tag("city", "São Paulo").timestamp(moment)
    };
    writer.write_sync(point(0).field("celsius", 24.5)).await?;

    // 4. Many points, of which the server refuses one.
    for number in 1..=POINTS {
        let point = match number {
            BAD => point(number).field("celsius", "warm"),
            _ => point(number).field("celsius", f64::from(number) / 100.0),
        };
        writer.write(point).await?;
    }
    let flushed = writer.flush().await;
    println!(
        "flushed: {} delivered, {} dropped",
        flushed.delivered,
        flushed.dropped.total()
    );

    // 5. What is in the database now.
    let since = run.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let query =
        format!("SELECT count(celsius), max(celsius) FROM weather WHERE time >= {since} GROUP BY city");
    for series in client.query(&query).await?.series() {
        println!(
            "stored: {:?} {:?} {:?}",
            series.tags, series.columns, series.values
        );
    }

    // 6. The end: everything that was accepted is accounted for.
    let stats = writer.stats();
    let ledger = writer.close().await.ledger;
    println!(
        "closed: {} accepted, {} delivered, {} dropped",
        ledger.accepted,
        ledger.delivered,
        ledger.dropped.total()
    );
    println!(
        "{} writes, {} failed, {} bytes of lines",
        stats.writes, stats.errors, stats.bytes
    );
    if ledger.delivered != u64::from(POINTS) {
        return Err("not all good points were stored, see above for what became of the others".into());
    }
    Ok(())
}

/// Names each point that is dropped, its reason and its place.
fn report(settled: &Settled<'_, Line>) {
    let Outcome::Dropped(reason) = settled.outcome else {
        return;
    };
    for (index, line) in settled.items.iter().enumerate() {
        let cause = settled.cause(index);
        match cause.and_then(|cause| cause.downcast_ref::<RejectedLine>()) {
            Some(rejected) => println!("rejected: {line}\n          {rejected}"),
            None => println!("dropped ({reason}): {line}"),
        }
    }
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
