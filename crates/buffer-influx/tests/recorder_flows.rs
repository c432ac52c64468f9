//! Any flow of counting, replies, time, flushes and an end: the sums in the sink are what was counted.

mod recorded;

use std::collections::BTreeMap;
use std::time::Duration;

use buffer_core::BufferBuilder;
use buffer_core::testing::{Reply, ScriptedSink};
use buffer_influx::{FieldValue, Line, Point};
use metrics::{counter, gauge, histogram};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::recorded::{INTERVAL, record, settings};

#[derive(Debug, Clone)]
enum Step {
    Count(u8, u32),
    Absolute(u8, u64),
    Record(u8, u16, u8),
    Set(u8, i16),
    Add(u8, i16),
    Pass(u32),
    Flush,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Close,
    Drop,
    RuntimeDies,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    prop_oneof![
        6 => (name.clone(), any::<u32>()).prop_map(|(name, n)| Step::Count(name, n)),
        2 => (name.clone(), 0..1_u64 << 40).prop_map(|(name, n)| Step::Absolute(name, n)),
        4 => (name.clone(), any::<u16>(), 0..5_u8).prop_map(|(name, value, n)| Step::Record(name, value, n)),
        2 => (name.clone(), any::<i16>()).prop_map(|(name, value)| Step::Set(name, value)),
        2 => (name, any::<i16>()).prop_map(|(name, value)| Step::Add(name, value)),
        4 => (0..400_u32).prop_map(Step::Pass),
        1 => Just(Step::Flush),
    ]
}

/// What fails for good would be dropped, as it should be, so these are the failures that pass.
fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        3 => Just(Reply::Ok),
        1 => Just(Reply::Transient),
        1 => Just(Reply::Uncertain),
        2 => Just(Reply::Unavailable),
        1 => Just(Reply::Panic),
        1 => Just(Reply::Never),
        1 => Just(Reply::deliver(0..1, Reply::Transient)),
    ]
}

/// What the application has counted.
#[derive(Debug, Default, PartialEq)]
struct Model {
    counters: BTreeMap<String, u64>,
    /// Number and sum.
    histograms: BTreeMap<String, (u64, u64)>,
    gauges: BTreeMap<String, i64>,
}

impl Model {
    /// Makes a step in the application and in the model.
    fn step(&mut self, step: &Step) {
        let name = |name: &u8| format!("m{name}");
        match step {
            Step::Count(n, by) => {
                counter!(name(n)).increment(u64::from(*by));
                *self.counters.entry(name(n)).or_default() += u64::from(*by);
            }
            Step::Absolute(n, to) => {
                counter!(name(n), "kind" => "absolute").absolute(*to);
                let counter = self
                    .counters
                    .entry(format!("{},kind=absolute", name(n)))
                    .or_default();
                *counter = (*counter).max(*to);
            }
            Step::Record(n, value, times) => {
                histogram!(name(n)).record_many(*value, usize::from(*times));
                let (count, sum) = self.histograms.entry(name(n)).or_default();
                *count += u64::from(*times);
                *sum += u64::from(*value) * u64::from(*times);
            }
            Step::Set(n, value) => {
                gauge!(name(n)).set(*value);
                self.gauges.insert(name(n), i64::from(*value));
            }
            Step::Add(n, by) => {
                gauge!(name(n), "kind" => "sum").increment(*by);
                *self.gauges.entry(format!("{},kind=sum", name(n))).or_default() += i64::from(*by);
            }
            Step::Pass(_) | Step::Flush => {}
        }
    }

    /// What the points come to, each of which may have been written more than once.
    fn of_points(lines: Vec<Line>) -> Self {
        let mut model = Self::default();
        let mut last = BTreeMap::new();
        let stored: BTreeMap<(String, i64), Point> = lines
            .iter()
            .map(|line| {
                let (text, stamp) = line.as_str().rsplit_once(' ').unwrap();
                let (series, fields) = text.split_once(' ').unwrap();
                let kind = fields.split_once('=').unwrap().0;
                (
                    (format!("{series} {kind}"), stamp.parse().unwrap()),
                    line.as_str().parse().unwrap(),
                )
            })
            .collect();
        for ((series, stamp), point) in stored {
            let series = series.split_once(' ').unwrap().0.to_owned();
            for (field, value) in point.fields() {
                match (field, value) {
                    ("delta", FieldValue::Integer(delta)) => {
                        *model.counters.entry(series.clone()).or_default() += *delta as u64;
                    }
                    ("count", FieldValue::Integer(count)) => {
                        model.histograms.entry(series.clone()).or_default().0 += *count as u64;
                    }
                    ("sum", FieldValue::Float(sum)) => {
                        model.histograms.entry(series.clone()).or_default().1 += *sum as u64;
                    }
                    ("gauge", FieldValue::Float(value)) if last.get(&series) < Some(&stamp) => {
                        last.insert(series.clone(), stamp);
                        model.gauges.insert(series.clone(), *value as i64);
                    }
                    _ => {}
                }
            }
        }
        model
    }

    /// Without what was never counted.
    fn without_zeros(mut self) -> Self {
        self.counters.retain(|_, count| *count > 0);
        self.histograms.retain(|_, (count, _)| *count > 0);
        self
    }
}

fn run(steps: &[Step], replies: Vec<Reply>, capacity: usize, idle: u64, end: End) -> (Model, Model) {
    let sink = ScriptedSink::<Line>::new(replies);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let small = |buffer: BufferBuilder<Line>| {
        let buffer = buffer.partitions(1).batch_size(2).capacity(capacity);
        buffer
            .flush_timeout(Duration::from_secs(2))
            .backoff(Duration::from_millis(10), Duration::from_millis(100))
            .drain_timeout(Duration::from_secs(10_000))
    };
    let mut model = Model::default();
    runtime.block_on(async {
        let settings = settings().buffer(small).idle_timeout(Duration::from_secs(idle));
        let (recorder, handle) = settings.build(sink.clone()).unwrap();
        for step in steps {
            match step {
                Step::Pass(tenths) => tokio::time::sleep(INTERVAL * *tenths / 100).await,
                Step::Flush => drop(handle.flush().await),
                _ => record(&recorder, || model.step(step)),
            }
        }
        match end {
            End::Close => drop(handle.close().await),
            End::Drop => {
                drop((recorder, handle));
                tokio::time::sleep(Duration::from_secs(20_000)).await;
            }
            End::RuntimeDies => std::mem::forget((recorder, handle)),
        }
    });
    drop(runtime);
    (model.without_zeros(), Model::of_points(sink.delivered()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_sums_in_the_sink_are_what_was_counted_through_any_failures(
        steps in vec(step(), 0..60),
        replies in vec(reply(), 0..40),
        capacity in 2..12_usize,
        idle in 0..100_u64,
        end in prop_oneof![Just(End::Close), Just(End::Drop)],
    ) {
        let (counted, stored) = run(&steps, replies, capacity, idle, end);
        prop_assert_eq!(counted, stored);
    }
}

proptest! {
    // A rescue has a clock of its own, which is not paused.
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_sums_in_the_sink_are_what_was_counted_when_the_runtime_dies(
        steps in vec(step(), 0..40),
        replies in vec(prop_oneof![Just(Reply::Ok), Just(Reply::Unavailable), Just(Reply::Transient)], 0..5),
        capacity in 2..12_usize,
    ) {
        let (counted, stored) = run(&steps, replies, capacity, 10, End::RuntimeDies);
        prop_assert_eq!(counted, stored);
    }
}
