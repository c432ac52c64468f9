//! A sink that adds counts to totals in PostgreSQL, each batch once, even if it comes several times.

use std::str::FromStr;

use buffer_core::{Batch, Flush, FlushError, async_trait};
use buffer_stat::Count;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio_postgres::{Client, Config, Error, NoTls};

/// The totals, and the ids of the batches from which they were added up.
///
/// An id is needed for as long as its batch may come again. Here that is a week; a batch comes again until it is stored or its
/// process ends.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS counters (key text PRIMARY KEY, total numeric NOT NULL);
    CREATE TABLE IF NOT EXISTS counter_batches (id text PRIMARY KEY, stored timestamptz NOT NULL DEFAULT now());
    DELETE FROM counter_batches WHERE stored < now() - interval '7 days';
";

/// Stores the batch's id, and adds its deltas only where the id is new.
///
/// It is one statement, so one transaction: both are stored or neither is. If another connection is writing the same id, because its
/// attempt was cut off but goes on in the server, the insert of the id waits until that one ends. A key may occur twice in a batch,
/// in two windows, and an upsert must not touch a row twice, so deltas are summed. They are in the order of the keys, so that two
/// processes that add to the same keys don't lock each other out.
const ADD: &str = "
    WITH new AS (INSERT INTO counter_batches (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id)
    INSERT INTO counters (key, total)
    SELECT key, sum(delta) FROM unnest($2::text[], $3::int8[]) AS deltas (key, delta)
    WHERE EXISTS (SELECT FROM new)
    GROUP BY key ORDER BY key
    ON CONFLICT (key) DO UPDATE SET total = counters.total + excluded.total
";

/// Adds counts to totals in PostgreSQL.
pub(crate) struct PostgresSink {
    config: Config,
    /// Connections that answered the last time they were asked, each with its runtime. A connection dies with its runtime, and the
    /// last counts of a program are flushed on another one.
    idle: Mutex<Vec<(Id, Client)>>,
}

impl PostgresSink {
    /// A sink for the database at `url`; it connects when it is first flushed to.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let mut config = Config::from_str(url)?;
        config.application_name("counters");
        Ok(Self {
            config,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Creates the tables if they are missing, and forgets old batch ids.
    pub(crate) async fn create_tables(&self) -> Result<(), Error> {
        let client = self.client().await?;
        client.batch_execute(TABLES).await
    }

    /// A connection of this runtime, kept or new.
    async fn client(&self) -> Result<Client, Error> {
        let runtime = Handle::current().id();
        let kept = {
            let mut idle = self.idle.lock();
            // A server that has ended the connection says so before anything is asked.
            idle.retain(|(_, client)| !client.is_closed());
            let ours = idle.iter().position(|(id, _)| *id == runtime);
            ours.map(|index| idle.swap_remove(index).1)
        };
        if let Some(client) = kept {
            return Ok(client);
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        // The client gets its errors, too.
        tokio::spawn(connection);
        Ok(client)
    }
}

#[async_trait]
impl Flush<Count<String>> for PostgresSink {
    async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
        // Nothing was asked, so nothing was written.
        let client = self.client().await.map_err(FlushError::unavailable)?;
        let id = batch.id().to_string();
        let keys: Vec<&str> = batch.iter().map(|count| count.key.as_str()).collect();
        let deltas: Vec<i64> = batch.iter().map(|count| count.delta).collect();
        client.execute(ADD, &[&id, &keys, &deltas]).await.map_err(judge)?;
        // Kept only after an answer: a connection that was cut off by a time-out still has a hanging request in it.
        self.idle.lock().push((Handle::current().id(), client));
        Ok(())
    }
}

/// What an error says about the batch. When in doubt, the batch may have been written: then it comes again unchanged, and its id
/// tells.
fn judge(error: Error) -> FlushError {
    let Some(code) = error.code().map(|code| code.code()) else {
        return FlushError::uncertain(error);
    };
    match &code[..2] {
        // A deadlock or a conflict, no memory or no disk, a lock held by another: rolled back.
        "40" | "53" | "55" => FlushError::transient(error),
        // A value that the database can't store: halving the batch finds which one.
        "22" | "23" => FlushError::divisible(error),
        // No such table, or no right to it: somebody has to put this right, and nothing is lost until then.
        "42" => FlushError::unavailable(error),
        _ => FlushError::uncertain(error),
    }
}
