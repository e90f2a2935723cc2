//! What asks for the current runtime, and is of the facade alone.

use std::future::Future;

use anyrt_core::{Handle, Run, RunError, TaskHandle};

/// The handle of the runtime that the calling code runs on: [`Handle::current`].
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn current_handle() -> Handle {
    Handle::current()
}

/// Spawns a task at the root of the run, which waits for it at its end; see [`Handle::spawn`].
///
/// In a program that anyrt did not start, nothing waits for it, unless [`embed`](crate::embed) is around.
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

/// Whether a run on `asked` can be started on this thread: not while a task is being polled.
pub(crate) fn check_not_polling(asked: &'static str) -> Result<(), RunError> {
    // The check of the core first: its error names the runtime whose task it is.
    Run::check_here(asked)?;
    #[cfg(feature = "tokio")]
    if anyrt_tokio::polling() {
        return Err(RunError::Nested { running: "tokio", asked });
    }
    Ok(())
}
