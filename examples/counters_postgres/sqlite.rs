//! A sink that adds counts to totals in SQLite, each batch once, even if it comes several times.

use std::path::Path;
use std::sync::Arc;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::Count;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};

/// As in PostgreSQL: the totals, and the ids of the batches from which they were added up.
const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS counters (key TEXT PRIMARY KEY, total INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS counter_batches (id TEXT PRIMARY KEY, stored TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT;
    DELETE FROM counter_batches WHERE stored < datetime('now', '-7 days');
";

const ADD: &str = "INSERT INTO counters (key, total) VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET total = total + excluded.total";

/// Adds counts to totals in SQLite.
pub(crate) struct SqliteSink {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteSink {
    /// A sink for the database in a file, which is created if it is missing.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(TABLES)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
        })
    }
}

#[async_trait]
impl Flush<Count<String>> for SqliteSink {
    async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        let (id, counts) = (batch.id().to_string(), batch.to_vec());
        let connection = Arc::clone(&self.connection);
        // SQLite blocks, so it has a thread of its own. An attempt that was cut off goes on there, and its id tells when the batch
        // comes again.
        let stored = tokio::task::spawn_blocking(move || add(&mut connection.lock(), &id, &counts));
        stored.await.map_err(FlushError::uncertain)?.map_err(judge)
    }
}

/// Stores the batch's id, and adds its deltas only where the id is new, in one transaction.
fn add(connection: &mut Connection, id: &str, counts: &[Count<String>]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let new = transaction.execute(
        "INSERT INTO counter_batches (id) VALUES (?1) ON CONFLICT DO NOTHING",
        [id],
    )?;
    if new == 1 {
        let mut add = transaction.prepare_cached(ADD)?;
        for count in counts {
            add.execute((&count.key, count.delta))?;
        }
    }
    transaction.commit()
}

/// A transaction that ends in an error is rolled back, unless the file itself is in doubt.
fn judge(error: rusqlite::Error) -> FlushError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => FlushError::transient(error),
        Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            FlushError::unavailable(error)
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            FlushError::divisible(error)
        }
        _ => FlushError::uncertain(error),
    }
}
