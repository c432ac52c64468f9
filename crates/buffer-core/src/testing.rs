//! What you need to test your own sink or your own settings. Behind the feature `test-util`.
//!
//! ```toml
//! [dev-dependencies]
//! buffer-core = { path = "../buffer/crates/buffer-core", features = ["test-util"] }
//! tokio = { version = "1", features = ["macros", "rt", "test-util"] }
//! ```
//!
//! * [`TestBatch`] hands a batch to your sink without a buffer, and shows what became of each item.
//! * [`ScriptedSink`] stands in for your sink: it answers by a script of [replies](Reply), so that a test sees what your
//!   settings, and your program, make of an outage.
//! * A [`Gate`] holds its attempts back until the test lets them through.
//!
//! With tokio's paused time a test of time-outs, backoffs and outages takes no time.
//!
//! # Examples
//!
//! A service's own settings, tested against an outage longer than any backoff:
//!
//! ```
//! use std::time::Duration;
//!
//! use buffer_core::testing::{Reply, ScriptedSink};
//! use buffer_core::{Buffer, BufferBuilder, FlushErrorKind};
//!
//! /// What the service runs with.
//! fn settings() -> BufferBuilder<u32> {
//!     Buffer::builder().batch_size(100).retries(2).flush_timeout(Duration::from_secs(5))
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let busy = Reply::RetryAfter(Duration::from_secs(60), FlushErrorKind::Unavailable);
//! let sink = ScriptedSink::new([busy.clone(), busy, Reply::Never, Reply::Panic]);
//! let buffer = settings().build(sink.clone())?;
//! buffer.insert(7).await?;
//! let report = buffer.flush().await;
//! assert_eq!((report.delivered, report.dropped.total()), (1, 0));
//! assert_eq!(sink.attempts().len(), 5);
//! # Ok(())
//! # }
//! ```

mod gate;
mod reply;
mod scripted_sink;
mod test_batch;

pub use crate::testing::gate::Gate;
pub use crate::testing::reply::Reply;
pub use crate::testing::scripted_sink::{Attempt, ScriptedSink};
pub use crate::testing::test_batch::{Flushed, Rejected, TestBatch};
