//! A real InfluxDB 1, started for the benchmark and gone with it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use buffer_influx::{Client, V1};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A process of its own, on a free port of loopback, with its data in a temporary folder.
pub(crate) struct InfluxServer {
    pub(crate) url: String,
    process: Child,
    _folder: TempDir,
}

const READY_WITHIN: Duration = Duration::from_secs(30);

impl InfluxServer {
    /// Starts it and waits until it answers; None if the program is not installed.
    pub(crate) fn start(runtime: &Runtime) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let (http, rpc) = (free_port(), free_port());
        let config = folder.path().join("config.toml");
        fs::write(&config, settings(folder.path(), http, rpc)).expect("the folder is ours");
        let log = File::create(folder.path().join("log")).expect("the folder is ours");
        let started = Command::new("influxd")
            .arg("run")
            .arg("-config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => panic!("influxd does not start: {error}"),
        };
        let server = Self {
            url: format!("http://127.0.0.1:{http}"),
            process,
            _folder: folder,
        };
        server.wait(runtime);
        Some(server)
    }

    fn wait(&self, runtime: &Runtime) {
        let client = Client::builder(&self.url, V1::new("none")).no_proxy().build();
        let client = client.expect("the settings make sense");
        let begin = Instant::now();
        while runtime.block_on(client.ping()).is_err() {
            assert!(begin.elapsed() < READY_WITHIN, "influxd does not answer");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for InfluxServer {
    fn drop(&mut self) {
        // If it is gone already, so much the better.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn settings(folder: &Path, http: u16, rpc: u16) -> String {
    let folder = folder.display();
    format!(
        r#"
        reporting-disabled = true
        bind-address = "127.0.0.1:{rpc}"
        [meta]
          dir = "{folder}/meta"
        [data]
          dir = "{folder}/data"
          wal-dir = "{folder}/wal"
        [http]
          bind-address = "127.0.0.1:{http}"
          log-enabled = false
        [monitor]
          store-enabled = false
        "#
    )
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}
