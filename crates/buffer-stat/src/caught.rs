//! Runs the code of keys where its panic must cost no sum.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `code` returns; none where it panics. What it borrows has to be whole then, too.
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(code)).ok()
}

/// Drops a value, whose destructor is the key's.
pub(crate) fn drop_caught<T>(value: T) {
    let _ = caught(|| drop(value));
}
