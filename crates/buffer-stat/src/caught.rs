//! Runs the code of keys where its panic must cost no sum.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `code` returns; none where it panics. What it borrows has to be whole then, too.
pub(crate) fn caught<R>(code: impl FnOnce() -> R) -> Option<R> {
    let caught = catch_unwind(AssertUnwindSafe(code));
    caught.map_err(drop_payload).ok()
}

/// Drops what a panic brings, which is the key's, too.
fn drop_payload(panic: Box<dyn Any + Send>) {
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // It might bring yet another, without an end.
        std::mem::forget(another);
    }
}

/// Drops a value, whose destructor is the key's.
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
