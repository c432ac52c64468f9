//! Reads the command line.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt as _};
use thiserror::Error;

/// What `--help` prints.
pub const HELP: &str = "\
Runs a shop that counts and measures with the `metrics` macros, writes that to InfluxDB 1, and compares the sums there with its own.

Usage: recorder --url URL [--db NAME] [--seconds N]

      --url URL    the server, such as http://127.0.0.1:8086
      --db NAME    its database (default: shop), created if it is missing; what it holds of the shop is counted, too
      --seconds N  how long the shop is open (default: 5)
  -h, --help       print this text

Stop the server meanwhile, and start it again: the sums agree all the same.

Exit code: 0 if they do, 1 if not or if it could not start, 2 for a wrong command line.";

/// What the command line asks for.
pub enum Command {
    Help,
    Run {
        url: String,
        database: String,
        open: Duration,
    },
}

/// Why the command line was refused.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("the arguments are not understood, see --help")]
    NotUnderstood(#[from] lexopt::Error),
    #[error(
        "no --url, so there is no server to write to; to start one: apt-get install influxdb && influxd run"
    )]
    Url,
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let (mut url, mut database, mut seconds) = (None, "shop".to_owned(), 5);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("url") => url = Some(parser.value()?.string()?),
            Long("db") => database = parser.value()?.string()?,
            Long("seconds") => seconds = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Command::Run {
        url: url.ok_or(UsageError::Url)?,
        database,
        open: Duration::from_secs(seconds),
    })
}
