//! A sink of keyed values that answers each call as a function says, and keeps the calls and what it has written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buffer_core::{Buffer, BufferBuilder, FlushError, FlushKey, async_trait};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

/// Answers each call as a function of it says, and keeps the calls.
#[derive(Clone)]
pub(crate) struct Lists {
    answer: Arc<dyn Fn(&Call) -> Answer + Send + Sync>,
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) written: Arc<Mutex<BTreeMap<&'static str, Vec<u32>>>>,
    pub(crate) closed: Arc<Mutex<u32>>,
}

#[derive(Debug, Clone)]
#[allow(dead_code, reason = "each test binary looks at what it needs")]
pub(crate) struct Call {
    pub(crate) key: &'static str,
    pub(crate) values: Vec<u32>,
    /// Counted from 1 for each key.
    pub(crate) number: usize,
    pub(crate) at: Instant,
}

#[allow(dead_code, reason = "each test binary uses the answers it needs")]
pub(crate) enum Answer {
    Written,
    /// Written after so long.
    Slow(Duration),
    Failed(FlushError),
    /// Failed after so long.
    SlowlyFailed(Duration, FlushError),
    Never,
    Panic,
}

#[allow(dead_code, reason = "each test binary uses what it needs")]
impl Lists {
    pub(crate) fn answering(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            calls: Arc::default(),
            written: Arc::default(),
            closed: Arc::default(),
        }
    }

    /// The keys in the order of the calls.
    pub(crate) fn keys(&self) -> Vec<&'static str> {
        self.calls.lock().iter().map(|call| call.key).collect()
    }

    pub(crate) fn lists_of(&self, key: &str) -> Vec<Vec<u32>> {
        let calls = self.calls.lock();
        let of_key = calls.iter().filter(|call| call.key == key);
        of_key.map(|call| call.values.clone()).collect()
    }

    pub(crate) fn written(&self, key: &str) -> Vec<u32> {
        self.written.lock().get(key).cloned().unwrap_or_default()
    }
}

#[async_trait]
impl FlushKey<&'static str, u32> for Lists {
    async fn flush(&self, key: &&'static str, values: &[&u32]) -> Result<(), FlushError> {
        let values: Vec<u32> = values.iter().copied().copied().collect();
        let call = Call {
            key,
            values: values.clone(),
            number: self.lists_of(key).len() + 1,
            at: Instant::now(),
        };
        self.calls.lock().push(call.clone());
        match (self.answer)(&call) {
            Answer::Written => {}
            Answer::Slow(time) => sleep(time).await,
            Answer::Failed(error) => return Err(error),
            Answer::SlowlyFailed(time, error) => {
                sleep(time).await;
                return Err(error);
            }
            Answer::Never => std::future::pending().await,
            Answer::Panic => panic!("scripted"),
        }
        self.written.lock().entry(key).or_default().extend(values);
        Ok(())
    }

    async fn close(&self) -> Result<(), FlushError> {
        *self.closed.lock() += 1;
        Ok(())
    }
}

pub(crate) const TEN: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// One batch of twenty values at a time, and two retries.
pub(crate) fn one_partition() -> BufferBuilder<(&'static str, u32)> {
    Buffer::builder().partitions(1).batch_size(20).retries(2)
}
