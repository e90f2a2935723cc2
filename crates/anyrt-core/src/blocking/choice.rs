//! [`BlockingPool`]: whose threads run blocking jobs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::job::Job;
use super::run::StartError;
use crate::current::handle::Handle;
use crate::task::panic_message;

/// Whose threads run blocking jobs.
///
/// Limiters, order, lending, panics and context are the same with either, and so is the cancellation of what
/// has begun: they are the core's. What differs is what the threads themselves promise:
///
/// | | the core's pool | the runtime's own |
/// |---|---|---|
/// | threads are named after the run | yes | by tokio `{run}-worker-{n}`, by the `blocking` crate `blocking-{n}` |
/// | a call that is cancelled before its closure has begun | runs, once it has a token | never runs, so that a full pool keeps no caller beyond its limit |
/// | number of threads | tokens, and threads that wait for async code | also those of other users; never more than 512 (tokio), 500 (`BLOCKING_MAX_THREADS`, at most 10 000): deeply nested calls that need more wait for ever |
/// | wake-ups | one at a time, while a thread is needed | one a job |
/// | an idle thread ends | after 10 s, or as the run was told | after 10 s (tokio), 0.5 s (`blocking`) |
/// | the end of the run | joins idle threads; waits a while for abandoned jobs, names those left | a tokio runtime of our own waits for all that run, without bound, and drops what no thread has taken up; the `blocking` crate's threads are left |
/// | no thread can be started | an error for the caller, or the job waits for those that work | tokio: the same error; `blocking`: the job waits, if need be until another job tries again |
/// | [`Handle::blocking_threads`](crate::Handle::blocking_threads) | how many there are | 0 |
///
/// Choosing it makes sense if other code fills that pool already and the threads are to be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum BlockingPool {
    /// The core's: the same on every runtime.
    #[default]
    Core,
    /// The runtime's own: tokio's; the `blocking` crate's on smol and async-std.
    Native,
}

/// When a job begins that a pool has taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// A thread is there for it, or is on its way.
    Soon,
    /// Perhaps not before other jobs have ended: it waits for its place, as for a token.
    WithRoom,
}

/// Hands a job to the pool that the run has chosen, or to the runtime if that takes all jobs itself.
pub(super) fn hand_over(handle: &Handle, job: Job) -> Result<Begins, (Option<Job>, StartError)> {
    let shared = &handle.0.shared;
    let blocking = handle.runtime().blocking();
    let Some(own) = blocking.filter(|own| shared.blocking_pool == BlockingPool::Native || own.takes_all())
    else {
        return shared.pool.submit(job, handle).map_err(|(job, error)| (Some(job), error));
    };
    if shared.pool.is_retired() {
        return Err((Some(job), StartError::RunEnded));
    }
    match catch_unwind(AssertUnwindSafe(|| own.submit(job))) {
        // The runtime does not say how full its pool is.
        Ok(Ok(())) => Ok(Begins::WithRoom),
        Ok(Err((job, error))) => Err((Some(job), StartError::NoThread(error))),
        Err(payload) => Err((None, StartError::NoThread(io::Error::other(panic_message(&*payload))))),
    }
}
