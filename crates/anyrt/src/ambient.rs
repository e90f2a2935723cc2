//! What asks for the current runtime: the functions of the core, after the foreign runtimes that
//! this build knows were made known to it.
//!
//! The core depends on no runtime, so somebody has to tell it how tokio is found, before the first
//! question; and a library cannot run code before `main` without unsafe code. So each function that
//! may ask goes through here: one load of an atomic in front of the core's function.

use std::future::Future;
use std::time::{Duration, Instant};

use anyrt_core::{
    AllTasksBlocked, BlockingPortal, BoxError, BoxedJob, FailAfter, GroupError, Handle, Interval,
    IterateBlocking, Leaving, MoveOnAfter, Run, RunBlocking, RunError, Sleep, TaskGroup, TaskHandle,
    TaskTree,
};

/// Lets [`Handle::current`] find the runtimes that this build knows and anyrt has not started: with
/// the feature `tokio`, the tokio runtime that is entered on the thread that asks.
///
/// **Every function of this crate does so by itself.** Only a program which anyrt did not start, and
/// in which the very first use of anyrt is an associated function of a type (`TcpListener::bind`,
/// `CancelScope::new`, `Handle::current`), has to call it before; [`current_handle`] and
/// [`embed`](crate::embed) are such programs' usual first call, and do.
pub fn init() {}

/// Whether a run on `asked` can be started on this thread: not while a task is being polled.
pub(crate) fn check_not_polling(asked: &'static str) -> Result<(), RunError> {
    // First what knows whose task it is.
    Run::check_here(asked)?;
    #[cfg(feature = "tokio")]
    if anyrt_tokio::polling() {
        return Err(RunError::Nested { running: "tokio", asked });
    }
    Ok(())
}

/// The current handle: [`Handle::current`], which also finds a foreign runtime as the first call.
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn current_handle() -> Handle {
    init();
    Handle::current()
}

/// The tree of the current run as it is now: groups, tasks, scopes, and where each waits.
///
/// Printed, it is a tree that people read: what is alike is told once, with its number; `{:#}` prints each
/// task. With the feature `serde` it becomes JSON, too. To look costs time as the tree is long, and a short
/// lock of each place one after the other: what moves meanwhile may be seen twice or not at all.
///
/// ```
/// anyrt::run(async {
///     let tree = anyrt::tasks();
///     assert_eq!(tree.tasks().next().unwrap().name, "main");
///     println!("{tree}");
/// });
/// ```
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn tasks() -> TaskTree {
    init();
    anyrt_core::tasks()
}

/// Prints the task tree of the current run to stderr at each SIGUSR1 (`kill -USR1`), until what it returns is dropped.
///
/// A thread of its own does it, so it works where all threads of the runtime are stuck. Several runs print one after
/// the other. The signal does not end the program any more, from the first call on.
///
/// ```no_run
/// # async fn serve() {}
/// # async fn demo() -> std::io::Result<()> {
/// let _prints = anyrt::print_tasks_on_sigusr1()?;
/// serve().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When the system refuses the handler, or no thread can be started for it.
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[cfg(all(unix, feature = "sigusr1"))]
#[track_caller]
pub fn print_tasks_on_sigusr1() -> std::io::Result<anyrt_core::PrintsTasks> {
    init();
    anyrt_core::print_tasks_on_sigusr1()
}

/// Waits until every other task of the run waits: none is polled, none was woken, none is about to start.
///
/// For tests: what a task does until it waits has been done (Trio: `wait_all_tasks_blocked`). A task that sleeps,
/// waits for a thread or for a socket waits too; so do others that wait here, who go on together. What a thread or
/// the system does next is nobody's to know. While somebody waits here, each task is polled once more, and its polls cost more.
///
/// ```
/// use anyrt::sync::Event;
///
/// anyrt::run(async {
///     let event = Event::new();
///     let waits = event.clone();
///     let task = anyrt::spawn(async move { waits.wait().await });
///     anyrt::wait_all_tasks_blocked().await;
///     assert_eq!(event.waiting(), 1);
///     event.set();
///     task.await.unwrap();
/// });
/// ```
///
/// # Panics
///
/// When polled outside of any runtime, naming the caller and the cure.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn wait_all_tasks_blocked() -> AllTasksBlocked {
    init();
    anyrt_core::wait_all_tasks_blocked()
}

