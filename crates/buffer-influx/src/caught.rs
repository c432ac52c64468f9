//! Keeps panics of user code where they happen.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls user code, and goes on if it panics. What a panic carries is user code, too, and may panic when it is dropped.
pub(crate) fn caught(call: impl FnOnce()) {
    // Unwind safe: callers look at nothing that the call may have left half done.
    let Err(panic) = catch_unwind(AssertUnwindSafe(call)) else {
        return;
    };
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Dropping this one might bring yet another, without end.
        std::mem::forget(another);
    }
}
