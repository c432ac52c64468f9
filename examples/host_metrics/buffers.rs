//! The two buffers: one for points as they are, one for counters that are summed first.

use std::sync::Arc;

use buffer_core::{BuildError, FlushError, Ledger};
use buffer_influx::{InfluxSink, Writer};
use buffer_stat::StatBuffer;

use crate::destination::Destination;
use crate::traffic::{Traffic, TrafficSink};

/// The ways in; clones lead to the same buffers.
#[derive(Clone)]
pub struct Buffers {
    pub points: Writer,
    pub counters: StatBuffer<Traffic>,
}

/// What became of everything, once both buffers are closed.
pub struct Closed {
    pub points: Ledger,
    pub counters: Ledger,
    /// Why the destination could not be closed well.
    pub sink_error: Option<FlushError>,
}

impl Buffers {
    /// Starts both buffers on the runtime from which this is called.
    pub fn start(destination: &Destination, host: &Arc<str>) -> Result<Self, BuildError> {
        let points = match destination {
            Destination::File(file) => Writer::builder(destination.encoder()).build(Arc::clone(file))?,
            Destination::Server { client, url: _ } => {
                Writer::builder(destination.encoder()).build(InfluxSink::new(client.clone()))?
            }
        };
        let counters =
            StatBuffer::builder().build(TrafficSink::new(destination.clone(), Arc::clone(host)))?;
        Ok(Self { points, counters })
    }

    /// Both ledgers in one.
    pub fn ledger(&self) -> Ledger {
        self.points.ledger() + self.counters.ledger()
    }

    /// Closes both at the same time; a write that is waiting for room is then refused.
    pub async fn close(&self) -> Closed {
        let (points, counters) = tokio::join!(self.points.close(), self.counters.close());
        Closed {
            points: points.ledger,
            counters: counters.ledger,
            sink_error: points.sink_error.or(counters.sink_error),
        }
    }
}

impl Closed {
    /// Both ledgers in one.
    pub fn total(&self) -> Ledger {
        self.points + self.counters
    }
}
