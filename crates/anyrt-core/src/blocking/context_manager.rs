//! [`blocking_context`]: what is entered and left in threads, around async code.

use std::any::Any;
use std::future::{Future, IntoFuture as _, poll_fn};
use std::panic::{Location, resume_unwind};

use super::run::RunBlocking;
use crate::scope::scoped::Ending;
use crate::scope::{Ended, poll_cut_short, shield, work};
use crate::tree::Cancelled;

/// Enters in a thread, runs `body`, and leaves in a thread, whatever became of the body.
///
/// `enter` returns what the body gets, and a closure that leaves. The closure is told how the body ended, and
/// may put another result in place of the body's; an error of its own replaces it.
///
/// Entering takes a token of the run's limiter; leaving takes none ([`unlimited`](RunBlocking::unlimited)), so
/// it never waits for tasks that wait for what it releases. (Starlette: `contextmanager_in_threadpool`.)
///
/// ```
/// # async fn demo() -> std::io::Result<()> {
/// use anyrt_core::{Leaving, blocking_context};
/// use std::{fs, io};
///
/// let enter = || {
///     fs::create_dir("scratch")?;
///     let leave = |_: Leaving<'_, usize, io::Error>| fs::remove_dir_all("scratch");
///     Ok(("scratch", leave))
/// };
/// let length = blocking_context(enter, async |folder| Ok(folder.len())).await?;
/// assert_eq!(length, 7);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// That of `enter`, and then nothing else runs; that of the leaving closure, also when the body was cancelled;
/// that of the body.
///
/// # Panics
///
/// With the panic of any of the three; that of the body after leaving, unless leaving panics too.
///
/// # Cancel safety
///
/// Cancelled before `enter` has its token, nothing runs. Afterwards the scope waits: the body is dropped at its
/// next pending point, then it is left. As with [`finally`](crate::finally), if this is dropped by foreign code
/// it is not left.
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
    let called = Location::caller();
    async move {
        let (value, leave) = RunBlocking::called_at(enter, called).await?;
        let ended = work(called, body(value)).await;
        let left = RunBlocking::called_at(move || left(ended, leave), called).unlimited();
        match shield(left.into_future()).await? {
            Left::With(value) => Ok(value),
            Left::Cancelled => poll_fn(|cx| poll_cut_short("blocking context", cx)).await,
            Left::Panicked(payload) => resume_unwind(payload),
        }
    }
}

/// What follows after leaving.
enum Left<T> {
    With(T),
    Cancelled,
    Panicked(Box<dyn Any + Send>),
}

/// Leaves, in a thread.
fn left<T, E>(
    ended: Ended<Result<T, E>>,
    leave: impl FnOnce(Leaving<'_, T, E>) -> Result<(), E>,
) -> Result<Left<T>, E> {
    match ended {
        Ok(Ending::Value(mut result)) => {
            leave(Leaving::Ended(&mut result))?;
            result.map(Left::With)
        }
        Ok(Ending::Cancelled(cancelled)) => leave(Leaving::Cancelled(&cancelled)).map(|()| Left::Cancelled),
        Err(payload) => {
            // The panic goes before the result of leaving.
            drop(leave(Leaving::Panicked));
            Ok(Left::Panicked(payload))
        }
    }
}

/// How the body of a [`blocking_context`] ended, for the closure that leaves.
#[derive(Debug)]
#[non_exhaustive]
pub enum Leaving<'a, T, E> {
    /// By itself, with this. Another result may be put in its place.
    Ended(&'a mut Result<T, E>),
    /// It was cancelled. That cannot be changed; but an error of the closure is returned.
    Cancelled(&'a Cancelled),
    /// It panicked. The panic goes on after leaving, whatever the closure returns.
    Panicked,
}
