//! Posts events to a service over HTTP, in batches, through any outage that the drain outlives.
//!
//! Begin with `run` below; the sink, to copy, is in `sink.rs`.

#![expect(
    unreachable_pub,
    reason = "a program exports nothing, so pub(crate) would say no more"
)]

mod sink;

use std::error::Error;
use std::process::ExitCode;

use buffer_core::{Buffer, Ledger};

use crate::sink::Events;

const EVENTS: u32 = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1).filter(|url| url.starts_with("http")) else {
        eprintln!("usage: http_events URL");
        return ExitCode::from(2);
    };
    match run(url).await {
        Ok(ledger) if ledger.delivered == ledger.accepted => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("http_events: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: String) -> Result<Ledger, Box<dyn Error>> {
    let events = Buffer::builder()
        .name("events")
        .batch_size(100)
        .build(Events::new(url)?)?;
    for number in 0..EVENTS {
        events.insert(format!("event {number}")).await?;
    }
    // What can't be delivered in time comes back: a service would keep it for its next start.
    let summary = events.close().await;
    println!("{}", summary.ledger);
    Ok(summary.ledger)
}
