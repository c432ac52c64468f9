//! Whatever a point holds, it becomes one line that is read as it was meant, or a typed error.

#![no_main]

#[path = "../harness/encoder.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::run(bytes));
