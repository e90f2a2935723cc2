//! Clean-up that awaits, and runs whatever happened to the work.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::poll_cut_short;
use super::scoped::{Ending, Outer, Scoped};
use super::shield::{shield_at, shield_within_at};
use crate::tree::lazy::Lazy;
use crate::tree::{self, NodeRef, ScopeKind};

/// Runs `work`, then `cleanup`: also when the work was cancelled or panicked.
///
/// The clean-up runs shielded; [`finally_within`] gives it a limit. From the start of the work to
/// the end of the clean-up it holds: the scopes around it wait for it. Then the value of the work
/// is returned, its panic goes on, or the scope that was cancelled drops this.
///
/// # Panics
///
/// With the panic of the work, after the clean-up; with that of the clean-up at once.
///
/// # Cancel safety
///
/// Polled in place: dropped by foreign code (`select!`, an abort) it is dropped with its owner, and
/// the clean-up does not run. Polled again outside of the scope that cut its work short, it has no
/// value and stays pending; a warning says so.
#[track_caller]
pub fn finally<F, C>(work: F, cleanup: C) -> impl Future<Output = F::Output>
where
    F: Future,
    C: AsyncFnOnce(),
{
    let at = Location::caller();
    let work = self::work(at, work);
    async move {
        let ended = work.await;
        shield_at(ScopeKind::CleanUp, at, cleanup()).await;
        finish(ended).await
    }
}

/// As [`finally`], with a limit: a clean-up that has not ended when `grace` is over is cancelled, and a
/// tracing warning of target `anyrt::grace` names it. Then all goes on as after any clean-up.
///
/// ```
/// # async fn demo() {
/// # async fn serve() {}
/// # async fn say_goodbye() {}
/// use std::time::Duration;
///
/// anyrt_core::finally_within(Duration::from_secs(1), serve(), async || say_goodbye().await).await;
/// # }
/// ```
///
/// # Panics, cancel safety
///
/// As [`finally`].
#[track_caller]
pub fn finally_within<F, C>(grace: Duration, work: F, cleanup: C) -> impl Future<Output = F::Output>
where
    F: Future,
    C: AsyncFnOnce(),
{
    let at = Location::caller();
    let work = self::work(at, work);
    async move {
        let ended = work.await;
        shield_within_at(ScopeKind::CleanUp, at, grace, cleanup()).await;
        finish(ended).await
    }
}

/// As [`finally`], with a clean-up that is told how the work ended. For a limit,
/// [`shield_within`](crate::shield_within) inside it.
///
/// In a task that is spawned, and with work that ends in a type with a `dyn` in it, such as a `Result<T, BoxError>`, the
/// compiler (1.95) refuses a closure as clean-up: "implementation of `AsyncFnOnce` is not general enough". There it is a
/// function:
///
/// ```
/// use anyrt_core::{BoxError, Outcome, finally_with, task_group};
///
/// async fn work() -> Result<u32, BoxError> {
///     Ok(7)
/// }
///
/// async fn say(outcome: Outcome<'_, Result<u32, BoxError>>) {
///     println!("cut short: {}", matches!(outcome, Outcome::Cancelled(_)));
/// }
///
/// # async fn demo() -> Result<(), anyrt_core::GroupError> {
/// task_group(async |tg| {
///     tg.try_spawn(finally_with(work(), say));
/// })
/// .await
/// # }
/// ```
#[track_caller]
pub fn finally_with<F, C>(work: F, cleanup: C) -> impl Future<Output = F::Output>
where
    F: Future,
    C: AsyncFnOnce(Outcome<'_, F::Output>),
{
    let at = Location::caller();
    let work = self::work(at, work);
    async move {
        let ended = work.await;
        let outcome = match &ended {
            Ok(Ending::Value(value)) => Outcome::Value(value),
            Ok(Ending::Cancelled(cancelled)) => Outcome::Cancelled(cancelled),
            Err(_) => Outcome::Panicked,
        };
        shield_at(ScopeKind::CleanUp, at, cleanup(outcome)).await;
        finish(ended).await
    }
}

pub(crate) type Ended<T> = Result<Ending<T>, Box<dyn Any + Send>>;

async fn finish<T>(ended: Ended<T>) -> T {
    match ended {
        Ok(Ending::Value(value)) => value,
        Ok(Ending::Cancelled(_)) => std::future::poll_fn(|cx| poll_cut_short("finally", cx)).await,
        Err(panic) => resume_unwind(panic),
    }
}

/// How the work of a [`finally_with`] ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<'a, T> {
    /// With this value.
    Value(&'a T),
    /// It was cut short.
    Cancelled(&'a crate::tree::Cancelled),
    /// It panicked; the panic goes on after the clean-up.
    Panicked,
}

/// What a clean-up follows: it holds from its first poll on, and tells how it ended.
pub(crate) fn work<F: Future>(
    opened: &'static Location<'static>,
    work: F,
) -> impl Future<Output = Ended<F::Output>> {
    Work { scoped: Scoped::new(Lazy::at(ScopeKind::Work, opened), work) }
}

/// The work, in a place that somebody else knows.
pub(super) fn work_at<F: Future>(node: NodeRef, work: F) -> impl Future<Output = Ended<F::Output>> {
    Work { scoped: Scoped::at(node, work) }
}

pin_project_lite::pin_project! {
    /// The work: a drop point, and a hold from its first poll on.
    struct Work<F> {
        #[pin]
        scoped: Scoped<F>,
    }

    impl<F> PinnedDrop for Work<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.scoped.is_linked_and_running() && !std::thread::panicking() {
                tracing::warn!("a finally was dropped by its owner before its work had ended: its clean-up does not run");
            }
        }
    }
}

impl<F: Future> Future for Work<F> {
    type Output = Ended<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut scoped = self.project().scoped;
        let polled = catch_unwind(AssertUnwindSafe(|| scoped.as_mut().poll_scoped(cx, Outer::EndsHere)));
        let ended = match polled {
            Ok(Poll::Pending) => {
                tree::hold_parent(scoped.seat().link().clone(), || true);
                return Poll::Pending;
            }
            Ok(Poll::Ready(ending)) => Ok(ending),
            Err(panic) => Err(panic),
        };
        let dropped = catch_unwind(AssertUnwindSafe(|| scoped.as_mut().drop_inner()));
        scoped.seat().end();
        // The first panic goes on; the hook has told of the second.
        Poll::Ready(ended.and_then(|ending| dropped.map(|()| ending)))
    }
}
