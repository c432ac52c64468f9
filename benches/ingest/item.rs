//! What is inserted.

use std::fmt::Debug;

/// Something that can be made from a number, and adds up.
pub(crate) trait Item: Clone + Debug + Send + Sync + 'static {
    const NAME: &'static str;

    fn new(number: u64) -> Self;

    /// Its share of the total that is checked.
    fn value(&self) -> u64;

    /// What is appended to a log for it.
    fn bytes(&self) -> &[u8];
}

impl Item for u64 {
    const NAME: &'static str = "u64";

    fn new(number: u64) -> Self {
        number
    }

    fn value(&self) -> u64 {
        *self
    }

    fn bytes(&self) -> &[u8] {
        &[]
    }
}

/// 32 bytes, as a measurement with a moment has.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    number: u64,
    _rest: [u64; 3],
}

impl Item for Record {
    const NAME: &'static str = "32-byte struct";

    fn new(number: u64) -> Self {
        Self {
            number,
            _rest: [number; 3],
        }
    }

    fn value(&self) -> u64 {
        self.number
    }

    fn bytes(&self) -> &[u8] {
        &[]
    }
}

const TEXT: &str = "2026-01-02T03:04:05.678901234Z INFO request{method=GET path=/index.html status=200}: finished in 17 ms\n";

impl Item for String {
    const NAME: &'static str = "100-byte String";

    fn new(_: u64) -> Self {
        TEXT[..100].to_owned()
    }

    fn value(&self) -> u64 {
        self.len() as u64
    }

    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}
