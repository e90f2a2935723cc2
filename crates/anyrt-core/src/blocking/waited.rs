//! [`BlockingHandle`]: a task, as a thread sees it.

use std::fmt;
use std::task::Context;

use super::from_thread::{CallError, wait_until, why};
use crate::current::context;
use crate::task::{TaskHandle, TaskStatus};

/// Observes a task from a thread, which can wait for it without async code. Owns nothing.
///
/// Dropping it neither cancels nor detaches the task.
pub struct BlockingHandle<T> {
    task: TaskHandle<T>,
}

impl<T> BlockingHandle<T> {
    pub(crate) fn new(task: TaskHandle<T>) -> BlockingHandle<T> {
        BlockingHandle { task }
    }

    /// Blocks this thread until the task has ended, and gives its value. In a blocking job the token
    /// is lent meanwhile.
    ///
    /// # Errors
    ///
    /// [`CallError::Cancelled`] when the task was cancelled; [`CallError::RunEnded`] when it was not started,
    /// or when its panic is reported by its owner; [`CallError::OnRuntimeThread`] on a thread that polls a
    /// task.
    pub fn wait(mut self) -> Result<T, CallError> {
        if context::is_polling() {
            return Err(CallError::OnRuntimeThread);
        }
        if !self.task.is_finished() {
            wait_until(|waker| self.task.poll_ended(&mut Context::from_waker(waker)).is_ready());
        }
        match self.task.try_value() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(ended)) => Err(why(ended)),
            Err(_) => Err(CallError::RunEnded),
        }
    }

    /// Cancels this task alone. The first cancellation is kept; after the task's end nothing changes.
    #[track_caller]
    pub fn cancel(&self)
    where
        T: 'static,
    {
        self.task.cancel();
    }

    /// As [`cancel`](BlockingHandle::cancel), with a reason that errors and logs repeat.
    #[track_caller]
    pub fn cancel_with(&self, reason: &str)
    where
        T: 'static,
    {
        self.task.cancel_with(reason);
    }

    /// The state of the task.
    pub fn status(&self) -> TaskStatus {
        self.task.status()
    }

    /// Whether the task has ended, in whichever way.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// The task's name.
    pub fn name(&self) -> &str {
        self.task.name()
    }
}

impl<T> fmt::Debug for BlockingHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingHandle").field(&self.task).finish()
    }
}
