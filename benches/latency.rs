//! How long a single insert takes, beside channels: `cargo bench -p buffer-benches --bench latency`.
//!
//! Each producer inserts an item every 20 microseconds on average, after a gap that is drawn evenly from zero to twice as much; in the
//! gaps it looks at the clock and gives its core to whoever wants it. So it is with services: items come at random, mostly one at a
//! time, and the other side of a channel has taken the one before and has gone to sleep, or is about to. A sender then has to wake it, and
//! that is what its slow sends are. (At a pace of a few microseconds without gaps it never sleeps, and neither does it beside two
//! producers that keep two cores to themselves; the row shows nothing then.) Who collects on the producer's side wakes somebody once a
//! batch.
//!
//! The clock is looked at before and after each call: one look, some 25 ns, is in every figure. So is what a producer waits for the
//! processor in the midst of an insert. The contender that does nothing has both and nothing else.
//!
//! Batches are of 5,000. Nobody waits for room. Every total is checked, but where nothing is sent.

#[path = "latency/bound.rs"]
mod bound;
#[path = "latency/contenders.rs"]
mod contenders;
#[path = "latency/pace.rs"]
mod pace;

use std::time::Duration;

use buffer_benches::{Bench, Contender};
use tokio::runtime::{Builder, Runtime};

use crate::contenders as by;
use crate::pace::Latencies;

const BATCH: usize = 5_000;
/// Ours holds ten batches for each of its two partitions at most, and so may all others.
const CAPACITY: usize = 20 * BATCH;
/// So many that a buffer's first two batches, whose memory is new, are a small part of the slowest thousandth.
const ITEMS: u64 = 100_000;
const PACE: Duration = Duration::from_micros(20);

/// What a contender is given: how many producers insert how many items each, and how fast.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    runtime: &'a Runtime,
    producers: u64,
    items: u64,
    pace: Duration,
}

fn main() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime can be built");
    let mut bench = Bench::new("latency", "One insert at a time", "ns");
    for producers in [1, 2] {
        let load = Load {
            runtime: &runtime,
            producers,
            items: producers * ITEMS,
            pace: PACE,
        };
        let mut contenders = [
            Measured::new("buffer-core", by::buffer),
            Measured::new("bound: home Mutex<Vec>, handed over", by::handed_over),
            Measured::new("nothing, the clock alone", by::nothing),
            Measured::new("crossbeam-channel", by::crossbeam),
            Measured::new("kanal", by::kanal),
            Measured::new("flume", by::flume),
            Measured::new("tokio mpsc", by::tokio_mpsc),
        ];
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let mut contenders: Vec<_> = contenders
                .iter_mut()
                .map(|measured| {
                    let judged = share > 0.99 && measured.name == "crossbeam-channel";
                    Contender::new(measured.name, measured.each_at(load, share)).at_most_where(judged, 0.1)
                })
                .collect();
            bench.load(&format!("{producers} producers, {name}"), &mut contenders);
        }
    }
    bench.finish();
}

/// A contender whose runs are kept: all percentiles are those of the same runs.
struct Measured {
    name: &'static str,
    run: fn(Load<'_>) -> Latencies,
    runs: Vec<Latencies>,
}

impl Measured {
    fn new(name: &'static str, run: fn(Load<'_>) -> Latencies) -> Self {
        Self {
            name,
            run,
            runs: Vec::new(),
        }
    }

    /// What so large a share took at most: of the first run at the first call, and so on. What is not there yet is run.
    fn each_at(&mut self, load: Load<'_>, share: f64) -> impl FnMut() -> f64 {
        let mut calls = 0;
        move || {
            if self.runs.len() == calls {
                self.runs.push((self.run)(load));
            }
            calls += 1;
            self.runs[calls - 1].at(share)
        }
    }
}
