//! Reads the command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt as _};
use thiserror::Error;

/// What `--help` prints.
pub const HELP: &str = "\
Buffers events for a database that fails now and then, and shows the buffer's metrics as a page for Prometheus.

Usage: prometheus [--listen ADDRESS] [--seconds N]

      --listen ADDRESS  where the page is (default: 127.0.0.1:9100)
      --seconds N       how long events are inserted (default: 10)
  -h, --help            print this text

Exit code: 0, or 1 if the page could not be shown, or 2 for a wrong command line.";

/// What the command line asks for.
pub enum Command {
    Help,
    Run(Run),
}

/// The settings of a run.
pub struct Run {
    pub listen: SocketAddr,
    pub seconds: Duration,
}

/// Why the command line was refused.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("the arguments are not understood, see --help")]
    NotUnderstood(#[from] lexopt::Error),
    #[error("--listen is an address and a port, such as 127.0.0.1:9100")]
    Listen,
    #[error("--seconds is a number above zero")]
    Seconds,
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut run = Run {
        listen: SocketAddr::from(([127, 0, 0, 1], 9100)),
        seconds: Duration::from_secs(10),
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("listen") => run.listen = parser.value()?.parse().map_err(|_| UsageError::Listen)?,
            Long("seconds") => {
                let seconds: f64 = parser.value()?.parse().map_err(|_| UsageError::Seconds)?;
                let seconds = Duration::try_from_secs_f64(seconds).map_err(|_| UsageError::Seconds)?;
                run.seconds = Some(seconds)
                    .filter(|seconds| !seconds.is_zero())
                    .ok_or(UsageError::Seconds)?;
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Run(run))
}
