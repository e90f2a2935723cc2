//! Tasks that were alive when the root of their run had closed: nobody waits for them.
//!
//! A group is waited for by its host, or by who takes it in when its host is dropped. One whose future is polled no
//! more and dropped by nobody has neither: it was moved out of the run, or kept somewhere. Its tasks end with
//! the runtime, in the middle of whatever they do.

use super::unfinished::Unfinished;
use crate::base::sync::Mutex;

/// The tasks of one run that were lost after its end.
#[derive(Default)]
pub(crate) struct LostTasks(Mutex<Vec<String>>);

impl LostTasks {
    /// Tells of tasks, once, and keeps their names for the error of the run.
    #[cold]
    pub(crate) fn note(&self, tasks: Vec<String>) {
        let mut new = Vec::new();
        {
            let mut known = self.0.lock();
            for task in tasks {
                if !known.contains(&task) {
                    known.push(task.clone());
                    new.push(task);
                }
            }
        }
        if !new.is_empty() {
            tracing::error!(
                target: "anyrt::lost",
                tasks = new.join("; "),
                "the run has ended without these tasks: nobody was left to wait for them, and their clean-up may not run"
            );
        }
    }

    /// What came of it, for the error of the run.
    pub(super) fn take(&self) -> Option<Unfinished> {
        let lost = std::mem::take(&mut *self.0.lock());
        (!lost.is_empty()).then(|| Unfinished::lost(lost))
    }
}
