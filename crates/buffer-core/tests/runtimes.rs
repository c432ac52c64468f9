//! A runtime that can't carry the workers is refused by `build`, with an error that says why.

use buffer_core::testing::ScriptedSink;
use buffer_core::{Buffer, BuildError};
use tokio::runtime::{Builder, Handle, Runtime};

fn build_on(runtime: &Handle, sink: &ScriptedSink<u32>) -> Result<Buffer<u32>, BuildError> {
    let builder = Buffer::builder().runtime(runtime.clone());
    // It must not be asked: a buffer that was not built has no drain.
    let builder = builder.last_items(|| panic!("asked without a buffer"));
    builder.build(sink.clone())
}

/// One of each kind.
fn runtimes(change: impl Fn(&mut Builder)) -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
        change(builder.worker_threads(1));
        builder.build().unwrap()
    })
}

#[test]
fn a_runtime_that_is_gone_is_a_typed_error_and_nothing_is_started() {
    for runtime in runtimes(|builder| {
        builder.enable_all();
    }) {
        let handle = runtime.handle().clone();
        drop(runtime);
        let sink = ScriptedSink::new([]);
        assert_eq!(build_on(&handle, &sink).unwrap_err(), BuildError::RuntimeGone);
        assert_eq!((sink.attempts().len(), sink.closed()), (0, 0));
    }
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let mut answer = build_on(&handle, &ScriptedSink::new([]));
    // The shutdown goes on in the background; a buffer that was built in time is closed by it.
    while let Ok(buffer) = answer {
        while !buffer.is_closed() {
            std::thread::yield_now();
        }
        answer = Buffer::builder()
            .runtime(handle.clone())
            .build(ScriptedSink::new([]));
    }
    assert_eq!(answer.unwrap_err(), BuildError::RuntimeGone);
}

#[test]
fn a_runtime_without_a_timer_is_a_typed_error() {
    for runtime in runtimes(|_| {}) {
        let sink = ScriptedSink::new([]);
        let refused = build_on(runtime.handle(), &sink).unwrap_err();
        assert_eq!(refused, BuildError::NoTimer);
        assert!(refused.to_string().contains("`enable_time`"));
        let inside = runtime.block_on(async { Buffer::builder().build(sink.clone()).map(drop) });
        assert_eq!(inside, Err(BuildError::NoTimer));
    }
}

#[test]
fn a_runtime_that_lives_carries_a_buffer_whether_it_is_driven_already_or_not() {
    for runtime in runtimes(|builder| {
        builder.enable_time();
    }) {
        let sink = ScriptedSink::new([]);
        let buffer = Buffer::builder().runtime(runtime.handle().clone());
        let buffer = buffer.build(sink.clone()).unwrap();
        buffer.try_insert(1).unwrap();
        assert_eq!(runtime.block_on(buffer.close()).ledger.delivered, 1);
    }
}
