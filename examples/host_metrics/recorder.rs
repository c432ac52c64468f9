//! A sampler thread's way into the buffers: tags, numbers and stamps what it measures.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use buffer_influx::{Point, PointError, WritePointBlockingError};

use crate::buffers::Buffers;
use crate::traffic::Traffic;

/// The recorder of one thread.
///
/// Invariant: `last_stamp` rises with each point, so no two points of the thread overwrite each other.
pub struct Recorder {
    buffers: Buffers,
    host: Arc<str>,
    thread: &'static str,
    /// The number of the sampling round, from 1.
    sample: i64,
    last_stamp: i64,
}

/// Why a sampler ends.
pub enum Stopped {
    /// The buffers are closed.
    Closed,
    /// A point can't be written: the sampler made it wrong.
    BadPoint(PointError),
}

impl Recorder {
    /// The recorder of `thread` on `host`.
    pub fn new(buffers: Buffers, host: Arc<str>, thread: &'static str) -> Self {
        Self {
            buffers,
            host,
            thread,
            sample: 0,
            last_stamp: 0,
        }
    }

    /// Begins the next sampling round.
    pub fn begin_round(&mut self) {
        self.sample += 1;
    }

    /// Hands a point to the buffer, and waits while that is full.
    pub fn point(&mut self, point: Point) -> Result<(), Stopped> {
        self.last_stamp = now_ns().max(self.last_stamp + 1);
        let point = point
            .tag("host", &self.host)
            .tag("thread", self.thread)
            .field("sample", self.sample)
            .timestamp_ns(self.last_stamp);
        match self.buffers.points.write_blocking(point) {
            Ok(()) => Ok(()),
            Err(WritePointBlockingError::Invalid { reason, point: _ }) => Err(Stopped::BadPoint(reason)),
            Err(_) => Err(Stopped::Closed),
        }
    }

    /// Adds to a counter. No bytes are not worth a line, so then nothing is added.
    pub fn traffic(&self, traffic: &Traffic, bytes: u64) -> Result<(), Stopped> {
        if bytes == 0 {
            return Ok(());
        }
        self.buffers
            .counters
            .increment(traffic, integer(bytes))
            .map_err(|_closed| Stopped::Closed)
    }
}

/// InfluxDB's integers are signed; no machine counts more bytes or packets than they hold.
pub fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
