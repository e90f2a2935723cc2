//! Shields and clean-ups that survive their owner: dropped by foreign code, they go on at the root.

use std::fmt;
use std::future::Future;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::exit::Exit;
use super::finally::{Ended, exit_of, work_at};
use super::poll_cut_short;
use super::scoped::Ending;
use super::shield::Shield;
use crate::base::sync::Arc;
use crate::current::context;
use crate::current::handle::Handle;
use crate::current::locals::Locals;
use crate::task::{self, Home, Options};
use crate::tree::lazy::ScopeNode;
use crate::tree::{self, Cancelled, Cause, Node, NodeRef, ScopeKind, default_name};

/// The future of [`Shield::owned`].
#[must_use = "futures do nothing unless polled"]
pub struct ShieldOwned<T: Send + 'static> {
    /// None when it has ended.
    shield: Option<Pin<Box<dyn Leaves<T>>>>,
    name: &'static str,
    /// None until it was polled.
    origin: Option<Origin>,
}

/// A shield of any future.
trait Leaves<T>: Future<Output = T> + Send {
    fn leave(self: Pin<&mut Self>);
}

impl<F: Future + Send> Leaves<F::Output> for Shield<F> {
    fn leave(self: Pin<&mut Self>) {
        Shield::leave(self);
    }
}

impl<T: Send + 'static> ShieldOwned<T> {
    pub(super) fn new<F>(name: &'static str, shield: Shield<F>) -> ShieldOwned<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        ShieldOwned { shield: Some(Box::pin(shield)), name, origin: None }
    }
}

impl<T: Send + 'static> Future for ShieldOwned<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
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

impl<T: Send + 'static> Drop for ShieldOwned<T> {
    fn drop(&mut self) {
        if let Some(mut shield) = self.shield.take()
            && let Some(origin) = self.origin.take()
        {
            shield.as_mut().leave();
            origin.go_on_at_the_root(self.name, shield);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for ShieldOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShieldOwned").finish_non_exhaustive()
    }
}

/// The future of [`Finally::owned`](crate::Finally::owned).
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

impl<T: Send + 'static> FinallyOwned<T> {
    pub(super) fn new<F, C, D>(opened: &'static Location<'static>, work: F, cleanup: C) -> FinallyOwned<T>
    where
        F: Future<Output = T> + Send + 'static,
        C: FnOnce(Exit) -> D + Send + 'static,
        D: Future<Output = ()> + Send + 'static,
    {
        let node: NodeRef = Arc::new(ScopeNode(Node::new(ScopeKind::Work, opened)));
        let work = work_at(node.clone(), work);
        let both = Box::pin(async move {
            let ended = work.await;
            cleanup(exit_of(&ended)).await;
            ended
        });
        FinallyOwned { both: Some(both), node, name: default_name::<F>(), origin: None, cut: false }
    }
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
