//! `run_blocking`: a closure that blocks, awaited.

use std::future::{Future, IntoFuture};
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io};

use super::choice::{Begins, hand_over};
use super::grant::{Asking, Grant, Limiter};
use super::job::{JobCell, Label, cut_off};
use super::limiter::{CapacityLimiter, Turn};
use crate::base::fork::Forked;
use crate::base::sync::Arc;
use crate::current::context::{self, Setting};
use crate::current::gate::{self, Gate};
use crate::current::handle::Handle;
use crate::scope::scoped::settle;
use crate::tree::{self, NodeRef, site};

/// Runs `job` in a thread, and waits for it without blocking the thread of the caller.
///
/// First a checkpoint, then a token of a [`CapacityLimiter`] (the run's, 40 by default), then the pool. The
/// context (handle, scope, task-locals) goes along and does not come back.
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
/// With the panic of `job`, whose text then names the thread; outside of any runtime, naming the
/// caller and the cure; with a [`StartError`], for which [`try_start`](RunBlocking::try_start) is an
/// error value.
///
/// # Cancel safety
///
/// Cancelled before it has a token, the closure never runs; nor when it is cancelled while it has a token and
/// waits for a thread, in a full pool of the runtime or where no thread can be started. Cancelled while it
/// runs, the scope waits, and the result is returned; with
/// [`abandon_on_cancel`](RunBlocking::abandon_on_cancel), the caller goes at once. A closure that the pool has
/// accepted always runs to its end, and keeps its token until then; also when this future is dropped by foreign
/// code.
#[track_caller]
pub fn run_blocking<F, T>(job: F) -> RunBlocking<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    RunBlocking::new(job)
}

/// As [`run_blocking`], for work that computes and does not wait: its limiter has the size of the machine
/// ([`std::thread::available_parallelism`]) and is independent of the run's default one.
///
/// ```
/// # async fn demo() {
/// let sum = anyrt_core::run_cpu(|| (1..=1_000_000_u64).sum::<u64>()).await;
/// assert_eq!(sum, 500_000_500_000);
/// # }
/// ```
///
/// # Panics, cancel safety
///
/// As [`run_blocking`].
#[track_caller]
pub fn run_cpu<F, T>(job: F) -> RunBlocking<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    RunBlocking::new(job).on_cpu()
}

/// Why a blocking job was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no thread for it, and none can be started. The token is back.
    #[error(
        "no thread could be started for a blocking job: {0}; lower the limit, or raise that of the system"
    )]
    NoThread(#[source] io::Error),
    /// The task that calls holds every token of the limiter as a guard: it would wait for itself.
    #[error(
        "this task holds all tokens of the limiter and would wait for one of them for ever: drop a guard before the call, \
         or `detach` it if somebody else drops it"
    )]
    WaitsForItself,
    /// The runtime, whose own pool was to run it, dropped the job before it ran. The token is back.
    #[error("the runtime dropped a blocking job before it ran: it has ended, or is about to")]
    Dropped,
    /// The run has ended: this handle to it, or this job of it, has outlived it.
    #[error(
        "the run has ended and starts no blocking job any more: keep the run alive until its threads are done"
    )]
    RunEnded,
    /// This process was forked off the one in which the run was started.
    #[error(transparent)]
    Forked(#[from] Forked),
}

/// Builder of a blocking call: configure it, then await it.
#[must_use = "nothing runs until it is awaited"]
pub struct RunBlocking<F> {
    job: F,
    limiter: Limit,
    /// The place in the queue that was taken for it before.
    turn: Option<Turn>,
    abandon: bool,
    name: Option<Arc<str>>,
    handle: Option<Handle>,
    called: &'static Location<'static>,
}

/// The limiter that a call asks.
enum Limit {
    OfRun,
    OfMachine,
    Unlimited,
    Own(CapacityLimiter),
    Foreign(Arc<dyn Limiter>),
    /// The run's limiter, before calls that start.
    Continuing,
}

impl<F> RunBlocking<F> {
    #[track_caller]
    pub(crate) fn new(job: F) -> RunBlocking<F> {
        RunBlocking::called_at(job, Location::caller())
    }

