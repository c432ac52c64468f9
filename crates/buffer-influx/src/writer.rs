//! The writer: takes points from any thread or task, and writes them in batches.

use std::time::Duration;

use buffer_core::{
    Buffer, Builder, FlushReport, InsertBlockingError, InsertError, Ledger, Summary, TryInsertError,
};

use crate::error::{TryWritePointError, WritePointBlockingError, WritePointError};
use crate::line::Line;
use crate::point::Point;

/// A handle that takes points and writes them in batches; clones are handles to the same buffer.
///
/// A point is checked and encoded when it is handed in, on the caller's thread: a bad one is an error there and then, and
/// harms no other. When the last handle is dropped, what is pending is still written, also at the end of `main`.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, InfluxSink, Point, Writer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086").build()?;
/// let writer = Writer::new(Writer::builder().build(InfluxSink::new(client, "metrics"))?);
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
}

impl Writer {
    /// The settings of a buffer for InfluxDB: batches of 5,000 lines, flushed after 1 s at the latest.
    ///
    /// 5,000 to 10,000 lines at once is what InfluxDB's manual recommends.
    pub fn builder() -> Builder<Line> {
        Buffer::builder()
            .name("influx")
            .batch_size(5_000)
            .flush_interval(Duration::from_secs(1))
    }

    /// A writer into `buffer`.
    pub fn new(buffer: Buffer<Line>) -> Self {
        Self { buffer }
    }

    /// The buffer below, for lines that are encoded already and for what the writer has no method for.
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
        let line = match point.encode() {
            Ok(line) => line,
            Err(reason) => {
                return Err(WritePointError::Invalid {
                    point: point.into(),
                    reason,
                });
            }
        };
        self.buffer.insert(line).await.map_err(|refused| match refused {
            InsertError::Closed(_) | _ => WritePointError::Closed(point.into()),
        })
    }

    /// Writes `point` if there is room.
    ///
    /// # Errors
    ///
    /// A [`TryWritePointError`], which hands the point back.
    pub fn try_write(&self, point: Point) -> Result<(), TryWritePointError> {
        let line = match point.encode() {
            Ok(line) => line,
            Err(reason) => {
                return Err(TryWritePointError::Invalid {
                    point: point.into(),
                    reason,
                });
            }
        };
        self.buffer.try_insert(line).map_err(|refused| match refused {
            TryInsertError::Full(_) => TryWritePointError::Full(point.into()),
            TryInsertError::Closed(_) | _ => TryWritePointError::Closed(point.into()),
        })
    }

    /// Writes `point` from a plain thread, and blocks the thread while the buffer is full.
    ///
    /// # Errors
    ///
    /// A [`WritePointBlockingError`], which hands the point back.
    pub fn write_blocking(&self, point: Point) -> Result<(), WritePointBlockingError> {
        let line = match point.encode() {
            Ok(line) => line,
            Err(reason) => {
                return Err(WritePointBlockingError::Invalid {
                    point: point.into(),
                    reason,
                });
            }
        };
        self.buffer
            .insert_blocking(line)
            .map_err(|refused| match refused {
                InsertBlockingError::InsideRuntime(_) => WritePointBlockingError::InsideRuntime(point.into()),
                InsertBlockingError::Closed(_) | _ => WritePointBlockingError::Closed(point.into()),
            })
    }

    /// Flushes what is pending, and waits until all of it is settled; says what became of it.
    ///
    /// In an outage it waits.
    ///
    /// # Cancel safety
    ///
    /// Safe: the flush goes on, and only its report is lost.
    pub async fn flush(&self) -> FlushReport {
        self.buffer.flush().await
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

    /// The count of every point that the writer accepted, by what became of it.
    pub fn ledger(&self) -> Ledger {
        self.buffer.ledger()
    }
}
