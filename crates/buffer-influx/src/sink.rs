//! The sink: writes a batch of lines, and says what the answer means for it.

use buffer_core::{Batch, Flush, FlushError, async_trait};

use crate::client::Client;
use crate::error::WriteError;
use crate::line::Line;
use crate::named_lines::NamedLines;
use crate::refusal::{Refusal, RefusalKind};

/// A sink that writes lines to one database of an InfluxDB 1 server.
///
/// | what happens | what the buffer does |
/// |---|---|
/// | no connection, a wrong login, no such database or retention policy, a wrong URL | holds the lines until it is put right |
/// | the server or a proxy is overloaded (429, 502, 503, 504, ...) | holds the lines, for as long as a `Retry-After` asks |
/// | the server failed (500), or its answer was lost | tries again, up to `retries`; what is stored already is overwritten |
/// | single lines are refused by name | drops these, the others are delivered |
/// | lines are refused without a name, or the batch is too large | splits it in halves, down to the guilty lines, and drops these |
///
/// A server that drops lines without naming them, because of a field's type or the retention policy, has stored the others
/// of the batch already. They are written again in the halves, which stores them once, as every line has a timestamp.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, InfluxSink, Writer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086").build()?;
/// let writer = Writer::new(Writer::builder().build(InfluxSink::new(client, "metrics"))?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct InfluxSink {
    client: Client,
    database: String,
}

impl InfluxSink {
    /// A sink that writes to the database `database` by way of `client`. The database must exist:
    /// [`Client::create_database`] creates it.
    pub fn new(client: Client, database: impl Into<String>) -> Self {
        Self {
            client,
            database: database.into(),
        }
    }
}

#[async_trait]
impl Flush<Line> for InfluxSink {
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        match self.client.write(&self.database, batch).await {
            Ok(()) => Ok(()),
            Err(WriteError::Refused(refusal)) => settle(batch, refusal),
            Err(error) => Err(error.into_flush_error()),
        }
    }
}

/// Says what a refusal means for `batch`, down to the lines that it names.
fn settle(batch: &mut Batch<Line>, refusal: Refusal) -> Result<(), FlushError> {
    match refusal.kind() {
        RefusalKind::PartialWrite if reject_named_lines(batch, &refusal).complete => Ok(()),
        // Nothing is stored. Without the named lines the others have a chance, and there are fewer of them each time.
        RefusalKind::Unreadable => match reject_named_lines(batch, &refusal) {
            Named { lines: 0, .. } => Err(WriteError::Refused(refusal).into_flush_error()),
            Named { lines, .. } if lines == batch.len() => Ok(()),
            Named { .. } => Err(FlushError::transient(refusal)),
        },
        _ => Err(WriteError::Refused(refusal).into_flush_error()),
    }
}

impl WriteError {
    /// What the error means for a batch as a whole, for sinks that write lines and whose items are others.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_core::{Batch, Flush, FlushError, async_trait};
    /// use buffer_influx::{Client, Line, Point, WriteError};
    ///
    /// struct Temperatures(Client);
    ///
    /// #[async_trait]
    /// impl Flush<(i64, f64)> for Temperatures {
    ///     async fn flush(&self, batch: &mut Batch<(i64, f64)>) -> Result<(), FlushError> {
    ///         let point = |(at, celsius): &(i64, f64)| Point::new("t").field("celsius", *celsius).timestamp_ns(*at);
    ///         let lines: Result<Vec<Line>, _> = batch.iter().map(|reading| point(reading).encode()).collect();
    ///         let lines = lines.map_err(FlushError::permanent)?;
    ///         self.0.write("weather", &lines).await.map_err(WriteError::into_flush_error)
    ///     }
    /// }
    /// ```
    pub fn into_flush_error(self) -> FlushError {
        let refusal = match self {
            Self::Unreachable(_) => return FlushError::unavailable(self),
            Self::Unconfirmed(_) => return FlushError::uncertain(self),
            Self::Refused(refusal) => refusal,
        };
        let delay = refusal.retry_after();
        let error = match refusal.kind() {
            RefusalKind::DatabaseNotFound
            | RefusalKind::Misconfigured
            | RefusalKind::Unauthorized
            | RefusalKind::Busy => FlushError::unavailable(refusal),
            RefusalKind::Failed => FlushError::uncertain(refusal),
            // Some lines may be stored. Every line has a timestamp, so writing it again stores it once.
            RefusalKind::PartialWrite
            | RefusalKind::Unreadable
            | RefusalKind::TooLarge
            | RefusalKind::Rejected => FlushError::divisible(refusal),
        };
        match delay {
            Some(delay) => error.retry_after(delay),
            None => error,
        }
    }
}

/// What a refusal names.
struct Named {
    lines: usize,
    complete: bool,
}

fn reject_named_lines(batch: &mut Batch<Line>, refusal: &Refusal) -> Named {
    let NamedLines { lines, complete } = NamedLines::of(refusal.message(), batch);
    for (index, reason) in &lines {
        batch.reject(*index, format!("the server can't read this line: {reason}"));
    }
    Named {
        lines: lines.len(),
        complete,
    }
}
