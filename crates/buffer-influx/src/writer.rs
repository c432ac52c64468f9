//! The writer: takes points from any thread or task, and writes them in batches.

pub(crate) mod builder;
mod meter;
pub(crate) mod write_point_error;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use buffer_core::{
    Buffer, FlushReport, Health, InsertAndWaitError, InsertBlockingError, InsertError, Ledger, Summary,
    TryInsertError,
};

use crate::encoder::Encoder;
use crate::line::Line;
use crate::point::Point;
use crate::point::point_error::PointError;
use crate::writer::meter::Meter;
use crate::writer::write_point_error::{
    TryWritePointError, WritePointBlockingError, WritePointError, WriteSyncError,
};

/// A handle that takes points and writes them in batches; clones are handles to the same buffer.
///
/// A point is checked and encoded when it is handed in, on the caller's thread: a bad one is an error at once, and harms no other.
/// When the last handle is dropped, what is pending is still written, even at the end of `main`.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, InfluxSink, Point, V1, Writer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086", V1::new("metrics")).build()?;
/// let writer = Writer::builder(client.encoder()).build(InfluxSink::new(client))?;
/// writer.write(Point::new("requests").tag("path", "/").field("ms", 12.5)).await?;
///
/// let summary = writer.close().await;
/// assert_eq!(summary.ledger.delivered, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Writer {
    buffer: Buffer<Line>,
    encoder: Arc<Encoder>,
    meter: Arc<Meter>,
}

/// What a writer has done so far.
///
/// # Examples
///
/// ```
/// use buffer_influx::Writer;
///
/// fn report(writer: &Writer) -> String {
///     let stats = writer.stats();
///     format!("{} points in {} writes, {} of them failed", stats.points.delivered, stats.writes, stats.errors)
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriterStats {
    /// Batches handed to the sink, each counted once for each attempt.
    pub writes: u64,
    /// Attempts that ended with an error of the sink, or were cut off. An attempt in which single lines were refused and the others
    /// settled is not among them: see `points` for these lines.
    pub errors: u64,
    /// Bytes of line protocol in all other attempts, before compression, including the lines that were refused.
    pub bytes: u64,
    /// Every accepted point, by what became of it.
    pub points: Ledger,
}

impl Writer {
    pub(crate) fn new(buffer: Buffer<Line>, encoder: Encoder, meter: Arc<Meter>) -> Self {
        Self {
            buffer,
            encoder: Arc::new(encoder),
            meter,
        }
    }

    /// The buffer below, for lines that are already encoded and for what the writer has no method for.
    pub fn buffer(&self) -> &Buffer<Line> {
        &self.buffer
    }

    /// Writes `point`, and waits while the buffer is full.
    ///
    /// `Ok` means that the point is in the buffer; [`flush`](Writer::flush) waits until it is stored.
    ///
    /// # Errors
    ///
    /// A [`WritePointError`], which hands the point back.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped while it waits has written nothing; the point is dropped with it and not counted.
    pub async fn write(&self, point: Point) -> Result<(), WritePointError> {
        let (point, line) = self
            .encoded(point)
            .map_err(|(point, reason)| WritePointError::Invalid { point, reason })?;
        self.buffer.insert(line).await.map_err(|refused| match refused {
            InsertError::Oversized(_) => WritePointError::Oversized(point.into()),
            InsertError::Closed(_) | _ => WritePointError::Closed(point.into()),
        })
    }

    /// Writes `point` if there is room.
    ///
    /// # Errors
    ///
    /// A [`TryWritePointError`], which hands the point back.
    pub fn try_write(&self, point: Point) -> Result<(), TryWritePointError> {
        let (point, line) = self
            .encoded(point)
            .map_err(|(point, reason)| TryWritePointError::Invalid { point, reason })?;
        self.buffer.try_insert(line).map_err(|refused| match refused {
            TryInsertError::Full(_) => TryWritePointError::Full(point.into()),
            TryInsertError::Oversized(_) => TryWritePointError::Oversized(point.into()),
            TryInsertError::Closed(_) | _ => TryWritePointError::Closed(point.into()),
        })
    }

    /// Writes `point` from a plain thread, and blocks the thread while the buffer is full.
    ///
    /// # Errors
    ///
    /// A [`WritePointBlockingError`], which hands the point back.
    pub fn write_blocking(&self, point: Point) -> Result<(), WritePointBlockingError> {
        let (point, line) = self
            .encoded(point)
            .map_err(|(point, reason)| WritePointBlockingError::Invalid { point, reason })?;
        self.buffer
            .insert_blocking(line)
            .map_err(|refused| match refused {
                InsertBlockingError::InsideRuntime(_) => WritePointBlockingError::InsideRuntime(point.into()),
                InsertBlockingError::Oversized(_) => WritePointBlockingError::Oversized(point.into()),
                InsertBlockingError::Closed(_) | _ => WritePointBlockingError::Closed(point.into()),
            })
    }

