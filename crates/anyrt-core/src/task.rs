//! Tasks: what a runtime polls, and what observes them.

use crate::current::handle::Handle;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

mod cell;
mod ended;
mod handle;
mod home;
mod slot;
pub(crate) mod span;
mod status;

pub(crate) use cell::Exclusive;
pub use ended::TaskEnded;
pub(crate) use ended::{Why, panic_message};
pub use handle::TaskHandle;
pub(crate) use home::Home;
pub(crate) use slot::Slot;
pub use status::{NotFinished, TaskStatus};

use self::cell::{Owner, TaskCell};
use crate::base::sync::Arc;
use crate::current::context::{self, TaskRef, Tasked};
use crate::current::locals::Locals;
use crate::group::{BoxError, GroupState};
use crate::tree::{GivenName, TaskInfo, default_name};

/// A task on its way to a runtime: a future that never panics and whose output nobody needs.
///
/// Dropped before it was ready, it reports to its group that the runtime has lost it.
pub struct Task(Owner);

/// What a spawner may say about its children.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<GivenName>,
    /// The task-locals in place of a copy of the spawner's.
    pub(crate) locals: Option<Locals>,
}

/// Spawns `future` as a child of the group of `home`.
///
/// If the group is closed, the future is dropped, and the handle says so.
#[track_caller]
pub(crate) fn spawn<F, T>(
    home: Home,
    future: F,
    settle: fn(F::Output) -> Result<T, BoxError>,
    options: Options,
) -> TaskHandle<T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    let info = TaskInfo::new(options.name, default_name::<F>, home.group().host());
    let locals = options.locals.unwrap_or_else(context::locals);
    launch(info, home, future, settle, locals, |_, _| ())
}

/// As [`spawn`], for a caller that chooses where the task's node is linked: `place` does it, before the task
/// can run. A node that it leaves alone is linked below the group's when that is needed.
#[track_caller]
pub(crate) fn launch<F, T>(
    info: TaskInfo,
    home: Home,
    future: F,
    settle: fn(F::Output) -> Result<T, BoxError>,
    locals: Locals,
    place: impl FnOnce(&TaskRef, &Arc<GroupState>),
) -> TaskHandle<T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    if !home.group().admit() {
        return refuse(info, home, future, settle, Why::NotStarted);
    }
    let locals = span::add(locals, &info);
    let (task, owner) = TaskCell::new(info, home, Some(future), settle, locals);
    if let Some(current) = owner.task() {
        place(current, task.group());
    }
    task.handle().runtime().spawn(Task(owner));
    TaskHandle::new(task)
}

/// The handle of a task that was not started; its future is dropped.
#[track_caller]
pub(crate) fn refuse<F, T>(
    info: TaskInfo,
    home: Home,
    future: F,
    settle: fn(F::Output) -> Result<T, BoxError>,
    why: Why,
) -> TaskHandle<T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    let task = TaskCell::<F, T>::new(info, home, None, settle, None).0;
    drop(future);
    task.refuse(why);
    TaskHandle::new(task)
}

impl Task {
    /// A task that is in no group: no group waits for it.
    pub(crate) fn of(task: TaskRef) -> Task {
        Task(Owner::of(task))
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.get_mut().0.poll(cx)
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.0.task().map(|task| task.info().label())).finish()
    }
}

/// The task that is being polled on this thread, or whose blocking job runs on it.
pub fn current_task() -> Option<TaskInfo> {
    context::current_task().map(|task| task.info().clone())
}

impl Handle {
    /// Spawns a task at the root of the run, which waits for it at its end.
    ///
    /// Its task-locals are a copy of the current ones. The handle observes the task and does not own it:
    /// dropping the handle changes nothing.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        spawn(Home::Root(self.clone()), future, Ok, Options::default())
    }
}