    pub(super) fn called_at(job: F, called: &'static Location<'static>) -> RunBlocking<F> {
        RunBlocking {
            job,
            limiter: Limit::OfRun,
            turn: None,
            abandon: false,
            name: None,
            handle: None,
            called,
        }
    }

    pub(crate) fn on(mut self, handle: Handle) -> RunBlocking<F> {
        self.handle = Some(handle);
        self
    }

    pub(crate) fn on_cpu(mut self) -> RunBlocking<F> {
        self.limiter = Limit::OfMachine;
        self
    }

    /// Takes the token from this limiter in place of the run's.
    pub fn limiter(mut self, limiter: &CapacityLimiter) -> RunBlocking<F> {
        self.limiter = Limit::Own(limiter.clone());
        self
    }

    /// Asks a limiter of your own in place of the run's.
    pub fn limited_by(mut self, limiter: Arc<dyn Limiter>) -> RunBlocking<F> {
        self.limiter = Limit::Foreign(limiter);
        self
    }

    /// Waits for no token: for what must run soon although all tokens are taken, such as the release of what
    /// the holders of those tokens wait for.
    ///
    /// Nothing then bounds the number of threads but the number of such calls. It is a checkpoint all
    /// the same: in a cancelled scope it does not start, so shield it if it must.
    /// (Starlette tears down on a limiter of its own, of one token, for the same reason.)
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{run_blocking, shield};
    ///
    /// shield(run_blocking(|| println!("closed")).unlimited().into_future()).await;
    /// # }
    /// ```
    pub fn unlimited(mut self) -> RunBlocking<F> {
        self.limiter = Limit::Unlimited;
        self
    }

    /// For layers above: the call continues what has begun, and goes before calls that start, as does a call
    /// made inside a blocking job.
    #[doc(hidden)]
    pub fn continuing(mut self) -> RunBlocking<F> {
        self.limiter = Limit::Continuing;
        self
    }

    /// For layers above: takes the token of a place in the queue that was taken before.
    #[doc(hidden)]
    pub fn turn(mut self, turn: Turn) -> RunBlocking<F> {
        (self.limiter, self.turn) = (Limit::Continuing, Some(turn));
        self
    }

    /// A name for messages: in a panic, and for a job that is left at the end of the run.
    pub fn name(mut self, name: &str) -> RunBlocking<F> {
        self.name = Some(name.into());
        self
    }

    /// The same call, with an error where it could not be started.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    ///
    /// # Panics
    ///
    /// With the panic of the closure; outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// As [`run_blocking`].
    pub fn try_start<T>(self) -> TryBlockingCall<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        TryBlockingCall { abandon: self.abandon, state: CallState::New(Some(self)) }
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
        BlockingCall { called: self.called, call: self.try_start() }
    }
}

/// The future of [`run_blocking`].
#[must_use = "futures do nothing unless polled"]
pub struct BlockingCall<F, T> {
    called: &'static Location<'static>,
    call: TryBlockingCall<F, T>,
}

impl<F, T> Future for BlockingCall<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let called = self.called;
        Pin::new(&mut self.call).poll(cx).map(|started| match started {
            Ok(value) => value,
            Err(error) => panic!("{error} (called at {called})"),
        })
    }
}

/// The future of [`RunBlocking::try_start`].
#[must_use = "futures do nothing unless polled"]
pub struct TryBlockingCall<F, T> {
    abandon: bool,
    state: CallState<F, T>,
}

enum CallState<F, T> {
    New(Option<RunBlocking<F>>),
    Asking {
        asking: Asking,
        limiter: Limit,
        job: Option<F>,
        handle: Handle,
        label: Label,
    },
    /// The pool has it.
    Running {
        cell: Arc<JobCell<F, T>>,
        place: NodeRef,
        queued: Option<Box<Queued>>,
    },
    Ended,
}

/// What a call needs if it may have to leave the queue of the pool.
struct Queued {
    limiter: Limit,
    handle: Handle,
    /// Its entry among the waiters for the cancellation.
    watches: Option<usize>,
}

