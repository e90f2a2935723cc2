//! Task groups: children that are real tasks, owned by a block of code.

mod body;
mod conclude;
mod error;
mod handle;
mod local;
mod service;
mod start;
mod state;

pub(crate) use error::Lost;
pub use error::{BoxError, ChildError, GroupError};
pub use handle::{AResult, AnyOutput, NotAResultElseUseTry, TaskGroup};
#[doc(hidden)]
pub use local::{AnyChild, SendChild};
pub use local::{LocalGroup, LocalGroupBuilder, LocalGroupFuture, LocalHandle, local_group, try_local_group};
pub use start::{NotReady, Ready};
pub(crate) use state::{Failures, GroupState, Policy};

use std::future::Future;
use std::panic::Location;

use self::body::GroupFuture;
use crate::base::sync::Arc;
use crate::current::context;
use crate::current::handle::Handle;

/// Runs `body` with a group whose children are real tasks; left only when every child has ended.
///
/// The first child that fails or panics cancels its siblings and the body at that moment. The
/// body's value comes back when it ended and nothing failed. `anyrt` calls a body whose own end can
/// be an error [`try_task_group`].
///
/// ```
/// # async fn demo() -> std::io::Result<()> {
/// use anyrt_core::{sleep, task_group};
/// use std::time::Duration;
///
/// let answer = task_group(async |tg| {
///     tg.spawn(sleep(Duration::from_millis(1)));
///     tg.try_spawn(async { Err::<(), _>(std::io::Error::other("no")) });
///     42
/// })
/// .await;
/// assert_eq!(answer.unwrap_err().to_string(), "no");
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`GroupError`]: what failed, in order of occurrence, or that the group itself was cancelled.
///
/// # Panics
///
/// With the first panic of a child or of the body, when all children have ended; outside of any
/// runtime, naming the cure.
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
    let called = Location::caller();
    async move {
        let group = open(called);
        let body = body(TaskGroup::new(group.clone()));
        GroupFuture::new(group, body, Result::Ok).await
    }
}

/// As [`task_group`], with a body that ends in a `Result`: its error fails the group like a child's.
///
/// # Errors
///
/// As [`task_group`]; the body's own error is among them. One that a handle gave it (`handle.await?`)
/// only repeats what the group has, and is not counted again.
///
/// # Panics
///
/// As [`task_group`].
#[track_caller]
pub fn try_task_group<F, T>(body: F) -> impl Future<Output = Result<T, GroupError>>
where
    F: AsyncFnOnce(TaskGroup) -> Result<T, BoxError>,
{
    let called = Location::caller();
    async move {
        let group = open(called);
        let body = body(TaskGroup::new(group.clone()));
        GroupFuture::new(group, body, |output| output).await
    }
}

fn open(called: &'static Location<'static>) -> Arc<GroupState> {
    let handle = Handle::current_for(called);
    GroupState::new(Policy::OneForAll, context::task_id(), Some(handle), called)
}

/// `Ok` with the error type that a group takes, for the end of an async block that uses `?`.
pub fn ok<T>(value: T) -> Result<T, BoxError> {
    Result::Ok(value)
}
