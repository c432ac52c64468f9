//! What an answer costs at least: each item goes with a channel for its answer to one task, which answers a batch at a time.

use std::sync::Arc;

use buffer_benches::Total;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The way in; each task has a clone.
#[derive(Clone)]
pub(crate) struct Floor(mpsc::Sender<(u64, oneshot::Sender<()>)>);

impl Floor {
    /// The way in, and the task behind it, which ends when the last clone is dropped.
    pub(crate) fn new(
        runtime: &Runtime,
        batch: usize,
        capacity: usize,
        total: Arc<Total>,
    ) -> (Self, JoinHandle<()>) {
        let (sender, mut receiver) = mpsc::channel::<(u64, oneshot::Sender<()>)>(capacity);
        let task = runtime.spawn(async move {
            let mut received = Vec::with_capacity(batch);
            let mut items = Vec::with_capacity(batch);
            let mut answers = Vec::with_capacity(batch);
            while receiver.recv_many(&mut received, batch).await > 0 {
                for (item, answer) in received.drain(..) {
                    items.push(item);
                    answers.push(answer);
                }
                total.add(&items);
                items.clear();
                for answer in answers.drain(..) {
                    answer.send(()).expect("who asked waits");
                }
            }
        });
        (Self(sender), task)
    }

    pub(crate) async fn insert_and_wait(&self, item: u64) {
        let (answer, answered) = oneshot::channel();
        self.0.send((item, answer)).await.expect("the other side lives");
        answered.await.expect("it is answered");
    }
}
