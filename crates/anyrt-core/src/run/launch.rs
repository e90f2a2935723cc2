//! [`Launch`]: what a run is started on.

use std::fmt;
use std::num::NonZeroUsize;

use super::error::{RunError, invalid};
use crate::base::sync::Arc;
use crate::current::runtime::Runtime;

/// What a [`Run`](crate::Run) is started on: something that starts a runtime, or one that the caller brings.
///
/// An `Arc` of a [`Runtime`] is one, and so is each `anyrt::Backend`.
pub trait Launch: fmt::Debug + Send + Sync + 'static {
    /// Starts the runtime, with so many threads that poll tasks (its own number for `None`), named after `name`.
    ///
    /// Where a runtime cannot be started because a task is being polled on this thread,
    /// [`Run::check_here`](crate::Run::check_here) says so before anything is started.
    ///
    /// # Errors
    ///
    /// [`RunError::Start`] when it cannot be started, or the number of threads cannot be chosen;
    /// [`RunError::Backend`] when there is no such runtime.
    fn launch(&self, threads: Option<NonZeroUsize>, name: &str) -> Result<Arc<dyn Runtime>, RunError>;

    /// The runtime, where it is there without being started: what [`Run::embed`](crate::Run::embed) runs on.
    fn running(&self) -> Option<Arc<dyn Runtime>> {
        None
    }
}

impl Launch for Arc<dyn Runtime> {
    fn launch(&self, threads: Option<NonZeroUsize>, _name: &str) -> Result<Arc<dyn Runtime>, RunError> {
        match threads {
            None => Ok(self.clone()),
            Some(_) => Err(invalid(
                "`threads` cannot be chosen for a runtime that is there: its owner has started them",
            )),
        }
    }

    fn running(&self) -> Option<Arc<dyn Runtime>> {
        Some(self.clone())
    }
}

impl<R: Runtime> Launch for Arc<R> {
    fn launch(&self, threads: Option<NonZeroUsize>, name: &str) -> Result<Arc<dyn Runtime>, RunError> {
        (self.clone() as Arc<dyn Runtime>).launch(threads, name)
    }

    fn running(&self) -> Option<Arc<dyn Runtime>> {
        Some(self.clone())
    }
}
