//! The ways in which the program fails, each told in one sentence.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use buffer_core::{BuildError, FlushError};
use buffer_influx::{ClientError, PointError};
use thiserror::Error;

use crate::args::UsageError;
use crate::destination::Destination;

/// Why the program could not start, or not go on.
#[derive(Debug, Error)]
pub enum Failure {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error("--url can't be used")]
    Url(#[source] ClientError),
    #[error("no InfluxDB answers at {url}, start it or correct --url")]
    Unreachable { url: String, source: ClientError },
    #[error("the server at {url} refuses to create the database `{db}`, create it there or correct --db")]
    Database {
        url: String,
        db: String,
        source: ClientError,
    },
    #[error("no file can be created in the folder {}, name another one with --folder", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("the settings of a buffer are refused")]
    Buffer(#[from] BuildError),
    #[error("sysinfo can't read this machine, run it on a system that sysinfo supports")]
    Machine(#[from] sysinfo::Error),
    #[error("the system refuses a thread or a signal handler, raise its limits")]
    System(#[source] io::Error),
    #[error("the sampler `{thread}` made a point that can't be written, and ended")]
    BadPoint {
        thread: &'static str,
        source: PointError,
    },
    #[error("the sampler `{thread}` ended with the panic above")]
    Panic { thread: &'static str },
    #[error("{left} points are not in {destination}, see the ledger above for what became of them")]
    NotDelivered { left: u64, destination: Destination },
    #[error("the file was written, but the disk has not confirmed it; check its last lines")]
    Unsynced(#[source] FlushError),
}

impl Failure {
    /// What happened and what to do, with the innermost cause: the layers in between mean nothing to a user.
    pub fn sentence(&self) -> String {
        let mut cause: &dyn StdError = self;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let (told, cause) = (self.to_string(), cause.to_string());
        if told == cause {
            told
        } else {
            format!("{told} ({cause})")
        }
    }

    /// 2 for a wrong command line and 1 for the rest.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) | Self::Url(_) => ExitCode::from(2),
            Self::Unreachable { .. }
            | Self::Database { .. }
            | Self::Folder { .. }
            | Self::Buffer(_)
            | Self::Machine(_)
            | Self::System(_)
            | Self::BadPoint { .. }
            | Self::Panic { .. }
            | Self::NotDelivered { .. }
            | Self::Unsynced(_) => ExitCode::FAILURE,
        }
    }
}