/// Spawns a task at the root of the run, which waits for it at its end; see [`Handle::spawn`].
///
/// In a program that anyrt did not start, nothing waits for it, unless [`embed`] is around.
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn spawn<F>(future: F) -> TaskHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    current_handle().spawn(future)
}

/// Waits for `duration`, counted from the first poll. Zero is a [`checkpoint`](crate::checkpoint).
///
/// # Panics
///
/// When polled outside of any runtime, naming the caller and the cure.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    init();
    anyrt_core::sleep(duration)
}

/// Waits until `deadline` on the runtime's clock; one that has passed is a checkpoint.
///
/// # Panics, cancel safety
///
/// As [`sleep`].
#[track_caller]
pub fn sleep_until(deadline: Instant) -> Sleep {
    init();
    anyrt_core::sleep_until(deadline)
}

/// Ticks every `period`: the first time at once, on every backend.
///
/// A tick that comes late does not move the later ones; those that were missed altogether are
/// skipped.
///
/// # Panics
///
/// When `period` is zero; [`Interval::tick`] when polled outside of any runtime.
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    init();
    anyrt_core::interval(period)
}

/// The current instant of the runtime's clock.
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn now() -> Instant {
    init();
    anyrt_core::now()
}

/// Runs `job` in a thread, and waits for it without blocking the thread of the caller.
///
/// First a checkpoint, then a token of a [`CapacityLimiter`](crate::CapacityLimiter) (that of the
/// run, 40 by default), then the pool. The context (handle, scope, task-locals) goes with it and
/// does not come back.
///
/// ```
/// anyrt::run(async {
///     let sum = anyrt::run_blocking(|| (1..=10).sum::<u32>()).await;
///     assert_eq!(sum, 55);
/// });
/// ```
///
/// # Panics
///
/// With the panic of `job`; outside of any runtime, naming the caller and the cure; when no thread
/// can be started.
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
    init();
    anyrt_core::run_blocking(job)
}

/// Drops a value, whose drop may block, in a thread of the pool, and does not wait for it: here, if this is such a
/// thread, or where there is no runtime.
///
/// It waits for no token. The end of the run waits for it, as for every closure that nobody waits for.
///
/// ```
/// anyrt::run(async {
///     let closed_at_leisure = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
///     anyrt::drop_in_pool(closed_at_leisure);
/// });
/// ```
#[track_caller]
pub fn drop_in_pool<V: Send + 'static>(value: V) {
    init();
    anyrt_core::drop_in_pool(value);
}

/// As [`run_blocking`], for work that computes and does not wait: its limiter is of the size of the
/// machine and independent of the run's default one.
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
    init();
    anyrt_core::run_cpu(job)
}

/// Makes of a function that blocks one whose call is awaited, and runs in the pool as [`run_blocking`] does it.
///
/// Each call takes the arguments, several as a tuple, and may be told more before it is awaited.
///
/// ```
/// anyrt::run(async {
///     let add = anyrt::asyncify(|(a, b): (u32, u32)| a + b);
///     assert_eq!(add((20, 22)).await, 42);
///     assert_eq!(add((1, 1)).name("sum").abandon_on_cancel().await, 2);
/// });
/// ```
///
/// # Panics, cancel safety
///
/// As [`run_blocking`].
#[track_caller]
pub fn asyncify<F, A, T>(function: F) -> impl Fn(A) -> RunBlocking<BoxedJob<T>> + Clone
where
    F: Fn(A) -> T + Send + Sync + 'static,
    A: Send + 'static,
    T: Send + 'static,
{
    init();
    anyrt_core::asyncify(function)
}