    /// Writes `point` and waits until it is stored or dropped; while the buffer is full, it first waits for room.
    ///
    /// Each caller gets the answer for its own point. A call asks for a flush, and calls that come while one is in flight share the
    /// next. So use it for points that somebody waits for, not for many in a row.
    ///
    /// # Errors
    ///
    /// A [`WriteSyncError`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before the point was accepted has written nothing; after that, the point goes its way, and only the
    /// answer is lost.
    pub async fn write_sync(&self, point: Point) -> Result<(), WriteSyncError> {
        let (point, line) = self
            .encoded(point)
            .map_err(|(point, reason)| WriteSyncError::Invalid { point, reason })?;
        let written = self.buffer.insert_and_wait(line).await;
        written.map_err(|refused| match refused {
            InsertAndWaitError::NotDelivered(why) => WriteSyncError::NotStored(why),
            InsertAndWaitError::Oversized(_) => WriteSyncError::Oversized(point.into()),
            InsertAndWaitError::Closed(_) | _ => WriteSyncError::Closed(point.into()),
        })
    }

    /// The point's line, and the point, which is handed back if the buffer refuses the line.
    fn encoded(&self, point: Point) -> Result<(Point, Line), (Box<Point>, PointError)> {
        match self.encoder.encode(&point) {
            Ok(line) => Ok((point, line)),
            Err(reason) => Err((point.into(), reason)),
        }
    }

    /// The writer's encoder, for lines that are built without a point.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use buffer_influx::{Client, InfluxSink, V1, Writer};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = Client::builder("http://localhost:8086", V1::new("metrics")).build()?;
    /// let writer = Writer::builder(client.encoder()).build(InfluxSink::new(client))?;
    /// let load = writer.encoder().series("load", [("host", "a")])?;
    /// for value in [0.5, 0.25] {
    ///     writer.write_line(load.line().field("value", value).finish()?).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Writes a line of the writer's [encoder](Writer::encoder), and waits while the buffer is full.
    ///
    /// A line of another dialect's encoder is taken as well, but the server may misread it and the line behind it: a line break in a
    /// text for InfluxDB stands as it is, and ends the line for VictoriaMetrics.
    ///
    /// # Errors
    ///
    /// An [`InsertError`], which hands the line back.
    ///
    /// # Cancel safety
    ///
    /// As for [`write`](Writer::write).
    pub async fn write_line(&self, line: Line) -> Result<(), InsertError<Line>> {
        self.buffer.insert(line).await
    }

    /// Writes a line of the writer's [encoder](Writer::encoder) if there is room. For other ways to insert it, use the
    /// [buffer](Writer::buffer).
    ///
    /// # Errors
    ///
    /// A [`TryInsertError`], which hands the line back.
    pub fn try_write_line(&self, line: Line) -> Result<(), TryInsertError<Line>> {
        self.buffer.try_insert(line)
    }

    /// Flushes what is pending, and waits until all of it is settled; reports what became of it.
    ///
    /// In an outage it waits.
    ///
    /// # Cancel safety
    ///
    /// Safe: the flush goes on, and only its report is lost.
    pub async fn flush(&self) -> FlushReport {
        self.buffer.flush().await
    }

    /// Like [`flush`](Writer::flush), for at most `limit`. What is not settled by then is in [`FlushReport::pending`], and its flush
    /// goes on.
    ///
    /// # Cancel safety
    ///
    /// As for [`flush`](Writer::flush).
    pub async fn flush_within(&self, limit: Duration) -> FlushReport {
        self.buffer.flush_within(limit).await
    }

    /// Asks for a flush of what is pending, without waiting for it.
    pub fn request_flush(&self) {
        self.buffer.request_flush();
    }

    /// Closes the writer and all its clones, waits until everything is settled or the buffer's `drain_timeout` has passed,
    /// and returns what is left.
    ///
    /// # Cancel safety
    ///
    /// The drain goes on. What its deadline leaves is then not returned but dropped.
    pub async fn close(&self) -> Summary<Line> {
        self.buffer.close().await
    }

    /// Like [`close`](Writer::close), with a time limit of its own.
    ///
    /// # Cancel safety
    ///
    /// As for [`close`](Writer::close).
    pub async fn close_within(&self, limit: Duration) -> Summary<Line> {
        self.buffer.close_within(limit).await
    }

    /// Whether the writer takes no more points.
    pub fn is_closed(&self) -> bool {
        self.buffer.is_closed()
    }

    /// Every point that the writer accepted, counted by what became of it.
    pub fn ledger(&self) -> Ledger {
        self.buffer.ledger()
    }

    /// What the writer has done so far.
    pub fn stats(&self) -> WriterStats {
        let Meter {
            writes,
            errors,
            bytes,
        } = &*self.meter;
        WriterStats {
            writes: writes.load(Relaxed),
            errors: errors.load(Relaxed),
            bytes: bytes.load(Relaxed),
            points: self.ledger(),
        }
    }

    /// Whether the sink takes batches at present; if not, since when and why.
    pub fn health(&self) -> Health {
        self.buffer.health()
    }
}
