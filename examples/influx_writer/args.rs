//! Reads the command line, and makes the target from it.

use std::env;
use std::ffi::OsString;

use buffer_influx::{Target, V1, V2, V3};
use lexopt::prelude::{Long, Short, ValueExt as _};
use thiserror::Error;

/// What `--help` prints.
pub const HELP: &str = "\
Writes some thousand points to InfluxDB, one of them bad, asks for them again, and reports what became of each.

Usage: influx_writer --url URL [--db NAME] [--api 1|2|3] [--org NAME]

      --url URL   the server, such as http://127.0.0.1:8086
      --db NAME   its database or bucket (default: buffer_example), created if it is missing, but for a bucket of version 2
      --api N     the server's version: 1 (default), 2 or 3
      --org NAME  the organization, for version 2
  -h, --help      print this text

The token for versions 2 and 3 is read from the variable INFLUX_TOKEN.

Exit code: 0 if all points but the bad one were stored, 1 if not or if it could not start, 2 for a wrong command line.";

/// What is printed without a `--url`.
pub const HOW_TO_START: &str = "\
influx_writer: no --url, so there is no server to write to. To start one:

  apt-get install influxdb          # Debian's InfluxDB 1.6
  influxd run &

or, with any container runtime:

  docker run --rm -p 8086:8086 influxdb:1.8

and then:

  cargo run --release --example influx_writer -- --url http://127.0.0.1:8086";

/// What the command line asks for.
pub enum Command {
    Help,
    HowToStart,
    Run { url: String, target: Target },
}

/// Why the command line was refused.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("the arguments are not understood, see --help")]
    NotUnderstood(#[from] lexopt::Error),
    #[error("--api is the server's version, 1, 2 or 3, and not `{0}`")]
    Api(String),
    #[error("version 2 needs the organization: give --org")]
    Org,
    #[error("version {0} needs a token: set the variable INFLUX_TOKEN")]
    Token(&'static str),
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let (mut url, mut org) = (None, None);
    let (mut database, mut api) = ("buffer_example".to_owned(), "1".to_owned());
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("url") => url = Some(parser.value()?.string()?),
            Long("db") => database = parser.value()?.string()?,
            Long("api") => api = parser.value()?.string()?,
            Long("org") => org = Some(parser.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(url) = url else {
        return Ok(Command::HowToStart);
    };
    let target = match api.as_str() {
        "1" => V1::new(database).into(),
        "2" => V2::new(org.ok_or(UsageError::Org)?, database, token("2")?).into(),
        "3" => V3::new(database, token("3")?).into(),
        _ => return Err(UsageError::Api(api)),
    };
    Ok(Command::Run { url, target })
}

fn token(version: &'static str) -> Result<String, UsageError> {
    env::var("INFLUX_TOKEN").map_err(|_| UsageError::Token(version))
}
