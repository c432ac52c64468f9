//! The sink: writes a batch of lines, and finds those that the server refuses.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use buffer_core::{Batch, Flush, FlushError, FlushErrorKind, async_trait};
use parking_lot::Mutex;

use crate::client::Client;
use crate::client::error::{ClientError, WriteError};
use crate::line::Line;
use crate::metrics::Attempt;
use crate::rejected_line::RejectedLine;
use crate::response::named_lines::NamedLines;
use crate::response::refusal::{Refusal, RefusalKind};

/// A sink that writes lines to a client's target.
///
/// | what happens | what the buffer does |
/// |---|---|
/// | no connection, no answer, none in time, or one that is not HTTP; a wrong login, no such database or retention policy, a wrong name or URL | holds the lines until it is put right |
/// | the server or a proxy is overloaded (429, 502, 503, 504, ...) | holds the lines, for as long as a `Retry-After` asks, or five minutes if that is less |
/// | the server itself failed (500 in its own words) | tries again, up to `retries`; what is stored already is overwritten |
/// | single lines are refused by name or number | drops these with a [`RejectedLine`], the others are delivered |
/// | lines are dropped without a name, others are stored | resends parts until the guilty lines are found, and drops these |
/// | the batch is too large | writes it in parts that fit, and drops lines that are too large alone |
/// | the batch is refused as a whole | has it split in halves, down to the guilty lines, and drops these |
///
/// Every line has a timestamp, so one that is written again is stored once; by VictoriaMetrics, [if it is told
/// so](crate::Dialect::VictoriaMetrics). `docs/influx.md` in the repository has the whole table.
///
/// # Examples
///
/// ```no_run
/// use buffer_influx::{Client, InfluxSink, V1, Writer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("http://localhost:8086", V1::new("metrics")).build()?;
/// let writer = Writer::builder(client.encoder()).build(InfluxSink::new(client).create_missing_database())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct InfluxSink {
    client: Client,
    /// Whether a missing database may still be created. Relaxed throughout: two partitions that both create it do no harm.
    may_create: AtomicBool,
    /// By partition: with how many lines a search goes on that was cut off.
    cut_off: Mutex<HashMap<usize, usize>>,
}

impl InfluxSink {
    /// A sink that writes through `client`. The target's database must exist: [`Client::create_database`] creates it.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            may_create: AtomicBool::new(false),
            cut_off: Mutex::default(),
        }
    }

    /// Creates the target's database, once, when the server says that it is missing. The login must be allowed to. If the server does
    /// not answer, or fails, the next attempt tries again to create it.
    #[must_use]
    pub fn create_missing_database(self) -> Self {
        self.may_create.store(true, Relaxed);
        self
    }

    /// Creates the database if it may; says whether it is worth writing again.
    ///
    /// If dropped midway, it leaves the creation to the next attempt.
    async fn create_database(&self) -> bool {
        if !self.may_create.load(Relaxed) {
            return false;
        }
        let database = self.client.target().database();
        match self.client.create_database().await {
            Ok(()) => {
                self.may_create.store(false, Relaxed);
                tracing::info!(database, "the missing database is created");
                true
            }
            Err(error) => {
                if is_for_good(&error) {
                    self.may_create.store(false, Relaxed);
                }
                tracing::warn!(database, %error, "the missing database can't be created");
                false
            }
        }
    }
}

/// Whether the same request would be refused again. A query that is refused is answered with 200.
fn is_for_good(error: &ClientError) -> bool {
    match error {
        ClientError::Unsupported { .. } => true,
        ClientError::Refused { status, .. } => *status < 500 && !matches!(status, 408 | 425 | 429),
        _ => false,
    }
}

#[async_trait]
impl Flush<Line> for InfluxSink {
    /// Parts that are settled are marked at once, so a time-out midway through a search repeats only what is left.
    async fn flush(&self, batch: &mut Batch<Line>) -> Result<(), FlushError> {
        let mut pace = Pace::of(&self.cut_off, batch.partition());
        let written = self.write(batch, &mut pace).await;
        let is_cut_off = |error: &FlushError| error.kind() != FlushErrorKind::Divisible;
        pace.searches &= written.as_ref().is_err_and(is_cut_off);
        written
    }
}

