//! A server that reads requests to their end, counts what is in them, and answers 204.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

/// A thread for each connection, in this process.
pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

/// Relaxed throughout: read when all answers have arrived.
#[derive(Default)]
struct Seen {
    lines: AtomicU64,
    packed_bytes: AtomicU64,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let seen = Arc::new(Seen::default());
        let counts = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = Arc::clone(&counts);
                // A client that goes away ends its thread.
                thread::spawn(move || serve(stream, &counts).is_ok());
            }
        });
        Self { url, seen }
    }

    /// The lines of all bodies that were not compressed, and the bytes that the others had before they were; counted anew from
    /// here on.
    pub(crate) fn take_counts(&self) -> (u64, u64) {
        let Seen { lines, packed_bytes } = &*self.seen;
        (lines.swap(0, Relaxed), packed_bytes.swap(0, Relaxed))
    }
}

fn serve(stream: TcpStream, seen: &Seen) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut answers = stream.try_clone()?;
    let mut requests = BufReader::with_capacity(256 * 1024, stream);
    let mut body = Vec::new();
    while let Some(head) = read_head(&mut requests)? {
        body.clear();
        match head.length {
            Some(length) => {
                requests.by_ref().take(length).read_to_end(&mut body)?;
            }
            None => read_chunks(&mut requests, &mut body)?,
        }
        if head.gzip {
            // A gzip stream ends with the length of what was compressed.
            let length = body.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
            seen.packed_bytes.fetch_add(u64::from(length), Relaxed);
        } else {
            let breaks = body.iter().filter(|byte| **byte == b'\n').count();
            let last = usize::from(body.last() != Some(&b'\n'));
            seen.lines.fetch_add((breaks + last) as u64, Relaxed);
        }
        answers.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
    }
    Ok(())
}

/// What matters of a request's head.
#[derive(Default)]
struct Head {
    /// None if the body comes in chunks.
    length: Option<u64>,
    gzip: bool,
}

fn read_head(requests: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut head = Head::default();
    let mut line = String::new();
    while requests.read_line(&mut line)? > 2 {
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(length) = header.strip_prefix("content-length: ") {
            head.length = length.parse().ok();
        }
        head.gzip |= header == "content-encoding: gzip";
        line.clear();
    }
    // An empty line ends the head, none at all the connection.
    Ok((!line.is_empty()).then_some(head))
}

fn read_chunks(requests: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut size = String::new();
        requests.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim_end(), 16).map_err(io::Error::other)?;
        requests.by_ref().take(size).read_to_end(body)?;
        requests.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}
