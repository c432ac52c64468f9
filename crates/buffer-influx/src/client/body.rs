//! Makes the body of a write from its lines.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::line::Line;

/// When the body of a write is compressed.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Client, Gzip, V1};
///
/// let client = Client::builder("http://localhost:8086", V1::new("metrics")).gzip(Gzip::Never).build()?;
/// # drop(client);
/// # Ok::<(), buffer_influx::ClientError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gzip {
    /// A body of more than this many bytes is compressed.
    Above(usize),
    /// No body is compressed: for a server on the same machine, where time is worth more than bytes.
    Never,
}

/// A body as it is sent.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) gzip: bool,
}

impl Body {
    pub(crate) fn new<'a>(lines: impl Iterator<Item = &'a Line> + Clone, gzip: Gzip) -> Self {
        let text = join(lines);
        match gzip {
            Gzip::Above(limit) if text.len() > limit => Self {
                bytes: compress(&text),
                gzip: true,
            },
            Gzip::Above(_) | Gzip::Never => Self {
                bytes: text,
                gzip: false,
            },
        }
    }
}

fn join<'a>(lines: impl Iterator<Item = &'a Line> + Clone) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.clone().map(|line| line.as_bytes().len() + 1).sum());
    for line in lines {
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    text
}

/// Level 1, the fastest: a writer's host is sooner short of time than its network is of room. `benches/gzip.rs` prints what the other
/// levels take and save. It runs where the request is made, as 5,000 lines take a few milliseconds.
fn compress(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::new(1));
    encoder.write_all(text).expect("a Vec takes any number of bytes");
    encoder.finish().expect("a Vec takes any number of bytes")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn a_body_above_the_limit_is_compressed_and_reads_back() {
        let lines: Vec<Line> = (0..100)
            .map(|number| Line::new(format!("m v={number}")))
            .collect();
        let plain = Body::new(lines.iter(), Gzip::Never);
        assert!(
            !plain.gzip && plain.bytes.starts_with(b"m v=0\nm v=1\n") && plain.bytes.ends_with(b"m v=99\n")
        );
        assert!(!Body::new(lines.iter(), Gzip::Above(plain.bytes.len())).gzip);

        let packed = Body::new(lines.iter(), Gzip::Above(plain.bytes.len() - 1));
        assert!(packed.gzip && packed.bytes.len() < plain.bytes.len());
        let mut unpacked = Vec::new();
        GzDecoder::new(packed.bytes.as_slice())
            .read_to_end(&mut unpacked)
            .expect("valid gzip");
        assert_eq!(unpacked, plain.bytes);
    }
}