impl InfluxSink {
    async fn write(&self, batch: &mut Batch<Line>, pace: &mut Pace<'_>) -> Result<(), FlushError> {
        let attempt = Attempt::of(batch.buffer());
        let mut search = Search::of(batch.len(), pace);
        while let Some(part) = search.parts.pop() {
            let refusal = match self
                .client
                .write_all(part.iter().map(|index| &batch[*index]))
                .await
            {
                Ok(()) => {
                    attempt.wrote(bytes_of(batch, &part));
                    if part.len() == batch.len() {
                        return Ok(());
                    }
                    deliver(batch, &part);
                    pace.answers += 1;
                    continue;
                }
                Err(WriteError::Refused(refusal)) => refusal,
                Err(error) => return Err(error.into_flush_error()),
            };
            if refusal.kind() == RefusalKind::DatabaseNotFound && self.create_database().await {
                search.parts.push(part);
                continue;
            }
            if let ControlFlow::Break(error) = search.settle(batch, part, refusal, &attempt) {
                return Err(error);
            }
            pace.searches = true;
            pace.answers += 1;
        }
        Ok(())
    }
}

/// With how many lines a search goes on that is cut off: by the time limit of the attempt, by a rate limit, by a lost connection.
///
/// From the refusal of a whole batch it takes a dozen answers to the first line that is settled. Where there are fewer in one attempt,
/// the next one would end in the same place. So that begins with as many lines as can be searched, down to each single one, with the
/// number of answers that the last one had.
struct Pace<'a> {
    cut_off: &'a Mutex<HashMap<usize, usize>>,
    partition: usize,
    /// What an earlier attempt left, if it was cut off.
    first: Option<usize>,
    answers: u32,
    searches: bool,
}

impl<'a> Pace<'a> {
    fn of(cut_off: &'a Mutex<HashMap<usize, usize>>, partition: usize) -> Self {
        let first = cut_off.lock().remove(&partition);
        Self {
            cut_off,
            partition,
            first,
            answers: 0,
            searches: first.is_some(),
        }
    }
}

impl Drop for Pace<'_> {
    fn drop(&mut self) {
        if self.searches {
            let halvings = self.answers.saturating_sub(1);
            let first = 1_usize.checked_shl(halvings).unwrap_or(usize::MAX);
            self.cut_off.lock().insert(self.partition, first);
        }
    }
}

/// The parts of a batch, as indices, that are still to be written. Each refusal makes them smaller.
struct Search {
    parts: Vec<Vec<usize>>,
}

impl Search {
    /// All lines, or parts that grow from as many lines as the pace says.
    fn of(lines: usize, pace: &Pace<'_>) -> Self {
        let mut search = Self { parts: Vec::new() };
        let mut part: Vec<usize> = (0..lines).collect();
        while pace.first.is_some_and(|first| part.len() > first) {
            let rest = part.split_off(part.len() / 2);
            search.push(rest);
        }
        search.push(part);
        search
    }

