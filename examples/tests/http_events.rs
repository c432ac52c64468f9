//! The example `http_events`: its sink against a server that answers by a script, and the program as a whole.

#[path = "../http_events/sink.rs"]
#[expect(unreachable_pub, reason = "it is a module of a program")]
mod sink;

mod run;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use buffer_core::{Buffer, DropReason, Ledger};

use crate::sink::Events;

/// What a request had: its idempotency key and its events.
type Request = (String, Vec<String>);

/// A server that gives the answers of a script, and then 204. Each connection has one request.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// An answer without a text is none: the server hangs up.
    fn new(script: impl IntoIterator<Item = &'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, mut script): (Arc<Mutex<Vec<Request>>>, VecDeque<_>) =
            (Arc::default(), script.into_iter().collect());
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                seen.lock().unwrap().push(read(&mut connection));
                let answer = script.pop_front().unwrap_or("204 No Content");
                if !answer.is_empty() {
                    let head = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    connection.write_all(head.as_bytes()).unwrap();
                }
            }
        });
        Self { url, requests }
    }

    /// What becomes of three events in one batch, and the requests that were made for them.
    async fn settles(&self) -> (Ledger, Vec<Request>) {
        let events = Buffer::builder()
            .partitions(1)
            .backoff(Duration::from_millis(1), Duration::from_millis(1))
            .build(Events::new(&*self.url).unwrap())
            .unwrap();
        let mut three = ["a", "b", "c"].map(str::to_owned).to_vec();
        events.insert_batch(&mut three).await.unwrap();
        let ledger = events.close().await.ledger;
        (ledger, self.requests.lock().unwrap().clone())
    }
}

fn read(connection: &mut TcpStream) -> Request {
    let mut reader = BufReader::new(connection);
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => key = value.to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    (key, body.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_under_the_same_key() {
    for answer in [
        "",
        "500 Internal Server Error",
        "503 Service Unavailable\r\nRetry-After: 0",
    ] {
        let (ledger, requests) = Server::new([answer]).settles().await;
        assert_eq!((ledger.delivered, requests.len()), (3, 2), "{answer}");
        assert_eq!(requests[0], requests[1]);
        assert!(!requests[0].0.is_empty());
    }
}

#[tokio::test]
async fn a_bad_event_costs_itself_alone() {
    // All three, the half with the bad one, the other half.
    let bad = "422 Unprocessable Entity";
    let (ledger, requests) = Server::new([bad, bad]).settles().await;
    let rejected = ledger.dropped.count(DropReason::Rejected);
    assert_eq!((ledger.delivered, rejected, requests.len()), (2, 1, 3));
    assert_eq!(requests[1].1, ["a"]);
}

/// It has failed on a client that follows redirects: it repeats a POST as a GET, without the events.
#[tokio::test]
async fn a_service_that_has_moved_holds_the_events() {
    let server = Server::new(["302 Found\r\nLocation: /login"; 1_000]);
    let events = Buffer::builder()
        .partitions(1)
        .build(Events::new(&*server.url).unwrap())
        .unwrap();
    events.insert("a".to_owned()).await.unwrap();
    let closed = events.close_within(Duration::from_millis(500)).await;
    assert_eq!((closed.ledger.delivered, closed.ledger.dropped.total()), (0, 0));
    assert_eq!(closed.undelivered, ["a"]);
}

#[test]
fn a_url_that_can_t_be_read_is_refused_at_once() {
    for url in ["http//host/events", "http://[", ""] {
        assert!(Events::new(url).is_err(), "{url}");
    }
}

#[tokio::test]
async fn nobody_who_listens_is_an_outage_that_costs_no_event() {
    let url = Server::new([]).url.replace("127.0.0.1", "127.0.0.2");
    let events = Buffer::builder().build(Events::new(url).unwrap()).unwrap();
    events.insert("a".to_owned()).await.unwrap();
    let closed = events.close_within(Duration::from_millis(200)).await;
    assert_eq!(closed.undelivered, ["a"]);
}

#[test]
fn the_program_delivers_a_thousand_events_through_a_hiccup() {
    let server = Server::new(["503 Service Unavailable", ""]);
    let output = run::example("http_events").arg(&server.url).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(text.starts_with("1000 accepted: 1000 delivered"), "{text}");
}

#[test]
fn without_a_url_it_says_what_it_needs() {
    let output = run::example("http_events").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "usage: http_events URL\n"
    );
}
