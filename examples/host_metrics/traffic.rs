//! The counters: how many bytes went each way through an interface or a disk, summed over a window.

use std::sync::Arc;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_influx::{Encoder, Line, Point, PointError};
use buffer_stat::Count;

use crate::destination::Destination;

/// What a counter counts, and thus the series to which it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Traffic {
    pub medium: Medium,
    /// The name of the interface or the disk.
    pub name: String,
    pub direction: Direction,
}

/// What the bytes went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Medium {
    Network,
    Disk,
}

/// Which way the bytes went, as seen from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    In,
    Out,
}

/// Writes each count as a line to the points' destination.
pub struct TrafficSink {
    destination: Destination,
    encoder: Encoder,
    host: Arc<str>,
}

impl TrafficSink {
    /// A sink for the counters of `host`.
    pub fn new(destination: Destination, host: Arc<str>) -> Self {
        Self {
            encoder: destination.encoder(),
            destination,
            host,
        }
    }

    /// The start of the window is the stamp: it names the delta together with the key, so a line that is written twice is stored once.
    /// In a chart it is only near the truth.
    fn line(&self, count: &Count<Traffic>) -> Result<Line, PointError> {
        let Traffic {
            medium,
            name,
            direction,
        } = &count.key;
        let measurement = match medium {
            Medium::Network => "network_bytes",
            Medium::Disk => "disk_bytes",
        };
        let direction = match direction {
            Direction::In => "in",
            Direction::Out => "out",
        };
        let point = Point::new(measurement)
            .tag("host", &self.host)
            .tag("thread", "counters")
            .tag("name", name)
            .tag("direction", direction)
            .field("sample", 1)
            .field("delta", count.delta)
            .timestamp(count.window_start);
        self.encoder.encode(&point)
    }
}

#[async_trait]
impl Flush<Count<Traffic>> for TrafficSink {
    async fn flush(&self, batch: &mut Batch<Count<Traffic>>) -> Result<(), FlushError> {
        let mut lines = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            match self.line(&batch[index]) {
                Ok(line) => lines.push(line),
                Err(reason) => batch.reject(index, reason),
            }
        }
        self.destination.write(&lines).await
    }

    async fn close(&self) -> Result<(), FlushError> {
        self.destination.sync()
    }
}
