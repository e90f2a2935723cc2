//! From inside a blocking job back to the run that it belongs to.
//!
//! Async code that a blocking closure calls runs in the scope of the caller of
//! [`run_blocking`](crate::run_blocking): it has its deadline and task-locals, is cancelled with it, and moves
//! with the call. While the closure waits, its token is lent to other calls, so blocking code that calls async
//! code that calls blocking code ends at any depth, on a limiter of any size but zero.

use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::job::InJob;
use super::limiter::thread_waker;
use super::waited::BlockingHandle;
use super::working::Waiting;
use crate::base::sync::{Arc, thread};
use crate::current::context;
use crate::current::handle::Handle;
use crate::group::{GroupState, Policy};
use crate::task::{self, Home, Options, TaskEnded};
use crate::tree::{self, Cancelled, NodeRef, default_name};

/// The error of [`check_cancelled`].
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

/// Why a thread got no value of async code.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The async code was cancelled: with the call that waits for this job, or with its portal.
    #[error("the async code that this thread waited for was {0}")]
    Cancelled(Cancelled),
    /// This thread runs no blocking job, so there is no run that it belongs to.
    #[error(
        "this is no thread of `run_blocking`: call this inside the closure that it runs, \
         or give a `BlockingPortal` to this thread"
    )]
    NotInJob,
    /// A task is polled on this thread: to wait here would stop it, and what it waits for.
    #[error(
        "a task is being polled on this thread, and to wait here would block it: await the future instead"
    )]
    OnRuntimeThread,
    /// The task ended without reporting that it was ready.
    #[error("the task ended before it said that it was ready: call `ready.started(..)` in it")]
    NotReady,
    /// The run has ended, or the portal is closed, and starts nothing any more.
    #[error("the run has ended or the portal is closed: wait for the threads that call before you end it")]
    RunEnded,
}

/// Whether the caller's scope is cancelled: for jobs that can stop early.
///
/// # Errors
///
/// [`CheckError::Cancelled`] if it is, so that `?` leaves the closure; works in abandoned jobs
/// too. [`CheckError::NotInJob`] outside of a job.
pub fn check_cancelled() -> Result<(), CheckError> {
    if !context::in_job() {
        return Err(CheckError::NotInJob);
    }
    let cancelled = context::top().and_then(|top| top.node().cause());
    cancelled.map_or(Ok(()), |cancelled| Err(CheckError::Cancelled(cancelled)))
}

/// Runs async code of this run as a task, and waits for it in this thread.
///
/// It runs in the scope of the caller of `run_blocking` and is cancelled with it, even if the call itself does
/// not abandon; the task-locals are those of the closure. It is polled before this thread lends its token: code
/// that is ready at once costs no token.
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{from_thread, run_blocking, sleep};
/// use std::time::Duration;
///
/// let answer = run_blocking(|| {
///     from_thread::run(async {
///         sleep(Duration::from_millis(1)).await;
///         42
///     })
/// })
/// .await;
/// assert_eq!(answer.unwrap(), 42);
/// # }
/// ```
///
/// # Errors
///
/// [`CallError::Cancelled`] when the caller's scope was cancelled and the async code with it, after
/// its clean-up. The other kinds of [`CallError`] for misuse: on a thread that polls a task, outside
/// of a job, after the end of the run.
///
/// # Panics
///
/// With the panic of the async code.
#[track_caller]
pub fn run<F>(future: F) -> Result<F::Output, CallError>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (job, handle) = here()?;
    let caller = context::task_id();
    let group = GroupState::new(Policy::EachForItself, caller, Some(handle.clone()), Location::caller());
    let name = default_name::<F>();
    // Kept until the group is closed: it may have taken in groups that the code has dropped, which live on.
    let stay = Stay::new(&handle)?;
    let lending = Lending { future, job: Some(job.clone()), _stay: None };
    tree::link_new(&group.as_node(), &(job.clone() as NodeRef));
    let options = Options { name: Some(name.into()), ..Options::default() };
    let waiting = Waiting::here(&handle);
    let waker = waiting.waker();
    let pool = &handle.0.shared.pool;
    // Before the task can submit a job, which must not count on this thread.
    pool.go_away();
    let mut task = task::spawn(Home::Group(group.clone()), lending, Ok, options);
    let toll = loop {
        match group.close_or_wait(&waker) {
            Some(toll) => break toll,
            None => waiting.park(),
        }
    };
    drop(waiting);
    pool.come_back();
    tree::end(group.as_node().node());
    drop(stay);
    job.take_back();
    if let Some(payload) = toll.panics.into_iter().next() {
        resume_unwind(payload);
    }
    match task.try_value() {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ended)) => Err(why(ended)),
        // Its group is closed, so it has ended.
        Err(_) => Err(CallError::RunEnded),
    }
}

