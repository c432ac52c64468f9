//! What all benchmarks share: rounds in which contenders take turns, and a table and a picture of what came out.
//!
//! ```no_run
//! use buffer_benches::{Bench, Contender};
//!
//! # fn ours() -> f64 { 1.0 }
//! # fn theirs() -> f64 { 2.0 }
//! let mut bench = Bench::new("ingest", "Insert", "ns per item");
//! bench.load("2 threads, u64", &mut [Contender::new("ours", ours), Contender::new("theirs", theirs).at_most(0.6)]);
//! bench.finish();
//! ```
//!
//! `BENCH_ROUNDS=5` changes the number of rounds, a multiple of five; `BENCH_LOADS='2 threads'` runs only the loads whose names have that in them.

#![expect(
    missing_debug_implementations,
    reason = "benchmarks print their tables and nothing else"
)]

mod bench;
mod picture;
mod produce;
mod results;
mod table;
mod total;

pub use crate::bench::{Bench, Contender};
pub use crate::produce::{produce, produce_in_tasks};
pub use crate::total::{Total, add_if_whole};
