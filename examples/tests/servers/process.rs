//! The process of a server, with its folder and its log.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server; its data and its process are gone with its drop.
pub(crate) struct Process {
    folder: TempDir,
    program: &'static str,
    arguments: Vec<OsString>,
    port: u16,
    /// What it answers to when it is ready.
    ready: &'static str,
    child: Child,
}

/// What a healthy server needs only a fraction of.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Also for a count of millions of points.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

impl Process {
    /// Starts `program` with its data in `folder` and waits until something listens on `port`, and answers `ready` if that is a
    /// path.
    ///
    /// # Panics
    ///
    /// When it does not start; its log is in the message.
    pub(crate) fn start(
        folder: TempDir,
        program: &'static str,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        port: u16,
        ready: &'static str,
    ) -> Self {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let child = run(folder.path(), program, &arguments);
        let mut process = Self {
            folder,
            program,
            arguments,
            port,
            ready,
            child,
        };
        process.wait_until_ready();
        process
    }

    /// Where its data is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap()
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Freezes it: connections are accepted by the system, and nothing answers.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after a [`stop`](Self::stop).
    pub(crate) fn cont(&self) {
        self.signal("-CONT");
    }

    /// Has it end as a service manager does, with all that it holds on its disk, and waits until it has.
    pub(crate) fn end(&mut self) {
        self.signal("-TERM");
        self.child.wait().unwrap();
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after an [`end`](Self::end) or a [`kill`](Self::kill), on the same port and data, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.child = run(self.folder.path(), self.program, &self.arguments);
        self.wait_until_ready();
    }

    /// An answer in HTTP/1.0, in which it ends with its connection and comes in one piece: status line, headers and body.
    ///
    /// It does not use the client that is under test.
    pub(crate) fn request(&self, method: &str, path: &str) -> io::Result<String> {
        let mut connection = self.connect()?;
        write!(connection, "{method} {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// The first half of a write to `path`, whose other half never comes: it occupies the server until it is dropped.
    pub(crate) fn half_a_write(&self, path: &str) -> TcpStream {
        let mut connection = self.connect().unwrap();
        write!(
            connection,
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nm v="
        )
        .unwrap();
        connection
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        connection.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(connection)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
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
            .request("GET", self.ready)
            .is_ok_and(|answer| answer.starts_with("HTTP/1.0"))
        {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                panic!("{} does not start: {}", self.program, self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that killed it itself leaves nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, program: &str, arguments: &[OsString]) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// For a path or its parameters.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
