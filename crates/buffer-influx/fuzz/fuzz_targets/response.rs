//! Whatever a server answers, it is understood or not, and never names a line that was not sent.

#![no_main]

#[path = "../harness/response.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::run(bytes));