impl<F, T> CallState<F, T> {
    fn asking(limiter: Limit, job: F, handle: Handle, label: Label) -> CallState<F, T> {
        let called = label.called;
        let asking = match &limiter {
            Limit::OfRun => Asking::ours(handle.limiter(), called),
            Limit::OfMachine => Asking::ours(handle.cpu_limiter(), called),
            Limit::Unlimited => Asking::ours(&handle.0.shared.unlimited, called),
            Limit::Own(limiter) => Asking::ours(limiter, called),
            Limit::Foreign(limiter) => Asking::foreign(limiter.clone(), called),
            Limit::Continuing => Asking::continuing(handle.limiter(), called),
        };
        CallState::Asking { asking, limiter, job: Some(job), handle, label }
    }
}

/// Takes a job back from the queue of the pool, if it is cancelled there and no thread has begun it.
fn leave_queue<F, T>(cell: &JobCell<F, T>, place: &NodeRef) -> Option<F> {
    if place.node().is_cancelled() { cell.withdraw() } else { None }
}

// The closure is only moved, never pinned.
impl<F, T> Unpin for TryBlockingCall<F, T> {}

impl<F, T> Future for TryBlockingCall<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, StartError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                CallState::New(call) => {
                    let Some(call) = call.take() else { unreachable!("a call is started once") };
                    let handle = call.handle.unwrap_or_else(|| Handle::current_for(call.called));
                    let label = Label { name: call.name, called: call.called };
                    this.state = CallState::asking(call.limiter, call.job, handle, label);
                    if let (Some(turn), CallState::Asking { asking, .. }) = (call.turn, &mut this.state) {
                        *asking = Asking::turn(turn);
                    }
                }
                CallState::Asking { asking, limiter, job, handle, label } => {
                    let grant = match ready!(asking.poll(cx)) {
                        Ok(grant) => grant,
                        Err(error) => {
                            this.state = CallState::Ended;
                            return Poll::Ready(Err(error));
                        }
                    };
                    let Some(job) = job.take() else { unreachable!("a call is submitted once") };
                    match submit(handle, job, grant, this.abandon, label.clone()) {
                        Ok((cell, begins)) => {
                            let place = cell.place();
                            let queued = (begins == Begins::WithRoom).then(|| {
                                let limiter = std::mem::replace(limiter, Limit::Unlimited);
                                Box::new(Queued { limiter, handle: handle.clone(), watches: None })
                            });
                            this.state = CallState::Running { cell, place, queued };
                        }
                        Err(error) => {
                            this.state = CallState::Ended;
                            return Poll::Ready(Err(error));
                        }
                    }
                }
                CallState::Running { cell, place, queued } => {
                    settle(place);
                    if let Some(mut waits) = queued.take() {
                        // First the waker: a cancellation that comes after this wakes it.
                        place.node().watch(&mut waits.watches, cx.waker());
                        if let Some(job) = leave_queue(cell, place) {
                            let label = cell.call();
                            // It is back where it was before it had a token, and asks again if the shield goes
                            // up.
                            this.state = CallState::asking(waits.limiter, job, waits.handle, label);
                            continue;
                        }
                        *queued = Some(waits);
                    }
                    let polled = if this.abandon {
                        gate::handed(false, cell.called(), cx, |cx, gate| match gate {
                            Gate::Shut if !context::is_in_time(cell.ended_at()) => Poll::Pending,
                            _ => cell.poll(cx),
                        })
                    } else {
                        cell.poll(cx)
                    };
                    let Poll::Ready(result) = polled else {
                        site::note(cell.called());
                        return Poll::Pending;
                    };
                    tree::end(place.node());
                    this.state = CallState::Ended;
                    let ended = result.ok_or(StartError::Dropped)?;
                    return Poll::Ready(Ok(ended.unwrap_or_else(|payload| resume_unwind(payload))));
                }
                CallState::Ended => panic!("a blocking call was polled again after it was ready"),
            }
        }
    }
}

