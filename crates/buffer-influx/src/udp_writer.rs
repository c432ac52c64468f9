//! The writer for UDP: what it has handed to the network is sent, and no more.

use std::time::Duration;

use buffer_core::{
    Buffer, BufferBuilder, BuildError, Dropped, FlushReport, Health, InsertError, Ledger, Summary,
    TryInsertError,
};
use thiserror::Error;

use crate::encoder::Encoder;
use crate::line::Line;
use crate::point::Point;
use crate::udp::{Udp, UdpSink};
use crate::writer::Writer;
use crate::writer::builder::WriterBuilder;
use crate::writer::write_point_error::{TryWritePointError, WritePointBlockingError, WritePointError};

/// A handle that takes points and sends them in datagrams; clones are handles to the same buffer.
///
/// Its reports say *sent* where those of a [`Writer`] say delivered: nobody learns whether a datagram arrived, or whether the server
/// could read it. A point that does not fit into a datagram is refused when it is written.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Point, Udp, UdpWriter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let target = Udp::new(listener.local_addr()?.to_string());
/// let writer = UdpWriter::builder(target).build()?;
/// writer.write(Point::new("m").field("v", 1).timestamp_ns(7)).await?;
/// assert_eq!(writer.flush().await.sent, 1);
///
/// let mut datagram = [0; 100];
/// let bytes = listener.recv(&mut datagram)?;
/// assert_eq!(&datagram[..bytes], b"m v=1i 7");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct UdpWriter {
    writer: Writer,
}

/// The settings of a [`UdpWriter`], made by [`UdpWriter::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use buffer_influx::{Udp, UdpBuildError, UdpWriter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), UdpBuildError> {
/// let writer = UdpWriter::builder(Udp::new("localhost:8089"))
///     .encoder(|encoder| encoder.default_tag("host", "a"))
///     .buffer(|buffer| buffer.partitions(1).flush_interval(Duration::from_millis(200)))
///     .build()?;
/// # drop(writer);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct UdpWriterBuilder {
    target: Udp,
    writer: WriterBuilder,
}

/// Why a UDP writer could not be built.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Udp, UdpBuildError, UdpWriter};
///
/// let target = Udp::new("localhost:8089").datagram_bytes(100_000);
/// let error = UdpWriter::builder(target).build().unwrap_err();
/// assert!(matches!(error, UdpBuildError::DatagramBytes { bytes: 100_000 }));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UdpBuildError {
    /// A datagram of this size can't be sent.
    #[error("`datagram_bytes` is {bytes}; set it from 1 to {}", Udp::MOST_BYTES)]
    DatagramBytes {
        /// What was set.
        bytes: usize,
    },
    /// The listener's address is not a host and a port.
    #[error("the address {address:?} is not a host and a port; write it as in localhost:8089 or [::1]:8089")]
    Address {
        /// What was set.
        address: String,
    },
    /// The buffer's settings are refused.
    #[error("the settings of the buffer are refused")]
    Buffer(#[from] BuildError),
}

/// What became of points that go to a UDP writer.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Sent, UdpWriter};
///
/// async fn flush(writer: &UdpWriter) -> String {
///     let Sent { sent, pending, .. } = writer.flush().await;
///     format!("{sent} points sent, which may be lost, and {pending} waiting")
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// Points that were handed to the network. They may be lost.
    pub sent: u64,
    /// Points that were dropped, by reason.
    pub dropped: Dropped,
    /// Points that a close handed back.
    pub returned: u64,
    /// Points that wait to be sent.
    pub pending: u64,
}

/// Some forty datagrams of usual lines, sent in a row: what the listener's socket can't hold is lost.
const BATCH_SIZE: usize = 500;

/// What a closed UDP writer leaves.
///
/// # Examples
///
/// ```
/// use buffer_influx::UdpWriter;
///
/// async fn stop(writer: &UdpWriter) -> String {
///     let summary = writer.close().await;
///     format!("{} points sent, {} left", summary.points.sent, summary.unsent.len())
/// }
/// ```
#[derive(Debug)]
#[must_use = "what was not sent is in it"]
#[non_exhaustive]
pub struct UdpSummary {
    /// What became of all points; nothing is pending.
    pub points: Sent,
    /// The lines that the drain's deadline left over. If several callers wait for one close, the first to be answered gets them.
    pub unsent: Vec<Line>,
}

impl UdpWriter {
    /// The settings of a writer to `target`: batches of 500 lines, each a burst of datagrams.
    pub fn builder(target: Udp) -> UdpWriterBuilder {
        UdpWriterBuilder {
            writer: Writer::builder(target.encoder()).buffer(|buffer| buffer.batch_size(BATCH_SIZE)),
            target,
        }
    }

    /// Sends `point` with the next batch, and waits while the buffer is full.
    ///
    /// # Errors
    ///
    /// A [`WritePointError`], which hands the point back.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped while it waits has written nothing; the point is dropped with it and not counted.
    pub async fn write(&self, point: Point) -> Result<(), WritePointError> {
        self.writer.write(point).await
    }

    /// Sends `point` with the next batch if there is room.
    ///
    /// # Errors
    ///
    /// A [`TryWritePointError`], which hands the point back.
    pub fn try_write(&self, point: Point) -> Result<(), TryWritePointError> {
        self.writer.try_write(point)
    }

