//! Samples the machine it runs on and writes every point to a file, or to InfluxDB, and shows that none was lost.
//!
//! Five plain threads measure; what they measure goes through a `Writer`, and a `StatBuffer` first sums the bytes of disks and
//! networks. Begin with `run` below.

#![expect(
    unreachable_pub,
    reason = "a program exports nothing, so pub(crate) would say no more"
)]

mod args;
mod buffers;
mod destination;
mod end;
mod failure;
mod file_sink;
mod live;
mod recorder;
mod samplers;
mod sources;
mod table;
mod traffic;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::Ledger;
use sysinfo::System;
use tokio::time::timeout;

use crate::args::{Command, HELP, Settings};
use crate::buffers::{Buffers, Closed};
use crate::destination::Destination;
use crate::end::End;
use crate::failure::Failure;
use crate::live::Live;
use crate::samplers::Samplers;
use crate::table::LedgerTable;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            println!("{HELP}");
            Ok(())
        }
        Ok(Command::Run(settings)) => run(settings).await,
        Err(error) => Err(Failure::Usage(error)),
    };
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("host_metrics: {}", failure.sentence());
    failure.exit_code()
}

/// Opens the destination, samples until the end is reached, closes, and says what became of every point.
async fn run(Settings { duration, target }: Settings) -> Result<(), Failure> {
    let host: Arc<str> = System::host_name()
        .unwrap_or_else(|_| "unknown".to_owned())
        .into();
    let destination = Destination::open(target).await?;
    let end = End::after(duration).map_err(Failure::System)?;
    let buffers = Buffers::start(&destination, &host)?;
    let samplers = Samplers::start(&buffers, &host)?;
    println!("writing to {destination}");

    let live = Live::new();
    live.show_while(end.reached(), || buffers.ledger()).await;
    let (sampled, closed) = live
        .show_while(stop(samplers, &buffers), || buffers.ledger())
        .await;
    drop(live);

    println!("{}", LedgerTable(&closed));
    println!("the data is in {destination}");
    sampled?;
    let Ledger {
        accepted, delivered, ..
    } = closed.total();
    if delivered < accepted {
        return Err(Failure::NotDelivered {
            left: accepted - delivered,
            destination,
        });
    }
    closed
        .sink_error
        .map_or(Ok(()), |error| Err(Failure::Unsynced(error)))
}

/// Lets the samplers end their round before the buffers close.
async fn stop(samplers: Samplers, buffers: &Buffers) -> (Result<(), Failure>, Closed) {
    let mut stopping = tokio::task::spawn_blocking(|| samplers.stop());
    // Only a full buffer can hold up a round for so long. The close then refuses what is left of the round.
    let in_time = timeout(ROUND_AT_MOST, &mut stopping).await;
    let closed = buffers.close().await;
    let joined = match in_time {
        Ok(joined) => joined,
        Err(_) => stopping.await,
    };
    (joined.expect("stopping the samplers does not panic"), closed)
}

const ROUND_AT_MOST: Duration = Duration::from_secs(1);
