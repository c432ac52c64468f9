//! Counts page views from several threads, and keeps the totals in a database: SQLite, or PostgreSQL with `--url`.
//!
//! ```text
//! cargo run --example counters_postgres
//! cargo run --example counters_postgres -- --url postgres://user:password@localhost/database
//! ```
//!
//! What to copy is in `postgres.rs` and `sqlite.rs`: a sink that stores the batch's id in the transaction that adds its deltas. A
//! batch may come twice, mostly after a time-out; the second time its id is already stored, and nothing is added.

mod postgres;
mod sqlite;

use std::error::Error;
use std::thread;

use buffer_core::Flush;
use buffer_stat::{Count, StatBuffer, Summary};
use lexopt::ValueExt as _;

use crate::postgres::PostgresSink;
use crate::sqlite::SqliteSink;

const THREADS: i64 = 4;
const VIEWS: i64 = 100_000;
const PAGES: [&str; 3] = ["/", "/about", "/contact"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = lexopt::Parser::from_env();
    let mut url = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            lexopt::Arg::Long("url") => url = Some(arguments.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match url {
        Some(url) => {
            let sink = PostgresSink::new(&url)?;
            sink.create_tables().await?;
            count(sink).await
        }
        None => count(SqliteSink::open("counters.sqlite".as_ref())?).await,
    }
}

/// Counts from plain threads, closes, and says what became of the counts.
async fn count(sink: impl Flush<Count<String>>) -> Result<(), Box<dyn Error>> {
    let views = StatBuffer::builder()
        .buffer(|buffer| buffer.name("views"))
        .build(sink)?;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let views = views.clone();
            thread::spawn(move || {
                (0..VIEWS as usize).try_for_each(|view| views.increment(PAGES[view % PAGES.len()], 1))
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("nothing here panics")?;
    }
    let Summary {
        ledger,
        undelivered,
        sink_error,
        ..
    } = views.close().await;
    println!(
        "{} views were counted; {} counts are stored, {} are left",
        THREADS * VIEWS,
        ledger.delivered,
        undelivered.len()
    );
    for (reason, counts) in ledger.dropped.iter() {
        println!("{counts} counts were dropped: {reason}");
    }
    if ledger.dropped.total() > 0 || !undelivered.is_empty() {
        return Err("not all views are stored, see above for what became of the others".into());
    }
    sink_error.map_or(Ok(()), |error| Err(error.into()))
}
