//! What is encoded: readings as a program has them, names as texts and values as numbers.

/// A reading of four tags and six fields, three of them floats; its tags are sorted.
pub(crate) struct Reading {
    pub(crate) measurement: &'static str,
    pub(crate) tags: [(&'static str, String); 4],
    pub(crate) floats: [(&'static str, f64); 3],
    pub(crate) integer: (&'static str, i64),
    pub(crate) boolean: (&'static str, bool),
    pub(crate) text: (&'static str, String),
    pub(crate) nanoseconds: i64,
}

/// How many readings there are of each kind: different ones, so that no branch is learned by heart.
pub(crate) const READINGS: usize = 1_000;

/// How many series they are of.
pub(crate) const HOSTS: usize = 100;
const BEGIN: i64 = 1_700_000_000_000_000_000;

/// Readings with nothing to escape, about 215 bytes each as lines.
pub(crate) fn plain() -> Vec<Reading> {
    let mut noise = Noise(1);
    (0..READINGS)
        .map(|n| Reading {
            measurement: "cpu",
            tags: [
                ("cluster", "production".to_owned()),
                ("host", format!("web-{:03}", n % HOSTS)),
                ("region", "eu-central-1".to_owned()),
                ("service", "checkout".to_owned()),
            ],
            floats: [
                ("user", noise.float() * 100.0),
                ("system", noise.float() * 100.0),
                ("load", noise.float() * 8.0),
            ],
            integer: ("processes", noise.integer(2_000)),
            boolean: ("throttled", noise.integer(2) == 0),
            text: ("governor", "performance".to_owned()),
            nanoseconds: BEGIN + n as i64 * 1_000_000,
        })
        .collect()
}

/// A linear congruential generator: the same readings in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 11
    }

    /// Between 0 and 1, with all its digits.
    fn float(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 53) as f64
    }

    fn integer(&mut self, below: u64) -> i64 {
        (self.next() % below) as i64
    }
}
