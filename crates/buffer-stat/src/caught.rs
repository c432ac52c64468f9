//! Runs a key's own code where a panic of it must not cost a sum.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `code` returns, or none if it panics. What it borrows must still be whole then.
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Option<R> {
    let caught = catch_unwind(AssertUnwindSafe(code));
    caught.map_err(drop_payload).ok()
}

/// Drops what a panic carries, which may be the key's, too.
fn drop_payload(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // Dropping this one might bring yet another, without end.
        std::mem::forget(another);
    }
}

/// Drops a value whose destructor is the key's code.
pub(crate) fn drop_caught<T>(value: T) {
    let _ = caught(|| drop(value));
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    #[test]
    fn what_a_panic_brings_may_panic_when_it_is_dropped() {
        struct Payload;
        impl Drop for Payload {
            fn drop(&mut self) {
                panic!("scripted");
            }
        }
        assert!(caught(|| panic_any(Payload)).is_none());
    }
}
