//! A real InfluxDB 1 on free loopback ports, that a test may stop, kill and start again.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The server's program.
pub(crate) const PROGRAM: &str = "influxd";

/// A running server; its data and its process are gone with its drop.
pub(crate) struct InfluxServer {
    folder: TempDir,
    http_port: u16,
    process: Child,
}

/// What a healthy server needs only a fraction of.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Also for a count of millions of points.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

impl InfluxServer {
    /// Starts a server with no databases, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When there is none, or when it does not start; its log is in the message.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (http_port, rpc_port) = (free_port(), free_port());
        let data = folder.path().to_str().unwrap();
        let config = format!(
            r#"
            reporting-disabled = true
            bind-address = "127.0.0.1:{rpc_port}"
            [meta]
              dir = "{data}/meta"
            [data]
              dir = "{data}/data"
              wal-dir = "{data}/wal"
            [http]
              bind-address = "127.0.0.1:{http_port}"
              log-enabled = false
            [monitor]
              store-enabled = false
            "#
        );
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let process = run(&folder);
        let mut server = Self {
            folder,
            http_port,
            process,
        };
        server.wait_until_ready();
        server
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Freezes it: connections are accepted by the system, and nothing answers.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after a [`stop`](Self::stop).
    pub(crate) fn cont(&self) {
        self.signal("-CONT");
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again after a [`kill`](Self::kill), on the same port and data, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.process = run(&self.folder);
        self.wait_until_ready();
    }

    /// Creates the database `name`.
    pub(crate) fn create_database(&self, name: &str) {
        self.query("", &format!("CREATE DATABASE {name}"));
    }

    /// The series that a query finds, with times in nanoseconds.
    ///
    /// It does not use the client that is under test.
    pub(crate) fn query(&self, database: &str, query: &str) -> Vec<Value> {
        let path = format!("/query?db={database}&epoch=ns&q={}", percent_encoded(query));
        let answer = self.request("POST", &path).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").expect(&answer);
        let mut body: Value = serde_json::from_str(body).expect(&answer);
        assert!(body["results"][0]["error"].is_null(), "{query}: {answer}");
        match body["results"][0]["series"].take() {
            Value::Array(series) => series,
            _ => Vec::new(),
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY_WITHIN;
        while !self
            .request("GET", "/ping")
            .is_ok_and(|answer| answer.contains(" 204 "))
        {
            let ended = self.process.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                panic!(
                    "influxd does not start: {}",
                    fs::read_to_string(self.folder.path().join("log")).unwrap()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// HTTP/1.0, in which an answer ends with its connection and comes in one piece.
    fn request(&self, method: &str, path: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.http_port))?;
        connection.set_read_timeout(Some(ANSWER_WITHIN))?;
        write!(connection, "{method} {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for InfluxServer {
    fn drop(&mut self) {
        // A test that killed it itself leaves nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(folder: &TempDir) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    Command::new(PROGRAM)
        .arg("run")
        .arg("-config")
        .arg(folder.path().join("config.toml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A port below those that the system gives to connections: while the server is down, none of them takes its port.
fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // The process's id sets test programs apart that run at the same time.
    let offset = std::process::id() as u16;
    loop {
        // Relaxed: only the number counts, it publishes nothing.
        let port = FIRST + offset.wrapping_add(NEXT.fetch_add(1, Relaxed)) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
