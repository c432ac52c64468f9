//! Keyed counters that are summed in memory and flushed in batches.
//!
//! [`increment`](StatBuffer::increment) adds to a key's sum in memory, from any thread. Once a window, the sums go in batches to the
//! sink that you write: a [`Flush`] of [`Count`]s, with one count for each key that changed. Retries, the ledger and the drain are
//! those of [`buffer_core::Buffer`].
//!
//! ```
//! use buffer_core::{Batch, Flush, FlushError, async_trait};
//! use buffer_stat::{Count, StatBuffer};
//!
//! struct Database;
//!
//! #[async_trait]
//! impl Flush<Count<String>> for Database {
//!     async fn flush(&self, batch: &mut Batch<Count<String>>) -> Result<(), FlushError> {
//!         for Count { key, delta, .. } in batch.iter() {
//!             println!("{key}: {delta} more");
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let views = StatBuffer::builder().build(Database)?;
//! views.increment("/index.html", 1)?;
//! views.increment("/index.html", 2)?;
//! assert_eq!(views.count("/index.html"), 3);
//! let summary = views.close().await;
//! assert_eq!(summary.ledger.delivered, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Concepts
//!
//! * A *window* runs from the first increment to the next hand-over of the sums to the buffer. A key occurs once in a window.
//! * Sums are kept in partitions, picked by the same [`Router`](buffer_core::Router) as in a buffer, and merged at the
//!   hand-over.
//! * While the sink is down, or while a batch that may have been written is tried again unchanged, increments go on summing. A batch
//!   that was certainly not written goes back into the sums when its retries are spent. So memory is bounded by the number of keys,
//!   not by the length of the outage, and nothing is counted twice. (A sum that leaves the range of an `i64` takes a count for each
//!   part.)
//! * This relies on the sink's answers: `transient` says that this attempt wrote nothing of the batch, `divisible` that no attempt
//!   did. When in doubt, the sink says `uncertain`, and stores the [id](buffer_core::Batch::id) of each batch in the transaction that
//!   adds its deltas; a sink that marks counts one by one stores their [key and window start](Count::window_start) instead.
//! * A key's `Hash`, `Eq`, `Clone` and `Drop` may run under the counters' locks. They must not call back into the same counters, or the
//!   thread hangs.
//! * Keys can't be listed. What is left at the end comes from [`close`](StatBuffer::close).
//! * A sink must only borrow counts: those it takes without confirming, or withdraws, are lost. The key of a count that was taken out
//!   is not sent again while any other count is not settled.
//!
//! ```sql
//! WITH new AS (INSERT INTO counter_batches (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id)
//! INSERT INTO counters (key, total)
//! SELECT key, sum(delta) FROM unnest($2::text[], $3::int8[]) AS deltas (key, delta)
//! WHERE EXISTS (SELECT FROM new)
//! GROUP BY key ORDER BY key
//! ON CONFLICT (key) DO UPDATE SET total = counters.total + excluded.total
//! ```

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(buffer_loom, allow(dead_code, reason = "what uses it is not modelled"))]

// The models compile only the sums and the windows: in them buffer-core has no buffer.
mod begin;
mod beyond;
#[cfg(not(buffer_loom))]
mod builder;
mod caught;
mod changes;
mod count;
#[cfg(not(buffer_loom))]
mod count_sink;
#[cfg(not(buffer_loom))]
mod counters;
#[cfg(not(buffer_loom))]
mod driver;
mod error;
#[cfg(not(buffer_loom))]
mod flushing;
mod in_flight;
mod marked;
mod max_keys;
#[cfg(not(buffer_loom))]
pub mod metrics;
#[cfg(all(test, buffer_loom))]
mod models;
#[cfg(not(buffer_loom))]
mod stat_buffer;
mod sums;
mod sync;
mod table;
mod tables;
mod take;
mod taken;
mod tallies;
mod turn;
mod window;
mod windows;

pub use buffer_core::{Flush, Ledger, Summary};

#[cfg(not(buffer_loom))]
pub use crate::builder::StatBuilder;
pub use crate::count::Count;
pub use crate::error::{IncrementError, IncrementManyError};
pub use crate::max_keys::MaxKeys;
#[cfg(not(buffer_loom))]
pub use crate::stat_buffer::StatBuffer;
pub use crate::tallies::Tallies;

/// Compiles and runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
