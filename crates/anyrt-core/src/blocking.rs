//! Blocking work: sync code beside async code. `blocking/README.md` explains the pool.

mod job;
mod limiter;
mod pool;
mod run;

pub use job::Job;
pub use limiter::{Acquire, CapacityLimiter, Token, WouldBlock};
pub(crate) use pool::Pool;
pub use run::{BlockingCall, RunBlocking, run_blocking};

/// The size of the default limiter: AnyIO's and so FastAPI's.
pub(crate) const DEFAULT_LIMIT: usize = 40;

pub mod from_thread {
    //! From inside a blocking job back to the run that it belongs to.

    use crate::context;
    use crate::scope::Cancelled;

    /// The answer of [`check_cancelled`].
    #[derive(Debug, Clone, thiserror::Error)]
    #[non_exhaustive]
    pub enum CheckError {
        /// The scope of the call that waits for this job is cancelled.
        #[error("the call that waits for this job was {0}")]
        Cancelled(Cancelled),
        /// This thread runs no blocking job.
        #[error(
            "this is no thread of `run_blocking`: `check_cancelled` works only inside the closure that it runs"
        )]
        NotInJob,
    }

    /// Whether the caller's scope is cancelled: for jobs that are willing to stop early.
    ///
    /// # Errors
    ///
    /// [`CheckError::Cancelled`] if it is, so that `?` leaves the closure; works in abandoned jobs
    /// too. [`CheckError::NotInJob`] outside of a job.
    pub fn check_cancelled() -> Result<(), CheckError> {
        if !context::in_job() {
            return Err(CheckError::NotInJob);
        }
        let cancelled =
            context::top().filter(|top| top.node().is_cancelled()).and_then(|top| top.node().cause());
        cancelled.map_or(Ok(()), |cancelled| Err(CheckError::Cancelled(cancelled)))
    }
}
