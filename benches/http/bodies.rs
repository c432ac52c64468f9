//! The bound: finished bodies, sent by two tasks as fast as the server takes them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Client;
use reqwest::header::CONTENT_ENCODING;
use tokio::runtime::Runtime;

use crate::clock::Clock;

/// The body of a request.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    gzip: bool,
}

/// How many requests are under way.
const TASKS: usize = 2;

impl Body {
    pub(crate) fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, gzip: false }
    }

    /// Compressed, as the writer does it by default.
    pub(crate) fn packed(self) -> Self {
        let room = Vec::with_capacity(self.bytes.len() / 4);
        let mut encoder = GzEncoder::new(room, Compression::new(1));
        let written = encoder.write_all(&self.bytes);
        written.expect("a Vec takes any number of bytes");
        Self {
            bytes: encoder.finish().expect("a Vec takes any number of bytes"),
            gzip: true,
        }
    }
}

/// Does what is left to do with every body, sends it and waits for the answers; says how many seconds of the clock it took.
pub(crate) fn send(
    runtime: &Runtime,
    client: &Client,
    url: &str,
    bodies: Vec<Body>,
    finish: fn(Body) -> Body,
    clock: Clock,
) -> f64 {
    let mut shares: Vec<Vec<Body>> = vec![Vec::new(); TASKS];
    for (index, body) in bodies.into_iter().enumerate() {
        shares[index % TASKS].push(body);
    }
    runtime.block_on(async {
        let begin = clock();
        let tasks: Vec<_> = shares
            .into_iter()
            .map(|share| tokio::spawn(send_in_turn(client.clone(), url.to_owned(), share, finish)))
            .collect();
        for task in tasks {
            task.await.expect("the server answers");
        }
        clock() - begin
    })
}

async fn send_in_turn(client: Client, url: String, bodies: Vec<Body>, finish: fn(Body) -> Body) {
    for body in bodies {
        let Body { bytes, gzip } = finish(body);
        let mut request = client.post(&url);
        if gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        let answer = request.body(bytes).send().await.expect("the server answers");
        assert_eq!(answer.status(), 204);
    }
}
