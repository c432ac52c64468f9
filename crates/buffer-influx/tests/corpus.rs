//! The seeds of the fuzz targets, run as an ordinary test.

use std::fs;
use std::path::Path;

#[path = "../fuzz/harness/encoder.rs"]
mod encoder;
#[path = "../fuzz/harness/response.rs"]
mod response;

/// Runs every seed of a target, and every prefix of it, as a fuzzer would begin.
fn run_all(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(folder).expect("the corpus") {
        let bytes = fs::read(entry.expect("a file").path()).expect("a seed");
        for end in 0..=bytes.len().min(1_000) {
            run(&bytes[..end]);
        }
        run(&bytes);
        seeds += 1;
    }
    assert!(seeds > 10, "{target} has {seeds} seeds");
}

#[test]
fn every_seed_of_the_encoder_becomes_one_line_or_an_error() {
    run_all("encoder", encoder::run);
}

#[test]
fn every_seed_of_the_responses_is_understood_or_not_and_names_no_line_that_was_not_sent() {
    run_all("response", response::run);
}
