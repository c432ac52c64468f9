//! What each level of gzip costs and saves for the body of a write: `cargo bench -p buffer-benches --bench gzip`.
//!
//! The body is 5,000 lines of four tags and six fields, about 200 bytes each, with values that change as those of a machine do.
//! All levels run in every round, one after the other; the medians are printed, and the ratios count, not the times.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

const LINES: u64 = 5_000;
const ROUNDS: usize = 11;
const LEVELS: [u32; 5] = [1, 2, 3, 6, 9];

fn main() {
    let body = body();
    let mut rounds: Vec<[f64; LEVELS.len()]> = Vec::new();
    let mut sizes = [0; LEVELS.len()];
    for _ in 0..=ROUNDS {
        let mut round = [0.0; LEVELS.len()];
        for (index, level) in LEVELS.into_iter().enumerate() {
            let begin = Instant::now();
            sizes[index] = compressed(&body, level).len();
            round[index] = begin.elapsed().as_secs_f64();
        }
        rounds.push(round);
    }
    // The first round warms up.
    rounds.remove(0);
    println!("| level | MB/s | times smaller | time of level 1 |\n|---|---|---|---|");
    for (index, level) in LEVELS.into_iter().enumerate() {
        let seconds = median(rounds.iter().map(|round| round[index]));
        let factor = median(rounds.iter().map(|round| round[index] / round[0]));
        let speed = body.len() as f64 / 1e6 / seconds;
        let smaller = body.len() as f64 / sizes[index] as f64;
        println!("| {level} | {speed:.0} | {smaller:.1} | {factor:.1} |");
    }
}

fn compressed(body: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(level));
    encoder.write_all(body).expect("a Vec takes any number of bytes");
    encoder.finish().expect("a Vec takes any number of bytes")
}

fn body() -> Vec<u8> {
    let mut body = String::new();
    let mut noise = 1_u64;
    for n in 0..LINES {
        // A linear congruential generator: the same body in every run.
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (small, wide) = (noise >> 54, noise >> 20);
        writeln!(
            body,
            "http_requests,host=web-{},path=/api/v1/items,region=eu-central-1,status=200 count={n}i,bytes={wide}i,\
             p50={}.{small},p90={}.{small},p99={}.{small},errors={}i {}",
            n % 50,
            small % 7,
            small % 31,
            small % 97,
            small % 3,
            1_700_000_000_000_000_000 + n * 1_000_003
        )
        .expect("a String takes any text");
    }
    body.into_bytes()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
