//! What is said of a panic.

use std::any::Any;

/// Logs a panic with the name of the task it happened in.
pub(crate) fn report(panic: &(dyn Any + Send)) {
    let task = anyrt::current_task().map(|task| task.name().to_string()).unwrap_or_default();
    tracing::error!(task, panic = message(panic), "a request panicked");
}

/// The text of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
