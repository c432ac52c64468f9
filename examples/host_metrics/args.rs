//! Reads the command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt as _};
use thiserror::Error;

/// What `--help` prints.
pub const HELP: &str = "\
Samples this machine every 100 ms and writes each point to a line-protocol file, or to InfluxDB 1.x.

Usage: host_metrics [--seconds N] [--folder DIR | --url URL --db NAME]

      --seconds N   stop after N seconds (default: run until Ctrl-C)
      --folder DIR  write a new file in DIR (default: host_metrics_data)
      --url URL     write to the server at URL, such as http://127.0.0.1:8086
      --db NAME     the server's database, created if it is missing
  -h, --help        print this text

Exit code: 0 if every accepted point was delivered, 1 if not or if it could not start, 2 for a wrong command line.";

const DEFAULT_FOLDER: &str = "host_metrics_data";

/// What the command line asks for.
pub enum Command {
    Help,
    Run(Settings),
}

/// How to run.
pub struct Settings {
    /// Until Ctrl-C if there is none.
    pub duration: Option<Duration>,
    pub target: Target,
}

/// Where the points are to go.
pub enum Target {
    Folder(PathBuf),
    Server { url: String, db: String },
}

/// Why the command line was refused.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("the arguments are not understood, see --help")]
    NotUnderstood(#[from] lexopt::Error),
    #[error("--seconds takes a whole number above zero, such as 5, and not `{0}`")]
    Seconds(String),
    #[error("--url names a server and --db its database: give both, or neither to write a file")]
    HalfServer,
    #[error("--folder is for a file and --url for a server: give one of them")]
    TwoTargets,
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let (mut duration, mut folder, mut url, mut db) = (None, None, None, None);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("seconds") => duration = Some(seconds(parser.value()?.string()?)?),
            Long("folder") => folder = Some(PathBuf::from(parser.value()?)),
            Long("url") => url = Some(parser.value()?.string()?),
            Long("db") => db = Some(parser.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let target = match (folder, url, db) {
        (None, Some(url), Some(db)) => Target::Server { url, db },
        (folder, None, None) => Target::Folder(folder.unwrap_or_else(|| DEFAULT_FOLDER.into())),
        (None, _, _) => return Err(UsageError::HalfServer),
        (Some(_), _, _) => return Err(UsageError::TwoTargets),
    };
    Ok(Command::Run(Settings { duration, target }))
}

fn seconds(value: String) -> Result<Duration, UsageError> {
    match value.parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(UsageError::Seconds(value)),
    }
}
