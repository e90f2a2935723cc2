//! Shields and clean-ups that survive their owner: dropped by foreign code, they go on at the root.

use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::finally::{Ended, work_at};
use super::poll_cut_short;
use super::scoped::Ending;
use super::shield::{Shield, shield_at, shield_within_at};
use crate::base::sync::Arc;
use crate::current::context;
use crate::current::handle::Handle;
use crate::current::locals::Locals;
use crate::task::{self, Home, Options};
use crate::tree::lazy::ScopeNode;
use crate::tree::{self, Cancelled, Cause, Node, NodeRef, ScopeKind, default_name};

/// Runs `future` to its end, whatever is cancelled around it, and whoever drops this.
///
/// As [`shield`](crate::shield()), with one allocation more, and with a future that owns what it uses:
/// so it can be moved.
///
/// ```
/// # async fn demo() {
/// # async fn commit() {}
/// anyrt_core::shield_owned(commit()).await; // is committed, even if a `select!` drops this
/// # }
/// ```
///
/// # Panics
///
/// With the panic of `future`. One that comes after this was dropped is resumed at the end of the run.
///
/// # Cancel safety
///
/// Dropped by foreign code after it was first polled, the future is moved to the root of the run, which
/// waits for it; its value is dropped. Never polled, it is dropped with this.
#[track_caller]
pub fn shield_owned<F>(future: F) -> ShieldOwned<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    ShieldOwned {
        shield: Some(Box::pin(shield_at(ScopeKind::Shield, Location::caller(), future))),
        origin: None,
    }
}

/// The future of [`shield_owned`].
#[must_use = "futures do nothing unless polled"]
pub struct ShieldOwned<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    /// None when it has ended.
    shield: Option<Pin<Box<Shield<F>>>>,
    /// None until it was polled.
    origin: Option<Origin>,
}

impl<F> Future for ShieldOwned<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.origin.get_or_insert_with(Origin::here);
        // Taken out for the poll: one that panics is not moved to the root.
        let Some(mut shield) = self.shield.take() else {
            panic!("a future was polled again after it was ready");
        };
        let polled = shield.as_mut().poll(cx);
        if polled.is_pending() {
            self.shield = Some(shield);
        }
        polled
    }
}

impl<F> Drop for ShieldOwned<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn drop(&mut self) {
        if let Some(mut shield) = self.shield.take()
            && let Some(origin) = self.origin.take()
        {
            shield.as_mut().leave();
            origin.go_on_at_the_root(default_name::<F>(), shield);
        }
    }
}

impl<F> fmt::Debug for ShieldOwned<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShieldOwned").finish_non_exhaustive()
    }
}

/// Runs `work`, then `cleanup`: also when the work was cancelled, panicked, or dropped by anybody.
///
/// As [`finally`](crate::finally()), with futures that own what they use, so that they can be moved.
///
/// ```
/// # async fn demo() {
/// # async fn serve() {}
/// # async fn goodbye() {}
/// anyrt_core::finally_owned(serve(), async || goodbye().await).await;
/// # }
/// ```
///
/// # Panics
///
/// With the panic of the work, after the clean-up; with that of the clean-up at once. One that comes
/// after this was dropped is resumed at the end of the run.
///
/// # Cancel safety
///
/// Dropped by foreign code after it was first polled, work and clean-up are moved to the root of the
/// run, which waits for them: there the work is cancelled, and the clean-up runs. Never polled, both
/// are dropped with this.
#[track_caller]
pub fn finally_owned<F, C, D>(work: F, cleanup: C) -> FinallyOwned<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    C: FnOnce() -> D + Send + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let at = Location::caller();
    owned_at(at, work, async move || shield_at(ScopeKind::CleanUp, at, cleanup()).await)
}

/// As [`finally_owned`], with a limit for the clean-up: see [`finally_within`](crate::finally_within()).
///
/// # Panics, cancel safety
///
/// As [`finally_owned`].
#[track_caller]
pub fn finally_owned_within<F, C, D>(grace: Duration, work: F, cleanup: C) -> FinallyOwned<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    C: FnOnce() -> D + Send + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let at = Location::caller();
    owned_at(at, work, async move || {
        shield_within_at(ScopeKind::CleanUp, at, grace, cleanup()).await;
    })
}

fn owned_at<F, C, D>(at: &'static Location<'static>, work: F, shielded: C) -> FinallyOwned<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    C: FnOnce() -> D + Send + 'static,
    D: Future<Output = ()> + Send,
{
    let node: NodeRef = Arc::new(ScopeNode(Node::new(ScopeKind::Work, at)));
    let work = work_at(node.clone(), work);
    let both = Box::pin(async move {
        let ended = work.await;
        shielded().await;
        ended
    });
    FinallyOwned { both: Some(both), node, name: default_name::<F>(), origin: None, cut: false }
}

/// The future of [`finally_owned`].
#[must_use = "futures do nothing unless polled"]
pub struct FinallyOwned<T: Send + 'static> {
    /// None when it has ended.
    both: Option<Pin<Box<dyn Future<Output = Ended<T>> + Send>>>,
    /// The place of the work.
    node: NodeRef,
    name: &'static str,
    /// None until it was polled.
    origin: Option<Origin>,
    /// The work was cancelled: there is no value.
    cut: bool,
}

impl<T: Send + 'static> Future for FinallyOwned<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if self.cut {
            return poll_cut_short("finally", cx);
        }
        self.origin.get_or_insert_with(Origin::here);
        let Some(mut both) = self.both.take() else {
            panic!("a future was polled again after it was ready");
        };
        match both.as_mut().poll(cx) {
            Poll::Pending => {
                self.both = Some(both);
                Poll::Pending
            }
            Poll::Ready(Ok(Ending::Value(value))) => Poll::Ready(value),
            Poll::Ready(Ok(Ending::Cancelled(_))) => {
                self.cut = true;
                poll_cut_short("finally", cx)
            }
            Poll::Ready(Err(panic)) => resume_unwind(panic),
        }
    }
}

impl<T: Send + 'static> Drop for FinallyOwned<T> {
    fn drop(&mut self) {
        if let Some(both) = self.both.take()
            && let Some(origin) = self.origin.take()
        {
            tree::cancel(&self.node, || Cancelled::of(self.node.node(), Cause::Dropped));
            tree::unlink(&self.node);
            tree::orphaned(&self.node);
            origin.go_on_at_the_root(self.name, async move {
                if let Err(panic) = both.await {
                    resume_unwind(panic);
                }
            });
        }
    }
}

impl<T: Send + 'static> fmt::Debug for FinallyOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinallyOwned").finish_non_exhaustive()
    }
}

/// Where it was first polled: the run that it goes on in, the task-locals that it keeps.
#[derive(Clone)]
pub(super) struct Origin {
    /// None outside of any runtime: then there is no root either.
    handle: Option<Handle>,
    locals: Locals,
}

impl Origin {
    pub(super) fn here() -> Origin {
        Origin { handle: Handle::try_current().ok(), locals: context::locals() }
    }

    pub(super) fn go_on_at_the_root<F>(self, name: &str, future: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some(handle) = self.handle else { return };
        let options = Options { name: Some(name.into()), locals: Some(self.locals) };
        drop(task::spawn(Home::Root(handle), future, Ok, options));
    }
}
