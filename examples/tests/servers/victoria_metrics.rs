//! A real VictoriaMetrics.

use std::ops::{Deref, DerefMut};

use serde_json::Value;

use crate::servers::port::free_port;
use crate::servers::process::{Process, percent_encoded};

/// The server's program.
pub(crate) const PROGRAM: &str = "victoria-metrics";

/// A running VictoriaMetrics.
pub(crate) struct VictoriaMetrics {
    process: Process,
}

impl VictoriaMetrics {
    /// Starts a server with these arguments besides, and waits until it answers.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut all = vec![
            format!("-storageDataPath={}/data", folder.path().display()),
            format!("-httpListenAddr=127.0.0.1:{port}"),
            "-retentionPeriod=100y".to_owned(),
            "-loggerLevel=ERROR".to_owned(),
        ];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self {
            process: Process::start(folder, PROGRAM, all, port, "/health"),
        }
    }

    /// Everything that is stored: `metric`, `values` and `timestamps` in milliseconds of each series.
    pub(crate) fn export(&self) -> Vec<Value> {
        self.request("GET", "/internal/force_flush").unwrap();
        let matching = percent_encoded(r#"{__name__=~".+"}"#);
        let path = format!("/api/v1/export?match%5B%5D={matching}&start=0&end=9999999999");
        let answer = self.request("GET", &path).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        body.lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// All values that are stored, of all series.
    pub(crate) fn values(&self) -> Vec<f64> {
        let series = self.export();
        let values = series
            .iter()
            .flat_map(|series| series["values"].as_array().unwrap());
        values.map(|value| value.as_f64().unwrap()).collect()
    }
}

impl Deref for VictoriaMetrics {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for VictoriaMetrics {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