/// Pulls the items of `items` in threads of the pool, a batch in one hop, and hands them out as a stream.
///
/// ```
/// anyrt::run(async {
///     let mut lines = anyrt::iterate_blocking("one\ntwo".lines());
///     assert_eq!(lines.next().await, Some("one"));
///     assert_eq!(lines.next().await, Some("two"));
///     assert_eq!(lines.next().await, None);
/// });
/// ```
///
/// # Panics, cancel safety
///
/// As [`anyrt_core::iterate_blocking`], which tells more.
#[track_caller]
pub fn iterate_blocking<I>(items: I) -> IterateBlocking<I>
where
    I: IntoIterator + Send + 'static,
    I::IntoIter: Send,
    I::Item: Send,
{
    init();
    anyrt_core::iterate_blocking(items)
}

/// Enters in a thread, runs `body`, and leaves in a thread, whatever became of the body.
///
/// ```
/// use anyrt::Leaving;
///
/// anyrt::run(async {
///     let enter = || Ok(("entered", |_: Leaving<'_, usize, std::io::Error>| Ok(())));
///     let length = anyrt::blocking_context(enter, async |value: &str| Ok(value.len())).await;
///     assert_eq!(length.unwrap(), 7);
/// });
/// ```
///
/// # Errors, panics, cancel safety
///
/// As [`anyrt_core::blocking_context`], which tells more.
#[track_caller]
pub fn blocking_context<Enter, Leave, Body, V, T, E>(
    enter: Enter,
    body: Body,
) -> impl Future<Output = Result<T, E>>
where
    Enter: FnOnce() -> Result<(V, Leave), E> + Send + 'static,
    Leave: FnOnce(Leaving<'_, T, E>) -> Result<(), E> + Send + 'static,
    Body: AsyncFnOnce(V) -> Result<T, E>,
    V: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    init();
    anyrt_core::blocking_context(enter, body)
}

/// Runs `body` with a portal, by which threads that the runtime does not know call async code; left
/// when the tasks that came through the portal have ended.
///
/// ```
/// anyrt::run(async {
///     let sum = anyrt::blocking_portal(async |portal| {
///         let thread = std::thread::spawn(move || portal.call(async { 1 + 1 }));
///         anyrt::run_blocking(move || thread.join().unwrap()).await
///     })
///     .await;
///     assert_eq!(sum.unwrap().unwrap(), 2);
/// });
/// ```
///
/// # Errors
///
/// [`GroupError`]: that it was cancelled.
///
/// # Panics
///
/// With the panic of `body`, or of a task that was spawned through the portal; outside of any runtime,
/// naming the caller and the cure.
///
/// # Cancel safety
///
/// As [`task_group`]; threads that wait for the tasks get an error.
#[track_caller]
pub fn blocking_portal<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(BlockingPortal) -> T,
{
    init();
    anyrt_core::blocking_portal(body)
}

/// As [`blocking_portal`], with a body that ends in a `Result`: its error cancels the tasks.
///
/// # Errors
///
/// As [`blocking_portal`], and the body's error.
///
/// # Panics, cancel safety
///
/// As [`blocking_portal`].
#[track_caller]
pub fn try_blocking_portal<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(BlockingPortal) -> Result<T, BoxError>,
{
    init();
    anyrt_core::try_blocking_portal(body)
}

/// Runs `future` for at most `limit`; `None` when the time ran out before it had ended.
///
/// The time counts from the first poll, with one read of the clock; a future that is ready at once
/// costs no timer. `None` for `limit` never fires, zero fires at the first checkpoint.
///
/// # Panics
///
/// When polled outside of any runtime, naming the caller and the cure.
///
/// # Cancel safety
///
/// Dropped by foreign code, `future` is dropped with it.
#[track_caller]
pub fn move_on_after<F: Future>(limit: impl Into<Option<Duration>>, future: F) -> MoveOnAfter<F> {
    init();
    anyrt_core::move_on_after(limit, future)
}

