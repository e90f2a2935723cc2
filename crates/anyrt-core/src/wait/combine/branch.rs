//! One branch: a drop point that keeps its value.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::scope::scoped::{Ending, Outer, Scoped};
use crate::tree::lazy::Lazy;
use crate::tree::{self, Cancelled, Cause, ScopeKind};

pin_project! {
    pub(super) struct Branch<F: Future> {
        #[pin]
        scoped: Scoped<F>,
        ending: Option<Ending<F::Output>>,
        ended: bool,
    }
}

impl<F: Future> Branch<F> {
    pub(super) fn new(future: F) -> Branch<F> {
        Branch { scoped: Scoped::new(Lazy::nowhere(ScopeKind::Branch), future), ending: None, ended: false }
    }

    /// Polls the branch, unless it has ended. Returns whether it has ended now.
    pub(super) fn poll_end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.project();
        if !*this.ended
            && let Poll::Ready(ending) = this.scoped.poll_to_end(cx, Outer::EndsHere)
        {
            *this.ending = Some(ending);
            *this.ended = true;
        }
        *this.ended
    }

    /// Its value; none if it was cut short, or has not ended.
    pub(super) fn take_value(self: Pin<&mut Self>) -> Option<F::Output> {
        match self.project().ending.take() {
            Some(Ending::Value(value)) => Some(value),
            _ => None,
        }
    }

    pub(super) fn value(&self) -> Option<&F::Output> {
        match &self.ending {
            Some(Ending::Value(value)) => Some(value),
            _ => None,
        }
    }

    /// Another branch has won: this one ends here, and its leaves give back what they were handed. If something
    /// in it holds, it is cancelled instead, and must be polled to its end.
    pub(super) fn lose(self: Pin<&mut Self>, reason: &str) {
        let mut this = self.project();
        if *this.ended {
            return;
        }
        // A branch that was never pending holds nothing, and may never have been polled.
        if this.scoped.is_linked_and_running() {
            let node = this.scoped.as_mut().seat().link().clone();
            let location = std::panic::Location::caller();
            tree::cancel(&node, || Cancelled::new(Cause::Explicit, Some(reason.into()), location));
            node.node().forfeit();
            if !node.node().is_free_to_end() {
                return;
            }
        }
        *this.ended = true;
        this.scoped.as_mut().drop_inner();
        this.scoped.as_mut().seat().end();
    }
}