    /// Sends `point` with the next batch, from a plain thread, and blocks the thread while the buffer is full.
    ///
    /// # Errors
    ///
    /// A [`WritePointBlockingError`], which hands the point back.
    pub fn write_blocking(&self, point: Point) -> Result<(), WritePointBlockingError> {
        self.writer.write_blocking(point)
    }

    /// The writer's encoder, for lines that are built without a point; see [`Writer::encoder`].
    pub fn encoder(&self) -> &Encoder {
        self.writer.encoder()
    }

    /// Sends a line of the writer's [encoder](UdpWriter::encoder), and waits while the buffer is full.
    ///
    /// A line of another encoder is taken as well; one that does not fit into a datagram is then dropped as rejected.
    ///
    /// # Errors
    ///
    /// An [`InsertError`], which hands the line back.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](UdpWriter::write).
    pub async fn write_line(&self, line: Line) -> Result<(), InsertError<Line>> {
        self.writer.write_line(line).await
    }

    /// Sends a line of the writer's [encoder](UdpWriter::encoder) if there is room.
    ///
    /// # Errors
    ///
    /// A [`TryInsertError`], which hands the line back.
    pub fn try_write_line(&self, line: Line) -> Result<(), TryInsertError<Line>> {
        self.writer.try_write_line(line)
    }

    /// The buffer below, for what the writer has no method for. What it calls delivered is only sent.
    pub fn buffer(&self) -> &Buffer<Line> {
        self.writer.buffer()
    }

    /// Sends what is pending, and waits until it is sent; reports what became of it.
    ///
    /// # Cancel safety
    ///
    /// Safe: the flush goes on, and only its report is lost.
    pub async fn flush(&self) -> Sent {
        self.writer.flush().await.into()
    }

    /// Like [`flush`](UdpWriter::flush), for at most `limit`. What is not sent by then is in [`Sent::pending`], and its flush goes
    /// on.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](UdpWriter::flush).
    pub async fn flush_within(&self, limit: Duration) -> Sent {
        self.writer.flush_within(limit).await.into()
    }

    /// Asks for a flush of what is pending, without waiting for it.
    pub fn request_flush(&self) {
        self.writer.request_flush();
    }

    /// Closes the writer and all its clones, and waits until everything is sent or the buffer's `drain_timeout` has passed;
    /// returns what became of all points, and the lines that were not sent.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on. What its deadline leaves is then not returned but dropped.
    pub async fn close(&self) -> UdpSummary {
        self.writer.close().await.into()
    }

    /// Like [`close`](UdpWriter::close), with a time limit of its own.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](UdpWriter::close).
    pub async fn close_within(&self, limit: Duration) -> UdpSummary {
        self.writer.close_within(limit).await.into()
    }

    /// Whether the writer takes no more points.
    pub fn is_closed(&self) -> bool {
        self.writer.is_closed()
    }

    /// Whether datagrams can be sent at present; if not, since when and why.
    pub fn health(&self) -> Health {
        self.writer.health()
    }

    /// What became of all points so far.
    pub fn sent(&self) -> Sent {
        self.writer.ledger().into()
    }
}

impl UdpWriterBuilder {
    /// Changes the encoder, for instance its default tags. An encoder put in its place also refuses what does not fit into a
    /// datagram.
    pub fn encoder(mut self, settings: impl FnOnce(Encoder) -> Encoder) -> Self {
        self.writer = self.writer.encoder(settings);
        self
    }

    /// Changes the settings of the buffer, as [`WriterBuilder::buffer`] does. Default: batches of 500 lines, so that a batch is not
    /// more datagrams at once than a listener's socket holds; the rest as there.
    pub fn buffer(mut self, settings: impl FnOnce(BufferBuilder<Line>) -> BufferBuilder<Line>) -> Self {
        self.writer = self.writer.buffer(settings);
        self
    }

    /// Checks the settings and starts the buffer's workers.
    ///
    /// # Errors
    ///
    /// A [`UdpBuildError`] that names the setting to change.
    pub fn build(self) -> Result<UdpWriter, UdpBuildError> {
        let bytes = self.target.bytes();
        if !(1..=Udp::MOST_BYTES).contains(&bytes) {
            return Err(UdpBuildError::DatagramBytes { bytes });
        }
        if !self.target.has_port() {
            let address = self.target.address().to_owned();
            return Err(UdpBuildError::Address { address });
        }
        // An encoder put in the place of the target's knows nothing of datagrams.
        let writer = self
            .writer
            .encoder(|encoder| encoder.longest_line(bytes).without_unit());
        Ok(UdpWriter {
            writer: writer.build(UdpSink::new(self.target))?,
        })
    }
}

impl From<Summary<Line>> for UdpSummary {
    /// The sink has nothing to close, so it has no error.
    fn from(summary: Summary<Line>) -> Self {
        Self {
            points: summary.ledger.into(),
            unsent: summary.undelivered,
        }
    }
}

impl From<FlushReport> for Sent {
    fn from(report: FlushReport) -> Self {
        Self {
            sent: report.delivered,
            dropped: report.dropped,
            returned: report.returned,
            pending: report.pending,
        }
    }
}

impl From<Ledger> for Sent {
    fn from(ledger: Ledger) -> Self {
        Self {
            sent: ledger.delivered,
            dropped: ledger.dropped,
            returned: ledger.returned,
            pending: ledger.pending,
        }
    }
}