/// Runs `call` on a thread of the runtime, and waits for it in this thread. It is never cancelled.
///
/// # Errors
///
/// [`CallError`] for misuse, as [`run`].
///
/// # Panics
///
/// With the panic of `call`.
#[track_caller]
pub fn run_sync<F, T>(call: F) -> Result<T, CallError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // A task is polled before anything can cancel it, and this one ends in its first poll.
    run(async move { call() })
}

/// Spawns a task in the scope of the caller of `run_blocking`. That call returns after the task has ended.
///
/// It is cancelled with the caller. Its panic is resumed in the caller, after the other tasks of the
/// same closure were cancelled; a panic of the closure cancels them too. The token of the job comes back when the closure has
/// returned, not when its tasks have ended.
///
/// # Errors
///
/// [`CallError`] for misuse, as [`run`].
#[track_caller]
pub fn spawn<F>(future: F) -> Result<BlockingHandle<F::Output>, CallError>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (job, handle) = here()?;
    let name = default_name::<F>();
    let staying = Lending { future, job: None, _stay: Some(Stay::new(&handle)?) };
    let options = Options { name: Some(name.into()), ..Options::default() };
    Ok(BlockingHandle::new(task::spawn(Home::Group(job.spawned(&handle)), staying, Ok, options)))
}

/// Whether a closure of a blocking job runs here, and may wait.
pub(super) fn check_here() -> Result<(), CallError> {
    here().map(drop)
}

/// The job whose closure runs here, and its run.
fn here() -> Result<(Arc<dyn InJob>, Handle), CallError> {
    if context::is_polling() {
        return Err(CallError::OnRuntimeThread);
    }
    let job = context::job().and_then(|place| place.as_job()).ok_or(CallError::NotInJob)?;
    let handle = context::handle().ok_or(CallError::NotInJob)?;
    Ok((job, handle))
}

/// Waits in this thread until `ready` returns true. If a closure runs here, its token is lent meanwhile.
pub(super) fn wait_until(mut ready: impl FnMut(&Waker) -> bool) {
    let Some((job, handle)) = here().ok() else {
        let waker = thread_waker();
        while !ready(&waker) {
            thread::park();
        }
        return;
    };
    let pool = &handle.0.shared.pool;
    let waiting = Waiting::here(&handle);
    let waker = waiting.waker();
    job.lend();
    pool.go_away();
    while !ready(&waker) {
        waiting.park();
    }
    drop(waiting);
    pool.come_back();
    job.take_back();
}

/// Why there is no value; a panic is resumed.
pub(super) fn why(ended: TaskEnded) -> CallError {
    match ended.cancelled() {
        Some(cancelled) => CallError::Cancelled(cancelled.clone()),
        None => match ended.into_panic() {
            Some(payload) => resume_unwind(payload),
            None => CallError::RunEnded,
        },
    }
}

pin_project! {
    /// The async code of a closure. Its thread lends its token when it has to wait, not before: what the code
    /// has called first is in the queue by then, before calls that start.
    struct Lending<F> {
        #[pin]
        future: F,
        job: Option<Arc<dyn InJob>>,
        _stay: Option<Stay>,
    }
}

impl<F: Future> Future for Lending<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.future.poll(cx);
        if polled.is_pending()
            && let Some(job) = this.job.take()
        {
            job.lend();
        }
        polled
    }
}

/// While this lives, the end of the run waits for its owner, whatever became of the job's caller.
struct Stay(Arc<GroupState>);

impl Stay {
    fn new(handle: &Handle) -> Result<Stay, CallError> {
        let root = &handle.0.shared.root;
        if root.admit() { Ok(Stay(root.clone())) } else { Err(CallError::RunEnded) }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.release();
    }
}
