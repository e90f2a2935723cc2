//! The state of a task.

use std::fmt;

use super::ended::TaskEnded;
use crate::tree::Label;

/// The state of a task, as [`TaskHandle::status`](crate::TaskHandle::status) returns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskStatus {
    /// It has not ended: it runs or waits.
    Pending,
    /// It is cancelled, by itself or with its group, and has not ended.
    Cancelling,
    /// It ended with a value.
    Finished,
    /// It ended with an error.
    Failed,
    /// A cancellation ended it.
    Cancelled,
    /// It panicked.
    Panicked,
    /// It never ran: its group was closed, or the runtime did not take it.
    NotStarted,
}

impl TaskStatus {
    pub(crate) fn alive(cancelled: bool) -> TaskStatus {
        if cancelled { TaskStatus::Cancelling } else { TaskStatus::Pending }
    }

    pub(crate) fn of<T>(result: &Result<T, TaskEnded>) -> TaskStatus {
        match result {
            Ok(_) => TaskStatus::Finished,
            Err(ended) if ended.is_failed() => TaskStatus::Failed,
            Err(ended) if ended.is_cancelled() => TaskStatus::Cancelled,
            Err(ended) if ended.is_panic() => TaskStatus::Panicked,
            Err(_) => TaskStatus::NotStarted,
        }
    }

    /// Whether the task has ended, in whichever way.
    pub fn is_ended(self) -> bool {
        !matches!(self, TaskStatus::Pending | TaskStatus::Cancelling)
    }
}

/// The error of asking for the value of a task before it has ended.
#[derive(Debug, Clone)]
pub struct NotFinished(Label);

impl NotFinished {
    pub(crate) fn new(task: Label) -> NotFinished {
        NotFinished(task)
    }

    /// The name of the task.
    pub fn task_name(&self) -> &str {
        self.0.name()
    }
}

impl fmt::Display for NotFinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} is not finished: await it, or ask again later", self.0)
    }
}

impl std::error::Error for NotFinished {}
