//! Tasks: what a runtime polls, and what observes them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

mod cell;
mod ended;
mod handle;
mod info;
mod path;
mod slot;
mod status;

pub use ended::TaskEnded;
pub(crate) use ended::{Why, panic_message};
pub use handle::{JoinHandle, TaskHandle};
pub(crate) use info::{Label, default_name};
pub use info::{TaskId, TaskInfo};
pub(crate) use path::Path;
pub(crate) use slot::Slot;
pub use status::{NotFinished, TaskStatus};

pub(crate) use self::cell::AnyTask;
use self::cell::TaskCell;
use crate::context::{self, Setting, TaskRef, Tasked};
use crate::group::{BoxError, GroupState};
use crate::handle::Handle;
use crate::locals::Locals;
use crate::sync::Arc;

/// A task on its way to a runtime: a future that never panics and whose output nobody needs.
///
/// Dropped before it was ready, it tells its group that the runtime has lost it.
pub struct Task {
    task: Arc<dyn AnyTask>,
    setting: Setting,
    ended: bool,
}

/// What a spawner may say about a child.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<Box<str>>,
    /// The task-locals in place of a copy of the spawner's.
    pub(crate) locals: Option<Locals>,
}

/// Spawns `future` as a child of `group`.
///
/// Where the group is closed, the future is dropped, and the handle tells so.
#[track_caller]
pub(crate) fn spawn<F, T>(
    handle: &Handle,
    group: Arc<GroupState>,
    future: F,
    settle: fn(F::Output) -> Result<T, BoxError>,
    options: Options,
) -> TaskHandle<T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    let info = TaskInfo::new(handle.clone(), options.name, default_name::<F>(), group.host());
    let locals = options.locals.unwrap_or_else(context::locals);
    launch(info, group, future, settle, locals, |_, _| ())
}

/// As [`spawn`], with a say in where the task's node is linked: `place` does it, before it can run. A
/// node that it leaves alone is linked below the group's when that is needed.
#[track_caller]
pub(crate) fn launch<F, T>(
    info: TaskInfo,
    group: Arc<GroupState>,
    future: F,
    settle: fn(F::Output) -> Result<T, BoxError>,
    locals: Locals,
    place: impl FnOnce(&TaskRef, &Arc<GroupState>),
) -> TaskHandle<T>
where
    F: Future + Send + 'static,
    T: Send + 'static,
{
    if !group.admit() {
        let task = TaskCell::<F, T>::new(info, group, None, settle);
        drop(future);
        task.refuse();
        return TaskHandle::new(task);
    }
    let task = TaskCell::new(info, group, Some(future), settle);
    let current: TaskRef = task.clone();
    place(&current, task.group());
    let setting = Setting { task: Some(current), locals, handle: None, in_job: false, polling: true };
    Tasked::info(&*task).handle().runtime().spawn(Task { task: task.clone(), setting, ended: false });
    TaskHandle::new(task)
}

impl Task {
    /// A task that stands in no group: nobody waits for it.
    pub(crate) fn of(task: Arc<dyn AnyTask>) -> Task {
        let setting =
            Setting { task: None, locals: Locals::default(), handle: None, in_job: false, polling: true };
        Task { task, setting, ended: false }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let polled = context::within(&mut this.setting, || this.task.poll(cx));
        this.ended = polled.is_ready();
        polled
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            context::within(&mut self.setting, || self.task.lost());
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.task.info().label()).finish()
    }
}

/// The task that is being polled on this thread, or whose blocking job runs on it.
pub fn current_task() -> Option<TaskInfo> {
    context::current_task().map(|task| task.info().clone())
}
