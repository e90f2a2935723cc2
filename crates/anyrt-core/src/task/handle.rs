//! [`TaskHandle`]: observes a task, owns nothing.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ended::TaskEnded;
use super::status::{NotFinished, TaskStatus};
use crate::base::sync::Arc;
use crate::current::context;
use crate::current::gate::{Gate, handed};
use crate::tree::moment::Moment;
use crate::tree::site::{self, Called, awaited_at};
use crate::tree::{Label, NodeRef, TaskId, TaskInfo, cancel_by_call};

/// What a handle sees of its task.
pub(crate) trait Observed<T>: Send + Sync {
    fn info(&self) -> &TaskInfo;
    fn poll_result(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskEnded>>;
    fn take_result(&self) -> Option<Result<T, TaskEnded>>;
    fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<TaskStatus>;
    /// How it ended, if it has.
    fn ended(&self) -> Option<TaskStatus>;
    /// When it ended, in the order of cancellations.
    fn ended_at(&self) -> Option<Moment>;
    fn is_cancelled(&self) -> bool;
    fn place(self: Arc<Self>) -> NodeRef;
    fn abandon(&self);
}

/// Observes a task: its value, its panic, its cancellation.
///
/// Scopes and groups own tasks; a handle owns nothing. Dropping it neither cancels nor detaches.
///
/// # Cancel safety
///
/// Dropping it while it is awaited loses the value, not the task. Await `&mut handle` to keep it.
pub struct TaskHandle<T> {
    task: Arc<dyn Observed<T>>,
    /// Where it was spawned.
    spawned: Called,
    /// Where it waits, once it was polled.
    awaited: Option<Called>,
    /// It was polled at an open gate: from then on the end of the task is handed to it.
    waiting: bool,
}

impl<T> TaskHandle<T> {
    #[track_caller]
    pub(crate) fn new(task: Arc<dyn Observed<T>>) -> TaskHandle<T> {
        TaskHandle { task, spawned: Location::caller(), awaited: None, waiting: false }
    }

    /// Cancels this task alone. The first cancellation is kept; after the task's end nothing changes.
    #[track_caller]
    pub fn cancel(&self)
    where
        T: 'static,
    {
        cancel_by_call(&self.task.clone().place(), None);
    }

    /// As [`cancel`](TaskHandle::cancel), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_with(&self, reason: &str)
    where
        T: 'static,
    {
        cancel_by_call(&self.task.clone().place(), Some(reason));
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.task.info().id()
    }

    /// The task's name.
    pub fn name(&self) -> &str {
        self.task.info().name()
    }

    /// Whether the task has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.task.ended().is_some()
    }

    /// The state of the task.
    ///
    /// ```
    /// # async fn demo() {
    /// use anyrt_core::{TaskStatus, task_group};
    ///
    /// task_group(async |tg| {
    ///     let mut child = tg.spawn(async { 1 });
    ///     assert_eq!(child.wait().await, TaskStatus::Finished);
    ///     assert_eq!(child.try_value().unwrap().unwrap(), 1);
    /// })
    /// .await
    /// .unwrap();
    /// # }
    /// ```
    pub fn status(&self) -> TaskStatus {
        // Asked before the end: a task that ends in between must not be called cancelling.
        let cancelled = self.task.is_cancelled();
        self.task.ended().unwrap_or(TaskStatus::alive(cancelled))
    }

    /// Takes the value, or why there is none, without waiting.
    ///
    /// # Errors
    ///
    /// [`NotFinished`] while the task is alive.
    ///
    /// # Panics
    ///
    /// When the value was taken before, here or by awaiting.
    pub fn try_value(&mut self) -> Result<Result<T, TaskEnded>, NotFinished> {
        self.task.take_result().ok_or_else(|| NotFinished::new(self.task.info().label()))
    }

    /// Waits for the end of the task, however it ends, and leaves the value where it is.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = TaskStatus> {
        let called = Location::caller();
        let mut waiting = false;
        poll_fn(move |cx| {
            handed(false, called, cx, |cx, gate| match gate {
                Gate::Open => {
                    waiting = true;
                    self.waits(self.task.poll_ended(cx))
                }
                Gate::Shut if waiting && context::is_in_time(self.task.ended_at()) => {
                    self.task.ended().map_or(Poll::Pending, Poll::Ready)
                }
                Gate::Shut => Poll::Pending,
            })
        })
    }

    /// Notes the task that it waits for.
    fn waits<R>(&self, polled: Poll<R>) -> Poll<R> {
        if polled.is_pending() {
            site::note_task(self.id());
        }
        polled
    }

    pub(crate) fn label(&self) -> Label {
        self.task.info().label()
    }

    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<TaskStatus> {
        self.task.poll_ended(cx)
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskEnded>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Location::caller();
        let spawned = self.spawned;
        let called = *self.awaited.get_or_insert_with(|| awaited_at(polled, spawned));
        handed(false, called, cx, |cx, gate| match gate {
            Gate::Open => {
                self.waiting = true;
                self.waits(self.task.poll_result(cx))
            }
            // What was handed over before a cancellation is returned; but a first call checks first.
            Gate::Shut if self.waiting && context::is_in_time(self.task.ended_at()) => {
                self.task.take_result().map_or(Poll::Pending, Poll::Ready)
            }
            Gate::Shut => Poll::Pending,
        })
    }
}

impl<T> Drop for TaskHandle<T> {
    fn drop(&mut self) {
        self.task.abandon();
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("task", &self.task.info().label())
            .field("status", &self.status())
            .finish()
    }
}
