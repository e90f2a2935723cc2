//! Why an awaited task has no value.

use std::any::Any;
use std::fmt;

use crate::base::sync::{Arc, Mutex};
use crate::tree::{Cancelled, Label};

/// The answer of a handle whose task ended without a value.
///
/// For a child of a group this is an echo: the group owns the error or the panic and reports it;
/// returned from the group's body with `?` it is not counted again.
// One word, so that the slot of a result is small, whatever an end has to tell.
pub struct TaskEnded(Box<End>);

struct End {
    task: Label,
    why: Why,
}

pub(crate) enum Why {
    /// It failed; this is the text of the error, and the group has the error.
    Failed(Arc<str>),
    Cancelled(Cancelled),
    /// With this message; the payload is there for root tasks only, a group resumes its own.
    Panicked(String, Mutex<Option<Box<dyn Any + Send>>>),
    /// It never ran: its group was closed, or the runtime did not take it.
    NotStarted,
    /// It never ran: its spawner has the only place of its limited group, and would have waited for itself.
    WaitsForItself,
}

impl TaskEnded {
    pub(crate) fn new(task: Label, why: Why) -> TaskEnded {
        TaskEnded(Box::new(End { task, why }))
    }

    /// It ended with an error, which its group reports.
    pub fn is_failed(&self) -> bool {
        matches!(self.0.why, Why::Failed(_))
    }

    /// It was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.why, Why::Cancelled(_))
    }

    /// It panicked; its group resumes the panic when all children have ended.
    pub fn is_panic(&self) -> bool {
        matches!(self.0.why, Why::Panicked(..))
    }

    /// It never ran: the group was closed when it was spawned, or the runtime dropped it, or its spawner had the only
    /// place of a [limited group](crate::LimitedGroup).
    pub fn is_not_started(&self) -> bool {
        matches!(self.0.why, Why::NotStarted | Why::WaitsForItself)
    }

    /// The name of the task.
    pub fn task_name(&self) -> &str {
        self.0.task.name()
    }

    /// The cancellation, if that ended it.
    pub fn cancelled(&self) -> Option<&Cancelled> {
        match &self.0.why {
            Why::Cancelled(cancelled) => Some(cancelled),
            _ => None,
        }
    }

    /// The payload of the panic, once, of a task at the root of a run. A group keeps that of a
    /// child and resumes it in its host.
    pub fn into_panic(self) -> Option<Box<dyn Any + Send>> {
        match self.0.why {
            Why::Panicked(_, payload) => payload.lock().take(),
            _ => None,
        }
    }

    /// Whether a group owns the error or panic behind this, so that it is not counted again.
    pub(crate) fn is_echo(&self) -> bool {
        self.is_failed() || self.is_panic()
    }
}

/// The text of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a payload that is no text".to_owned())
}

impl fmt::Display for TaskEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = &self.0.task;
        match &self.0.why {
            Why::Failed(error) => write!(f, "task {task} failed: {error}"),
            Why::Cancelled(cancelled) => write!(f, "task {task} was {cancelled}"),
            Why::Panicked(message, _) => write!(f, "task {task} panicked: {message}"),
            Why::NotStarted => write!(
                f,
                "task {task} was not started: its group has no child left and is closed, or its runtime has ended"
            ),
            Why::WaitsForItself => write!(
                f,
                "task {task} was not started: the task that spawned it has the only place of the limited group, and would have \
                 waited for itself for ever; spawn it into `group()`, or raise the limit"
            ),
        }
    }
}

impl fmt::Debug for TaskEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TaskEnded");
        out.field("task", &self.0.task);
        match &self.0.why {
            Why::Failed(error) => out.field("failed", &format_args!("{error}")),
            Why::Cancelled(cancelled) => out.field("cancelled", cancelled),
            Why::Panicked(message, _) => out.field("panicked", message),
            Why::NotStarted => out.field("started", &false),
            Why::WaitsForItself => out.field("waits for itself", &true),
        };
        out.finish()
    }
}

impl std::error::Error for TaskEnded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.why {
            Why::Cancelled(cancelled) => Some(cancelled),
            _ => None,
        }
    }
}
