//! A real InfluxDB 1.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use serde_json::Value;

use crate::servers::port::free_port;
use crate::servers::process::{Process, percent_encoded};

/// The server's program.
pub(crate) const PROGRAM: &str = "influxd";

/// A running InfluxDB 1.
pub(crate) struct InfluxServer {
    process: Process,
    /// Where it takes datagrams for the database `udp`.
    pub(crate) udp_port: u16,
}

/// What a server's configuration has besides: lines of TOML.
#[derive(Default)]
pub(crate) struct Switches {
    pub(crate) http: String,
    pub(crate) data: String,
}

impl InfluxServer {
    /// Starts a server with no databases, and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with(&Switches::default())
    }

    /// The same with a configuration of its own.
    pub(crate) fn start_with(Switches { http, data }: &Switches) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (http_port, rpc_port, udp_port) = (free_port(), free_port(), free_port());
        let path = folder.path().to_str().unwrap();
        let config = format!(
            r#"
            reporting-disabled = true
            bind-address = "127.0.0.1:{rpc_port}"
            [meta]
              dir = "{path}/meta"
            [data]
              dir = "{path}/data"
              wal-dir = "{path}/wal"
              {data}
            [http]
              bind-address = "127.0.0.1:{http_port}"
              log-enabled = false
              {http}
            [[udp]]
              enabled = true
              bind-address = "127.0.0.1:{udp_port}"
              database = "udp"
              batch-timeout = "100ms"
            [monitor]
              store-enabled = false
            "#
        );
        let file = folder.path().join("config.toml");
        fs::write(&file, config).unwrap();
        let arguments = ["run".into(), "-config".into(), file.into_os_string()];
        Self {
            process: Process::start(folder, PROGRAM, arguments, http_port, "/ping"),
            udp_port,
        }
    }

    /// Creates the database `name`.
    pub(crate) fn create_database(&self, name: &str) {
        self.query("", &format!("CREATE DATABASE {name}"));
    }

    /// The series that a query finds, with times in nanoseconds.
    pub(crate) fn query(&self, database: &str, query: &str) -> Vec<Value> {
        self.query_by("", database, query)
    }

    /// The same with a login, such as `&u=user&p=password`.
    pub(crate) fn query_by(&self, login: &str, database: &str, query: &str) -> Vec<Value> {
        let path = format!(
            "/query?db={database}&epoch=ns{login}&q={}",
            percent_encoded(query)
        );
        let answer = self.request("POST", &path).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").expect(&answer);
        let mut body: Value = serde_json::from_str(body).expect(&answer);
        assert!(body["error"].is_null(), "{query}: {answer}");
        assert!(body["results"][0]["error"].is_null(), "{query}: {answer}");
        match body["results"][0]["series"].take() {
            Value::Array(series) => series,
            _ => Vec::new(),
        }
    }

    /// Starts it again after a [`kill`](Process::kill), as [`restart`](Process::restart), without the torn end of its write-ahead
    /// log.
    ///
    /// A write that a crash cuts off was not confirmed, but InfluxDB 1.6.7 leaves what is there of it in the log and appends behind
    /// it. When it starts the next time it reads up to that place, and has lost what it has confirmed since: a second crash
    /// costs data that no client can save.
    pub(crate) fn restart_mended(&mut self) {
        mend(&self.process.folder().join("wal"));
        self.process.restart();
    }

    /// How many points of the database have the field `field`.
    pub(crate) fn count(&self, database: &str, field: &str) -> u64 {
        let series = self.query(database, &format!("SELECT count({field}) FROM /.+/"));
        series
            .iter()
            .map(|series| series["values"][0][1].as_u64().unwrap())
            .sum()
    }
}

/// Cuts the torn ends of all files in a folder of write-ahead logs, whose entries are a byte, a length of four bytes, and as many
/// bytes.
fn mend(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            mend(&path);
            continue;
        }
        let log = fs::read(&path).unwrap();
        let mut whole = 0;
        while let Some(length) = log.get(whole + 1..whole + 5) {
            let length = u32::from_be_bytes(length.try_into().unwrap());
            let end = whole + 5 + length as usize;
            if end > log.len() {
                break;
            }
            whole = end;
        }
        fs::write(&path, &log[..whole]).unwrap();
    }
}

impl Deref for InfluxServer {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for InfluxServer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
