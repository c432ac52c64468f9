//! Makes an answer of any bytes, judges it, and looks for the lines that it names.

use buffer_influx::{Dialect, Encoder, Line, Point, Refusal};

/// A status, a `Retry-After` and a body are divided by this character, so that seeds are easy to write.
const DIVIDER: char = '|';

/// # Panics
///
/// When the answer is said to name a line that was not sent, or one twice.
pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, DIVIDER);
    let status = parts.next().and_then(|status| status.parse().ok()).unwrap_or(400);
    let (retry_after, body) = (parts.next(), parts.next().unwrap_or_default());
    let Some(refusal) = Refusal::from_answer(status, retry_after, body) else {
        return;
    };
    assert!(refusal.to_string().len() < 3_000);
    let lines = lines();
    let mut named: Vec<usize> = refusal
        .named_lines(&lines)
        .iter()
        .map(|(index, _)| *index)
        .collect();
    assert!(named.iter().all(|index| *index < lines.len()), "{named:?}");
    named.sort_unstable();
    let count = named.len();
    named.dedup();
    assert_eq!(named.len(), count, "a line is named twice");
}

/// `m v=0i 0`, `m v=1i 1` and so on, the first of them twice.
fn lines() -> Vec<Line> {
    let encoder = Encoder::new(Dialect::Influx1);
    let line = |n: i64| encoder.encode(&Point::new("m").field("v", n).timestamp_ns(n));
    [0, 0, 1, 2, 3, 4, 5]
        .into_iter()
        .filter_map(|n| line(n).ok())
        .collect()
}
