//! Settings that make no sense are refused by `build`, which names them.

use std::time::Duration;

use buffer_core::testing::ScriptedSink;
use buffer_core::{Buffer, BufferBuilder, BuildError, Overflow};

fn refusal(builder: BufferBuilder<u32>) -> String {
    builder
        .build(ScriptedSink::new([]))
        .expect_err("these settings make no sense")
        .to_string()
}

#[tokio::test]
async fn each_senseless_setting_is_named() {
    let builder = Buffer::<u32>::builder;
    assert!(refusal(builder().partitions(0)).contains("`partitions`"));
    assert!(refusal(builder().partitions(usize::MAX)).contains("`partitions`"));
    assert!(refusal(builder().batch_size(0)).contains("`batch_size`"));
    assert!(refusal(builder().flush_interval(Duration::ZERO)).contains("`flush_interval`"));
    assert!(refusal(builder().flush_interval(Duration::MAX)).contains("`flush_interval`"));
    assert!(refusal(builder().flush_jitter(Duration::MAX)).contains("`flush_jitter`"));
    assert!(refusal(builder().flush_timeout(Duration::ZERO)).contains("`flush_timeout`"));
    assert!(refusal(builder().drain_timeout(Duration::MAX)).contains("`drain_timeout`"));
    assert!(refusal(builder().backoff(Duration::ZERO, Duration::ZERO)).contains("`backoff`"));
    assert!(refusal(builder().give_up_after(Duration::MAX)).contains("`give_up_after`"));
}

#[tokio::test]
async fn settings_that_contradict_each_other_are_both_named() {
    let builder = Buffer::<u32>::builder;
    let refused = refusal(builder().partitions(4).batch_size(100).capacity(399));
    assert!(
        refused.contains("`capacity`") && refused.contains("`batch_size`"),
        "{refused}"
    );
    assert!(
        refused.contains("399 must hold at least one batch of 100 for each of 4 partitions"),
        "{refused}"
    );
    let oldest = builder().overflow(Overflow::DropOldest);
    let refused = refusal(oldest.partitions(4).batch_size(100).capacity(799));
    assert!(
        refused.contains("799 must hold at least two batches of 100 for each of 4 partitions"),
        "{refused}"
    );
    let refused = refusal(builder().batch_size(100).batch_size_jitter(100));
    assert!(
        refused.contains("`batch_size_jitter`") && refused.contains("`batch_size`"),
        "{refused}"
    );
    let refused = refusal(builder().backoff(Duration::from_secs(2), Duration::from_secs(1)));
    assert!(
        refused.contains("first") && refused.contains("longest"),
        "{refused}"
    );
}

#[test]
fn building_outside_of_a_runtime_is_a_typed_error_and_a_handle_helps() {
    let refused = Buffer::<u32>::builder()
        .build(ScriptedSink::new([]))
        .expect_err("there is no runtime here");
    assert_eq!(refused, BuildError::NoRuntime);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sink = ScriptedSink::new([]);
    let buffer = Buffer::builder()
        .runtime(runtime.handle().clone())
        .build(sink.clone())
        .unwrap();
    buffer.try_insert(1).unwrap();
    assert_eq!(runtime.block_on(buffer.close()).ledger.delivered, 1);
}
