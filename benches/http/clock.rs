//! What time is measured by.

use rustix::time::{ClockId, clock_gettime};

/// Seconds by a clock, from some moment on.
pub(crate) type Clock = fn() -> f64;

/// Time as it passes.
pub(crate) fn wall() -> f64 {
    seconds(ClockId::Monotonic)
}

/// The CPU time of this process, on all threads together, with that of the kernel on its behalf.
pub(crate) fn cpu() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
