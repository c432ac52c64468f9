//! The keys that are incremented, drawn before the clock runs.

/// How keys are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Draw {
    Uniform,
    /// The n-th key comes about 1/n as often as the first.
    Zipf,
}

/// What each thread increments.
pub(crate) struct Load {
    keys: Vec<String>,
    draws: Vec<Vec<u32>>,
}

impl Load {
    pub(crate) fn new(keys: usize, draw: Draw, threads: usize, increments: usize) -> Self {
        let share = increments / threads;
        let of = |thread: usize| {
            let mut random = thread as u64 + 1;
            (0..share).map(|_| draw.next(&mut random, keys)).collect()
        };
        Self {
            keys: (0..keys)
                .map(|key| format!("views/page/number/{key:09}"))
                .collect(),
            draws: (0..threads).map(of).collect(),
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.draws.len()
    }

    pub(crate) fn increments(&self) -> usize {
        self.draws.iter().map(Vec::len).sum()
    }

    /// The keys of one thread's increments.
    pub(crate) fn of(&self, thread: usize) -> Vec<&str> {
        let draws = self.draws[thread].iter();
        draws.map(|key| self.keys[*key as usize].as_str()).collect()
    }
}

impl Draw {
    fn next(self, random: &mut u64, keys: usize) -> u32 {
        // SplitMix64: good enough to draw from, and the same in every run.
        *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = *random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        let key = match self {
            Self::Uniform => unit * keys as f64,
            // The inverse of the continuous law with exponent 1.
            Self::Zipf => (keys as f64 + 1.0).powf(unit) - 1.0,
        };
        (key as u32).min(keys as u32 - 1)
    }
}
