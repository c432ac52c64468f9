//! Where the points go: a file or a server, found to be in order before anything is sampled.

use std::fmt;
use std::sync::Arc;

use buffer_core::FlushError;
use buffer_influx::{Client, Dialect, Encoder, Line, V1, WriteError};

use crate::args::Target;
use crate::failure::Failure;
use crate::file_sink::FileSink;

/// Where the points go. Both buffers write to it.
#[derive(Debug, Clone)]
pub enum Destination {
    File(Arc<FileSink>),
    Server { client: Client, url: String },
}

impl Destination {
    /// Creates the file, or asks the server whether it is there and creates the database.
    pub async fn open(target: Target) -> Result<Self, Failure> {
        match target {
            Target::Folder(folder) => match FileSink::create(&folder) {
                Ok(file) => Ok(Self::File(Arc::new(file))),
                Err(source) => Err(Failure::Folder { folder, source }),
            },
            Target::Server { url, db } => {
                let client = Client::builder(&url, V1::new(&db))
                    .build()
                    .map_err(Failure::Url)?;
                if let Err(source) = client.ping().await {
                    return Err(Failure::Unreachable { url, source });
                }
                if let Err(source) = client.create_database().await {
                    return Err(Failure::Database { url, db, source });
                }
                Ok(Self::Server { client, url })
            }
        }
    }

    /// The encoder for what is written there. The file's lines are for any server.
    pub fn encoder(&self) -> Encoder {
        match self {
            Self::File(_) => Encoder::new(Dialect::Influx1),
            Self::Server { client, url: _ } => client.encoder(),
        }
    }

    /// Writes `lines` in one piece, for a sink whose items are not lines.
    pub async fn write(&self, lines: &[Line]) -> Result<(), FlushError> {
        match self {
            Self::File(file) => file.append(lines),
            Self::Server { client, url: _ } => {
                client.write(lines).await.map_err(WriteError::into_flush_error)
            }
        }
    }

    /// Waits until what was written is on the disk; a server sees to that itself.
    pub fn sync(&self) -> Result<(), FlushError> {
        match self {
            Self::File(file) => file.sync(),
            Self::Server { .. } => Ok(()),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "the file {}", file.path().display()),
            Self::Server { url, client } => {
                write!(f, "the database `{}` at {url}", client.target().database())
            }
        }
    }
}