    /// Settles the lines of `part` that `refusal` is about, and puts the others back in the smallest parts that it allows.
    fn settle(
        &mut self,
        batch: &mut Batch<Line>,
        part: Vec<usize>,
        refusal: Refusal,
        attempt: &Attempt,
    ) -> ControlFlow<FlushError> {
        match refusal.kind() {
            RefusalKind::PartialWrite | RefusalKind::Unreadable => {}
            RefusalKind::TooLarge | RefusalKind::Rejected if part.len() == 1 => {
                reject_all(batch, &part, &refusal, attempt);
                return ControlFlow::Continue(());
            }
            // Not left to the buffer, which gives up after some splits: no line is to blame, however many parts it takes.
            RefusalKind::TooLarge => {
                self.push_halves(&part);
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Break(WriteError::Refused(refusal).into_flush_error()),
        }
        let (rest, complete) = reject_named(batch, &part, &refusal, attempt);
        let stored = refusal.kind() == RefusalKind::PartialWrite;
        if stored && complete {
            attempt.wrote(bytes_of(batch, &rest));
            deliver(batch, &rest);
        } else if rest.len() < part.len() {
            // Without the named lines the others have a chance.
            self.push(rest);
        } else if part.len() == 1 || all_are_guilty(&refusal, part.len()) {
            reject_all(batch, &part, &refusal, attempt);
        } else if stored {
            self.push_halves(&part);
        } else {
            return ControlFlow::Break(WriteError::Refused(refusal).into_flush_error());
        }
        ControlFlow::Continue(())
    }

    fn push_halves(&mut self, part: &[usize]) {
        let (first, second) = part.split_at(part.len() / 2);
        self.push(second.to_vec());
        self.push(first.to_vec());
    }

    fn push(&mut self, part: Vec<usize>) {
        if !part.is_empty() {
            self.parts.push(part);
        }
    }
}

/// Whether the server's count says that none of `lines` lines would be stored alone.
///
/// InfluxDB 1 drops all lines of a request whose new series are too many together, and would store some of them alone.
fn all_are_guilty(refusal: &Refusal, lines: usize) -> bool {
    refusal.kind() == RefusalKind::PartialWrite
        && refusal.dropped == Some(lines as u64)
        && !refusal.message().contains("limit exceeded")
}

/// Rejects the named lines of `part`; returns the others, and whether these are shown to be stored.
fn reject_named(
    batch: &mut Batch<Line>,
    part: &[usize],
    refusal: &Refusal,
    attempt: &Attempt,
) -> (Vec<usize>, bool) {
    let sent: Vec<&Line> = part.iter().map(|index| &batch[*index]).collect();
    let NamedLines { lines, complete } = NamedLines::of(refusal, &sent);
    let mut is_named = vec![false; part.len()];
    for (place, reason) in lines {
        is_named[place] = true;
        reject(batch, part[place], refusal, reason.into(), attempt);
    }
    let rest = part.iter().zip(is_named).filter(|(_, named)| !named);
    (rest.map(|(index, _)| *index).collect(), complete)
}

fn reject_all(batch: &mut Batch<Line>, part: &[usize], refusal: &Refusal, attempt: &Attempt) {
    let reason: Arc<str> = refusal.message().into();
    for index in part {
        reject(batch, *index, refusal, Arc::clone(&reason), attempt);
    }
}

fn reject(batch: &mut Batch<Line>, index: usize, refusal: &Refusal, reason: Arc<str>, attempt: &Attempt) {
    attempt.rejected(refusal.kind());
    let cause = RejectedLine {
        number: index + 1,
        lines: batch.len(),
        status: refusal.status(),
        reason,
    };
    batch.reject(index, cause);
}

/// The bytes of these lines with their line breaks.
fn bytes_of(batch: &Batch<Line>, part: &[usize]) -> usize {
    part.iter().map(|index| batch[*index].as_bytes().len() + 1).sum()
}

fn deliver(batch: &mut Batch<Line>, part: &[usize]) {
    for index in part {
        batch.deliver(*index..*index + 1);
    }
}

impl WriteError {
    /// What the error means for a batch as a whole: for sinks that write lines but have other items.
    ///
    /// # Examples
    ///
    /// ```
    /// use buffer_core::{Batch, Flush, FlushError, FlushErrorKind, async_trait};
    /// use buffer_influx::{Client, Point, WriteError};
    ///
    /// struct Temperatures(Client);
    ///
    /// #[async_trait]
    /// impl Flush<(i64, f64)> for Temperatures {
    ///     async fn flush(&self, batch: &mut Batch<(i64, f64)>) -> Result<(), FlushError> {
    ///         let (encoder, mut lines) = (self.0.encoder(), Vec::new());
    ///         for index in 0..batch.len() {
    ///             let (at, celsius) = batch[index];
    ///             match encoder.encode(&Point::new("t").field("celsius", celsius).timestamp_ns(at)) {
    ///                 Ok(line) => lines.push(line),
    ///                 // It costs no other.
    ///                 Err(error) => batch.reject(index, error),
    ///             }
    ///         }
    ///         self.0.write(&lines).await.map_err(WriteError::into_flush_error)
    ///     }
    /// }
    /// ```
    pub fn into_flush_error(self) -> FlushError {
        let refusal = match self {
            // A server that hangs or hangs up is down, as is the one behind a proxy that does. Lines that it may have stored may be
            // sent again: nothing need be given up.
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Unconfirmed(_) => {
                return FlushError::unavailable(self);
            }
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
