//! Time, where time itself is the matter: exact bounds below, generous ones above.

use std::time::{Duration, Instant};

use anyrt_core::now;

/// Time to wait for, where something must take a while.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(60);

/// Time that does not pass while a case runs.
pub(crate) const AN_HOUR: Duration = Duration::from_secs(3600);

/// What is done "at once" takes less, on the noisiest machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Measures on the runtime's clock.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(now())
    }

    /// No less than this has passed: exact.
    #[track_caller]
    pub(crate) fn has_run_for(&self, least: Duration) {
        let passed = now() - self.0;
        assert!(passed >= least, "over after {passed:?}, before {least:?} had passed");
    }

    /// Nothing waited for an hour.
    #[track_caller]
    pub(crate) fn shows_no_wait(&self) {
        let passed = now() - self.0;
        assert!(passed < AT_ONCE, "took {passed:?}");
    }
}

/// Keeps the thread busy for a while, as code does that computes and awaits nothing.
pub(crate) fn compute(duration: Duration) {
    std::thread::sleep(duration);
}
