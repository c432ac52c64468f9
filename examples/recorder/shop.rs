//! The application: a shop whose clerks count and measure, and keep a tally of their own to compare with.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// Where orders come from.
pub const COUNTRIES: [&str; 3] = ["Brasil", "Moçambique", "Portugal"];
/// How many clerks there are.
pub const CLERKS: usize = 4;

/// What one clerk, or all of them, have done.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tally {
    pub orders: [u64; COUNTRIES.len()],
    pub values: u64,
    pub value_sum: f64,
    pub least: f64,
    pub greatest: f64,
    /// Each clerk's own.
    pub queues: Vec<f64>,
    pub steps: u64,
}

impl Tally {
    fn new() -> Self {
        Self {
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            ..Self::default()
        }
    }

    fn add(mut self, other: Self) -> Self {
        for (sum, orders) in self.orders.iter_mut().zip(other.orders) {
            *sum += orders;
        }
        self.queues.extend(other.queues);
        Self {
            orders: self.orders,
            values: self.values + other.values,
            value_sum: self.value_sum + other.value_sum,
            least: self.least.min(other.least),
            greatest: self.greatest.max(other.greatest),
            queues: self.queues,
            steps: self.steps + other.steps,
        }
    }
}

/// Runs the shop until it closes, on threads of its own, and says what its clerks have done.
pub fn run(closes: &AtomicBool) -> Tally {
    thread::scope(|scope| {
        let clerks: Vec<_> = (0..CLERKS)
            .map(|clerk| scope.spawn(move || serve(clerk, closes)))
            .collect();
        let tallies = clerks
            .into_iter()
            .map(|clerk| clerk.join().expect("a clerk does not panic"));
        tallies.fold(Tally::new(), Tally::add)
    })
}

/// One clerk's day.
fn serve(clerk: usize, closes: &AtomicBool) -> Tally {
    let name = clerk.to_string();
    let mut tally = Tally::new();
    // Keeping a handle costs least; the macros in the loop look theirs up each time.
    let steps = counter!("steps", "clerk" => name.clone());
    // Relaxed: the flag publishes nothing.
    while !closes.load(Relaxed) {
        let number = tally.values;
        let country = (number as usize + clerk) % COUNTRIES.len();
        counter!("orders", "country" => COUNTRIES[country]).increment(1);
        tally.orders[country] += 1;

        let value = (number % 997) as f64 + 0.25;
        histogram!("order_value").record(value);
        tally.values += 1;
        tally.value_sum += value;
        tally.least = tally.least.min(value);
        tally.greatest = tally.greatest.max(value);

        let queue = (number % 17) as f64;
        gauge!("queue", "clerk" => name.clone()).set(queue);
        tally.queues = vec![queue];

        // A pedometer, which has a count of its own.
        tally.steps += 3;
        steps.absolute(tally.steps);
        thread::sleep(Duration::from_micros(200));
    }
    tally
}
