//! Blocking work.

use std::fmt;

/// A blocking job on its way to a thread. It never panics.
pub struct Job(Box<dyn FnOnce() + Send>);

impl Job {
    /// Runs the job on this thread.
    pub fn run(self) {
        (self.0)();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}
