//! Waits until a partition may begin its next attempt.

use std::ops::ControlFlow;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::flusher::hold::Pass;
use crate::shared::Shared;

/// The drain's deadline has passed.
pub(crate) struct OutOfTime;

/// How a wait to pass ended.
pub(crate) enum Waited {
    /// The attempt may begin.
    Pass,
    /// The sink has been down for longer than a batch may be held.
    TooLong,
}

/// Waits while the partitions are held, for at most `patience` after the hold and the batch began. The start of a drain lets a
/// probe go at once, unless the sink asked for a delay that the drain has the time for.
pub(crate) async fn wait_to_pass<T>(
    shared: &Shared<T>,
    index: usize,
    patience: Option<(Duration, Instant)>,
) -> ControlFlow<OutOfTime, Waited> {
    let Shared { hold, drain, .. } = shared;
    loop {
        if drain.time_left().is_some_and(|left| left.is_zero()) {
            return ControlFlow::Break(OutOfTime);
        }
        let mut changed = pin!(hold.changed.notified());
        changed.as_mut().enable();
        // Before anybody gives up: without a probe nobody would learn that the sink is back.
        let until = match hold.pass(index, Instant::now()) {
            Pass::Now => return ControlFlow::Continue(Waited::Pass),
            Pass::After(_) if drain.has_begun() => return ControlFlow::Continue(Waited::Pass),
            Pass::After(delay) => {
                tokio::select! {
                    () = drain.begun() => {}
                    () = sleep(delay) => {}
                }
                continue;
            }
            Pass::AskAt(until) => Some(until),
            Pass::Ask => None,
        };
        let gives_up = patience.zip(hold.began());
        let gives_up = gives_up.map(|((limit, opened), began)| began.max(opened) + limit);
        if gives_up.is_some_and(|at| at <= Instant::now()) {
            hold.leave(index);
            return ControlFlow::Continue(Waited::TooLong);
        }
        tokio::select! {
            biased;
            () = drain.deadline_passed() => return ControlFlow::Break(OutOfTime),
            () = changed => {}
            () = sleep_until_some(until) => {}
            () = sleep_until_some(gives_up) => {}
        }
    }
}

/// Never ends if there is no moment to wait for.
async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
