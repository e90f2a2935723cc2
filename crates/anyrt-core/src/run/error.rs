//! [`RunError`]: why a run could not be started, or what was left at its end.

use std::io;

use super::Unfinished;
use crate::base::fork::Forked;
use crate::current::runtime::NotOwned;
use crate::group::GroupError;

/// Why a run could not be started, or what was left at its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A task is being polled on this thread: to wait here would stop it, and what it waits for.
    #[error(
        "a run on {asked} cannot be started inside a task of {running}: that task is being polled on this thread, and to wait \
         here would block it; await the future instead, or use `anyrt::embed(..).await`, or start the run on a thread of its own"
    )]
    Nested {
        /// The name of the runtime that polls the task.
        running: &'static str,
        /// The name of that on which the run was to be.
        asked: &'static str,
    },
    /// This process was forked off another one in which a run had been started.
    #[error(transparent)]
    Forked(#[from] Forked),
    /// The runtime was adopted: its owner drives it.
    #[error(transparent)]
    NotOwned(#[from] NotOwned),
    /// What names the runtime names none that is there: `anyrt::BackendError`, of the facade.
    #[error(transparent)]
    Backend(Box<dyn std::error::Error + Send + Sync>),
    /// The run has chosen the runtime's own pool for blocking jobs, and the runtime has none.
    #[error("`{runtime}` has no pool of its own for blocking jobs: choose `BlockingPool::Core`")]
    NoNativePool {
        /// The runtime's name.
        runtime: &'static str,
    },
    /// The runtime could not be started.
    #[error("the runtime could not be started: {0}")]
    Start(#[source] io::Error),
    /// The main future ended well, but tasks at the root failed and nobody had looked at them.
    #[error("tasks at the root of the run failed, and nobody looked: {0}")]
    UnobservedFailures(#[source] GroupError),
    /// Tasks had not ended when the time for that was over ([`Run::shutdown_timeout`](crate::Run::shutdown_timeout)), or nobody was left to wait
    /// for them: the future of their group was not polled any more, and outlived the run.
    #[error(transparent)]
    ShutdownTimedOut(Unfinished),
}

/// A setting that cannot be.
pub(super) fn invalid(what: impl Into<String>) -> RunError {
    RunError::Start(io::Error::new(io::ErrorKind::InvalidInput, what.into()))
}
