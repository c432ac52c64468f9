//! An HTTP server on loopback that answers from a script.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::read::GzDecoder;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Answers with these bytes.
    Answer(String),
    /// Answers with these bytes and closes the connection.
    AnswerAndHangUp(String),
    /// Reads the request and closes the connection.
    HangUp,
    /// Reads the request and says nothing, with the connection open.
    Silence,
}

/// The answer to a write that is carried out.
pub(crate) fn no_content() -> Step {
    Step::Answer("HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 1.6.7~rc0\r\n\r\n".to_owned())
}

/// An answer as InfluxDB gives it: JSON, with the headers given, each with its line break.
pub(crate) fn json(status: u16, headers: &str, body: &str) -> Step {
    Step::Answer(format!(
        "HTTP/1.1 {status} Something\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// One request as it came.
#[derive(Debug)]
pub(crate) struct Request {
    /// The method, a space, and the path with its query.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Unpacked, if it was compressed.
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Takes one step for each request, in the order in which they come; after the last step it answers that all is well.
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
    requests: Receiver<Request>,
}

impl ScriptedServer {
    pub(crate) fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let script = Mutex::new(script.into_iter().collect::<VecDeque<_>>());
        Self::by(move |_| {
            script
                .lock()
                .expect("no panic")
                .pop_front()
                .unwrap_or_else(no_content)
        })
    }

    /// Answers each request as `rule` says.
    pub(crate) fn by(rule: impl Fn(&Request) -> Step + Send + Sync + 'static) -> Self {
        let rule: Arc<Rule> = Arc::new(rule);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let (sender, requests) = mpsc::channel();
        // It ends with the test program.
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.expect("a connection");
                let (rule, sender) = (Arc::clone(&rule), sender.clone());
                thread::spawn(move || serve(connection, &*rule, &sender));
            }
        });
        Self { url, requests }
    }

    /// The next request that was read; every request that was answered is there.
    pub(crate) fn request(&self) -> Request {
        self.requests.try_recv().expect("one more request")
    }

    /// The number of requests that were not looked at.
    pub(crate) fn requests_left(&self) -> usize {
        self.requests().count()
    }

    /// The requests that were not looked at.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Request> {
        self.requests.try_iter()
    }
}

type Rule = dyn Fn(&Request) -> Step + Send + Sync;

fn serve(connection: TcpStream, rule: &Rule, requests: &Sender<Request>) {
    let mut reader = BufReader::new(connection.try_clone().expect("a clone"));
    let mut writer = connection;
    while let Some(request) = read(&mut reader) {
        let step = rule(&request);
        // The test may have ended.
        let _ = requests.send(request);
        match step {
            Step::Answer(text) => writer.write_all(text.as_bytes()).expect("a client that listens"),
            Step::AnswerAndHangUp(text) => {
                return writer.write_all(text.as_bytes()).expect("a client that listens");
            }
            Step::HangUp => return,
            Step::Silence => {}
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((key, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers.push((key.to_ascii_lowercase(), value.to_owned()));
    }
    let mut request = Request {
        line: line.trim_end().trim_end_matches(" HTTP/1.1").to_owned(),
        headers,
        body: String::new(),
    };
    let mut body = vec![
        0;
        request
            .header("content-length")
            .map_or(0, |length| length.parse().expect("a number"))
    ];
    reader.read_exact(&mut body).ok()?;
    match request.header("content-encoding") {
        Some("gzip") => GzDecoder::new(body.as_slice())
            .read_to_string(&mut request.body)
            .map(drop)
            .expect("gzip"),
        _ => request.body = String::from_utf8(body).expect("text"),
    }
    Some(request)
}
