//! Batches items in memory and hands each batch to an async sink, with every accepted item accounted for.
//!
//! A program [inserts](Buffer::insert) items one at a time, from any thread or task. The buffer groups them, by size and by
//! time, and hands each [`Batch`] to the sink that you write: one trait, [`Flush`]. It limits an attempt in time, catches a
//! panic, tries again with a backoff, bounds its memory, and drains at the end: on [`close`](Buffer::close), when the
//! last handle is dropped, when `main` returns. [`drain_timeout`](BufferBuilder::drain_timeout) limits the drain. What the sink has
//! not taken by then, `close` returns. If nobody awaits a close, it is dropped: the log says how much, and the exit code does
//! not change.
//!
//! The crate logs through `tracing`: a program should install a subscriber that shows at least `warn`, the level at which it
//! reports dropped items and a sink that is down.
//!
//! ```
//! use std::io::{Error, ErrorKind};
//!
//! use buffer_core::{Batch, Buffer, Flush, FlushError, async_trait};
//!
//! struct Events;
//!
//! #[async_trait]
//! impl Flush<String> for Events {
//!     async fn flush(&self, batch: &mut Batch<String>) -> Result<(), FlushError> {
//!         post("/events", &batch.join("\n")).await.map_err(|error| match error.kind() {
//!             ErrorKind::ConnectionRefused => FlushError::unavailable(error),
//!             _ => FlushError::uncertain(error),
//!         })
//!     }
//! }
//! # async fn post(_: &str, _: &str) -> Result<(), Error> { Ok(()) }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let events = Buffer::builder().batch_size(500).build(Events)?;
//! for number in 0..1_200 {
//!     events.insert(format!("event {number}")).await?;
//! }
//! let summary = events.close().await;
//! assert_eq!(summary.ledger.accepted, 1_200);
//! assert_eq!(summary.ledger.delivered, 1_200);
//! # Ok(())
//! # }
//! ```
//!
//! # Concepts
//!
//! * An accepted item is *pending* until it is *settled*: delivered, dropped with a [reason](DropReason), or returned (by a
//!   close, or to a sink that withdrew it). The [`Ledger`] counts them, and it adds up at all times.
//! * A buffer has *partitions*, each with an open batch, a queue of sealed ones, and a worker that flushes one batch at a
//!   time, in order. A thread inserts at its home partition, which the [`Router`] names.
//! * A batch is sealed by a [`Trigger`]: size, bytes, interval, request or close.
//! * The sink says what went wrong with the kind of its [`FlushError`]; the buffer decides what follows.

#![warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]
// The models compile only the state machines and what these use.
#![cfg_attr(buffer_loom, allow(dead_code, reason = "what uses it is not modelled"))]

#[cfg(not(buffer_loom))]
mod buffer;
mod build_error;
#[cfg(not(buffer_loom))]
mod builder;
mod caught;
mod chain;
mod clock;
mod drain;
mod drop_log;
mod flush;
mod flusher;
mod home_lock;
#[cfg(not(buffer_loom))]
mod keyed_buffer;
#[cfg(not(buffer_loom))]
mod keyed_sink;
#[cfg(all(test, not(buffer_loom)))]
mod last_resort;
mod ledger;
mod line;
pub mod metrics;
#[cfg(all(test, buffer_loom))]
mod models;
mod outcome;
mod partition;
mod router;
mod routing;
#[cfg(not(buffer_loom))]
mod runtime;
#[cfg(not(buffer_loom))]
mod shared;
mod sync;
mod tally;
#[cfg(all(feature = "test-util", not(buffer_loom)))]
pub mod testing;
#[cfg(not(buffer_loom))]
mod worker;

pub use async_trait::async_trait;

#[cfg(not(buffer_loom))]
pub use crate::buffer::insert_batch_error::{InsertBatchError, TryInsertBatchError};
#[cfg(not(buffer_loom))]
pub use crate::buffer::insert_error::{
    InsertAndWaitError, InsertBlockingError, InsertError, InsertTimeoutError, TryInsertError,
};
#[cfg(not(buffer_loom))]
pub use crate::buffer::receipt::Receipt;
#[cfg(not(buffer_loom))]
pub use crate::buffer::{Buffer, WeakBuffer};
pub use crate::build_error::BuildError;
#[cfg(not(buffer_loom))]
pub use crate::builder::BufferBuilder;
pub use crate::flush::batch::Batch;
pub use crate::flush::sink_fn::{SinkFn, sink_fn};
pub use crate::flush::{Flush, FlushFuture};
pub use crate::flusher::hold::Health;
pub use crate::home_lock::{HomeGuard, HomeLock};
#[cfg(not(buffer_loom))]
pub use crate::keyed_buffer::KeyedBuffer;
#[cfg(not(buffer_loom))]
pub use crate::keyed_sink::FlushKey;
pub use crate::ledger::{FlushReport, Ledger, Summary};
pub use crate::outcome::batch_id::BatchId;
pub use crate::outcome::flush_error::{FlushError, FlushErrorKind};
pub use crate::outcome::not_delivered::NotDelivered;
pub use crate::outcome::reason::DropReason;
pub use crate::outcome::size::Size;
pub use crate::outcome::{Outcome, Settled};
pub use crate::partition::info::{Dump, PartitionInfo, Stats};
pub use crate::partition::overflow::Overflow;
pub use crate::partition::trigger::Trigger;
pub use crate::router::Router;
pub use crate::routing::{KeyHash, Routing};
pub use crate::tally::Dropped;

/// Compiles and runs the examples of the READMEs and of the documents.
#[cfg(doctest)]
mod readmes {
    #[doc = include_str!("../README.md")]
    struct Crate;

    #[doc = include_str!("../../../README.md")]
    struct Workspace;

    #[doc = include_str!("../../../docs/writing-a-sink.md")]
    struct WritingASink;

    #[doc = include_str!("../../../docs/tuning.md")]
    struct Tuning;

    #[doc = include_str!("../../../docs/migrating.md")]
    struct Migrating;
}
