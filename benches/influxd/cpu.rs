//! The CPU time of this process, with that of the kernel on its behalf.

use rustix::time::{ClockId, clock_gettime};

/// How many seconds of it `work` takes, on all threads together.
pub(crate) fn seconds_of(work: impl FnOnce()) -> f64 {
    let begin = now();
    work();
    now() - begin
}

fn now() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