fn submit<F, T>(
    handle: &Handle,
    job: F,
    grant: Grant,
    abandon: bool,
    label: Label,
) -> Result<(Arc<JobCell<F, T>>, Begins), StartError>
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
    let cell = JobCell::new(job, setting, grant, !abandon, label);
    match hand_over(handle, cell.job()) {
        Ok(begins) => Ok((cell, begins)),
        Err((refused, error)) => {
            drop(cell.withdraw());
            drop(refused);
            Err(error)
        }
    }
}

/// Drops a value, whose drop may block, in a thread of the pool, and does not wait for it: here, if this is such a
/// thread, or where there is no runtime.
///
/// It waits for no token. The end of the run waits for it, as for every closure without a caller.
///
/// ```
/// # anyrt_core::drop_in_pool(());
/// # async fn demo(file: std::fs::File) {
/// anyrt_core::drop_in_pool(file);
/// # }
/// ```
#[track_caller]
pub fn drop_in_pool<V: Send + 'static>(value: V) {
    drop_called_at(value, Location::caller());
}

/// As [`drop_in_pool`], called at `called` for messages.
pub(super) fn drop_called_at<V: Send + 'static>(value: V, called: &'static Location<'static>) {
    if context::in_job() {
        return;
    }
    let Ok(handle) = Handle::try_current() else { return };
    let Ok(token) = handle.0.shared.unlimited.try_acquire() else { return };
    let label = Label { name: Some("drop".into()), called };
    if let Ok((cell, _)) = submit(&handle, move || drop(value), Grant::Ours(token.detach()), true, label) {
        leave(&cell, &cell.place());
    }
}

/// The caller does not wait for the job any more; the job runs to its end.
fn leave<F, T>(cell: &JobCell<F, T>, place: &NodeRef) {
    cut_off(place);
    cell.abandon();
}

impl<F, T> Drop for TryBlockingCall<F, T> {
    fn drop(&mut self) {
        let CallState::Running { cell, place, queued } = &self.state else { return };
        // A cancelled scope drops it, perhaps before it was polled again.
        if queued.is_some()
            && let Some(job) = leave_queue(cell, place)
        {
            drop(job);
        } else {
            leave(cell, place);
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
        f.debug_tuple("BlockingCall").field(&self.call).finish()
    }
}

impl<F, T> fmt::Debug for TryBlockingCall<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            CallState::New(_) => "new",
            CallState::Asking { .. } => "waiting for a token",
            CallState::Running { .. } => "running",
            CallState::Ended => "ended",
        };
        f.debug_struct("TryBlockingCall").field("state", &state).finish()
    }
}

impl Handle {
    /// Runs a closure that blocks in a thread of the pool; see [`run_blocking`](crate::run_blocking).
    #[track_caller]
    pub fn run_blocking<F, T>(&self, job: F) -> RunBlocking<F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        RunBlocking::new(job).on(self.clone())
    }

    /// Runs a closure that computes in a thread of the pool; see [`run_cpu`](crate::run_cpu).
    #[track_caller]
    pub fn run_cpu<F, T>(&self, job: F) -> RunBlocking<F>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        RunBlocking::new(job).on_cpu().on(self.clone())
    }

    /// The default limiter of blocking calls: 40 tokens unless the run was told otherwise.
    pub fn limiter(&self) -> &CapacityLimiter {
        &self.0.shared.limiter
    }

    /// The limiter of [`run_cpu`](crate::run_cpu): as many tokens as the machine runs threads at once.
    pub fn cpu_limiter(&self) -> &CapacityLimiter {
        &self.0.shared.cpu
    }

    /// How many threads the pool of blocking jobs has now.
    pub fn blocking_threads(&self) -> usize {
        self.0.shared.pool.threads()
    }

    /// For tests and measurements: what the pool of blocking jobs has cost so far.
    #[doc(hidden)]
    pub fn blocking_statistics(&self) -> super::PoolStatistics {
        self.0.shared.pool.statistics()
    }

    /// For tests: from now on the pool of blocking jobs cannot start threads, or can again.
    #[doc(hidden)]
    pub fn deny_blocking_threads(&self, denied: bool) {
        self.0.shared.pool.deny_threads(denied);
    }
}
