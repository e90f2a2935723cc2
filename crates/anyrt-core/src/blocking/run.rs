//! `run_blocking`: a closure that blocks, awaited.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::job::{Job, JobCell};
use super::limiter::{Acquire, CapacityLimiter, Token};
use crate::context::{self, Setting};
use crate::handle::Handle;
use crate::scope::scoped::settle;
use crate::scope::tree::{self, NodeRef};
use crate::sync::Arc;

/// Runs `job` in a thread, and waits for it without blocking the thread of the caller.
///
/// First a checkpoint, then a token of a [`CapacityLimiter`] (that of the run, 40 by default), then
/// the pool. The context (handle, scope, task-locals) goes with it and does not come back.
///
/// ```
/// # async fn demo() {
/// let sum = anyrt_core::run_blocking(|| (1..=10).sum::<u32>()).await;
/// assert_eq!(sum, 55);
/// # }
/// ```
///
/// # Panics
///
/// With the panic of `job`; outside of any runtime; when no thread can be started.
///
/// # Cancel safety
///
/// Cancelled before it has a token, it never runs. Cancelled while it runs, the scope waits, and the
/// result is returned; told to [`abandon_on_cancel`](RunBlocking::abandon_on_cancel), it is left at
/// once. What was accepted by the pool always runs to its end, and keeps its token until then; also
/// when this future is dropped by foreign code.
#[track_caller]
pub fn run_blocking<F, T>(job: F) -> RunBlocking<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    RunBlocking::new(job)
}

/// A blocking call to be: awaited, or told more first.
#[must_use = "nothing runs until it is awaited"]
pub struct RunBlocking<F> {
    job: F,
    limiter: Option<CapacityLimiter>,
    abandon: bool,
    handle: Option<Handle>,
    called: &'static Location<'static>,
}

impl<F> RunBlocking<F> {
    #[track_caller]
    pub(crate) fn new(job: F) -> RunBlocking<F> {
        RunBlocking { job, limiter: None, abandon: false, handle: None, called: Location::caller() }
    }

    pub(crate) fn on(mut self, handle: Handle) -> RunBlocking<F> {
        self.handle = Some(handle);
        self
    }

    /// Takes the token from this limiter in place of the run's.
    pub fn limiter(mut self, limiter: &CapacityLimiter) -> RunBlocking<F> {
        self.limiter = Some(limiter.clone());
        self
    }

    /// Lets a cancelled caller go at once. The closure runs on, keeps its token until its end, and
    /// its result is discarded.
    pub fn abandon_on_cancel(mut self) -> RunBlocking<F> {
        self.abandon = true;
        self
    }
}

impl<F, T> IntoFuture for RunBlocking<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;
    type IntoFuture = BlockingCall<F, T>;

    #[track_caller]
    fn into_future(self) -> BlockingCall<F, T> {
        BlockingCall { abandon: self.abandon, state: State::New(Some(self)) }
    }
}

/// The future of [`run_blocking`].
#[must_use = "futures do nothing unless polled"]
pub struct BlockingCall<F, T> {
    abandon: bool,
    state: State<F, T>,
}

enum State<F, T> {
    New(Option<RunBlocking<F>>),
    Acquiring { acquire: Acquire, job: Option<F>, handle: Handle },
    Running { cell: Arc<JobCell<F, T>>, place: NodeRef },
    Ended,
}

// The closure is only moved, never pinned.
impl<F, T> Unpin for BlockingCall<F, T> {}

impl<F, T> Future for BlockingCall<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::New(call) => {
                    let Some(call) = call.take() else { unreachable!("a call is started once") };
                    let handle = call.handle.unwrap_or_else(|| Handle::current_for(call.called));
                    let limiter = call.limiter.as_ref().unwrap_or_else(|| handle.limiter());
                    let acquire = limiter.acquire();
                    this.state = State::Acquiring { acquire, job: Some(call.job), handle };
                }
                State::Acquiring { acquire, job, handle } => {
                    let Poll::Ready(token) = Pin::new(acquire).poll(cx) else { return Poll::Pending };
                    let Some(job) = job.take() else { unreachable!("a call is submitted once") };
                    let cell = submit(handle, job, token, this.abandon);
                    let place = cell.place();
                    this.state = State::Running { cell, place };
                }
                State::Running { cell, place } => {
                    settle(place);
                    let Poll::Ready(result) = cell.poll(cx) else { return Poll::Pending };
                    tree::end(place.node());
                    this.state = State::Ended;
                    return Poll::Ready(result.unwrap_or_else(|payload| resume_unwind(payload)));
                }
                State::Ended => panic!("a blocking call was polled again after it was ready"),
            }
        }
    }
}

fn submit<F, T>(handle: &Handle, job: F, token: Token, abandon: bool) -> Arc<JobCell<F, T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let setting = Setting {
        task: context::current_task(),
        locals: context::locals(),
        handle: Some(handle.clone()),
        in_job: true,
        polling: false,
    };
    let cell = JobCell::new(job, setting, token, !abandon);
    if let Err((refused, error)) = hand_over(handle, cell.job()) {
        drop(refused);
        cell.withdraw();
        panic!("no thread could be started for a blocking job: {error}");
    }
    cell
}

fn hand_over(handle: &Handle, job: Job) -> Result<(), (Job, std::io::Error)> {
    match handle.runtime().blocking() {
        Some(blocking) => blocking.submit(job),
        None => handle.0.shared.pool.submit(job, handle.runtime()),
    }
}

impl<F, T> Drop for BlockingCall<F, T> {
    fn drop(&mut self) {
        if let State::Running { cell, place } = &self.state {
            cell.abandon();
            tree::end(place.node());
        }
    }
}

impl<F> fmt::Debug for RunBlocking<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunBlocking").field("abandon", &self.abandon).finish_non_exhaustive()
    }
}

impl<F, T> fmt::Debug for BlockingCall<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::New(_) => "new",
            State::Acquiring { .. } => "waiting for a token",
            State::Running { .. } => "running",
            State::Ended => "ended",
        };
        f.debug_struct("BlockingCall").field("state", &state).finish()
    }
}