/// As [`move_on_after`], with an instant on the runtime's clock.
#[track_caller]
pub fn move_on_at<F: Future>(deadline: impl Into<Option<Instant>>, future: F) -> MoveOnAfter<F> {
    init();
    anyrt_core::move_on_at(deadline, future)
}

/// Runs `future` for at most `limit`, else fails with [`TimedOut`](crate::TimedOut).
///
/// Otherwise as [`move_on_after`]. Whether it timed out is decided by what cancelled it, not by
/// looking at the clock afterwards.
#[track_caller]
pub fn fail_after<F: Future>(limit: impl Into<Option<Duration>>, future: F) -> FailAfter<F> {
    init();
    anyrt_core::fail_after(limit, future)
}

/// As [`fail_after`], with an instant on the runtime's clock.
#[track_caller]
pub fn fail_at<F: Future>(deadline: impl Into<Option<Instant>>, future: F) -> FailAfter<F> {
    init();
    anyrt_core::fail_at(deadline, future)
}

/// Runs `body` with a group whose children are real tasks; left only when every child has ended.
///
/// The first child that fails or panics cancels its siblings and the body at that moment. The body's
/// value comes back when it ended and nothing failed. A body whose own end can be an error is for
/// [`try_task_group`].
///
/// ```
/// use std::io;
///
/// let answer = anyrt::run(anyrt::task_group(async |tg| {
///     tg.spawn(async { println!("a child") });
///     tg.try_spawn(async { Err::<(), _>(io::Error::other("no")) });
///     42
/// }));
/// assert_eq!(answer.unwrap_err().to_string(), "no");
/// ```
///
/// # Errors
///
/// [`GroupError`]: what failed, in order of occurrence, or that the group itself was cancelled.
///
/// # Panics
///
/// With the first panic of a child or of the body, when all children have ended; outside of any
/// runtime, naming the caller and the cure.
///
/// # Cancel safety
///
/// Dropped by foreign code (`select!`, an abort), the body is dropped with its owner; the children
/// are cancelled, and the nearest open group around, else the root of the run, waits for them and
/// gets their errors.
#[track_caller]
pub fn task_group<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(TaskGroup) -> T,
{
    init();
    anyrt_core::task_group(body)
}

/// As [`task_group`], with a body that ends in a `Result`: its error fails the group like a child's.
///
/// ```
/// let answer = anyrt::run(anyrt::try_task_group(async |tg| {
///     let one = tg.spawn(async { 1 });
///     let two = tg.try_spawn(async { "2".parse::<u32>() });
///     Ok(one.await? + two.await?)
/// }))?;
/// assert_eq!(answer, 3);
/// # Ok::<(), anyrt::GroupError>(())
/// ```
///
/// # Errors
///
/// As [`task_group`]; the body's own error is among them. One that a handle gave it (`handle.await?`)
/// only repeats what the group has, and is not counted again.
///
/// # Panics, cancel safety
///
/// As [`task_group`].
#[track_caller]
pub fn try_task_group<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(TaskGroup) -> Result<T, BoxError>,
{
    init();
    anyrt_core::try_task_group(body)
}

/// Runs `main` as the root of a run inside a program whose runtime somebody else drives, and then
/// everything that it has spawned.
///
/// What [`run`](crate::run) promises for the end of a run holds here for the end of this future. The run has the
/// settings of that around, if there is one; `Run::here().name("island").embed(main)` has others.
///
/// # Errors
///
/// [`RunError::Unhandled`], [`RunError::Unfinished`].
///
/// # Panics
///
/// With the panic of `main`, or of a root task whose handle was dropped; outside of any runtime, naming the caller and
/// the cure.
///
/// # Cancel safety
///
/// Dropped, `main` is dropped, and the root's tasks are cancelled; nobody waits for them.
#[track_caller]
pub fn embed<F: Future>(main: F) -> impl Future<Output = Result<F::Output, RunError>> {
    init();
    anyrt_core::embed(main)
}
