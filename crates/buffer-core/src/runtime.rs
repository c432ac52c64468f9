//! Checks that a runtime can carry the workers, before the first of them starts.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::build_error::BuildError;
use crate::caught::caught;

/// The runtime that was given, or else the one that this is called in, if workers can live in it.
pub(crate) fn able(given: Option<Handle>) -> Result<Handle, BuildError> {
    let runtime = match given {
        Some(runtime) => runtime,
        None => Handle::try_current().map_err(|_| BuildError::NoRuntime)?,
    };
    if is_gone(&runtime) {
        return Err(BuildError::RuntimeGone);
    }
    if !has_timer(&runtime) {
        return Err(BuildError::NoTimer);
    }
    Ok(runtime)
}

/// A runtime that was shut down drops a task as soon as it is spawned; on any other this one stays.
fn is_gone(runtime: &Handle) -> bool {
    let task = runtime.spawn(std::future::pending::<()>());
    let gone = task.is_finished();
    task.abort();
    gone
}

/// The only way to ask for a timer is to make one, which panics if there is none. The price is tokio's message, which the panic
/// hook prints; without this check every worker would pay it, again and again.
fn has_timer(runtime: &Handle) -> bool {
    let _inside = runtime.enter();
    caught(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok()
}
