//! What comes out of a group when its body and all its children have ended.

use std::any::Any;
use std::panic::resume_unwind;
use std::task::{Context, Poll};

use super::error::{BoxError, ChildError, GroupError};
use super::state::{GroupState, Toll};
use crate::context;
use crate::scope::scoped::Ending;
use crate::scope::tree;
use crate::scope::{Cancelled, Cause};
use crate::sync::Arc;

/// The host's side of a group's end: the body's outcome, then the last word.
pub(super) struct Host<T> {
    output: Option<T>,
    body_ended: bool,
    /// Everything has ended, but a cancellation from outside cut something short: the scope that
    /// was cancelled will drop this.
    cut: Option<Cancelled>,
    done: bool,
}

type Payload = Box<dyn Any + Send>;

impl<T> Host<T> {
    pub(super) fn new() -> Host<T> {
        Host { output: None, body_ended: false, cut: None, done: false }
    }

    pub(super) fn body_ended(&self) -> bool {
        self.body_ended
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The body came to its end, or panicked.
    pub(super) fn end_body(
        &mut self,
        group: &Arc<GroupState>,
        ended: Result<Ending<Result<T, BoxError>>, Payload>,
    ) {
        self.body_ended = true;
        match ended {
            Ok(Ending::Value(Ok(value))) => self.output = Some(value),
            Ok(Ending::Value(Err(error))) => group.fail(ChildError::of_body(error)),
            Ok(Ending::Cancelled(_)) => (),
            Err(payload) => group.panicked_unheard(payload),
        }
    }

    /// After the body: waits for the children, then for the last word.
    pub(super) fn poll_end(
        &mut self,
        group: &Arc<GroupState>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, GroupError>> {
        let node = group.as_node();
        if let Some(cut) = &self.cut {
            if node.node().is_cut_from_outside() {
                return wait_to_be_dropped(cx);
            }
            // Moved out of the cancelled scope, it has an answer after all.
            let cut = cut.clone();
            self.done = true;
            let result = self.output.take().ok_or_else(|| GroupError::from_cancelled(cut));
            tree::end(node.node());
            return Poll::Ready(result);
        }
        let Some(Toll { mut errors, panics }) = group.close_or_wait(cx.waker()) else {
            return Poll::Pending;
        };
        if let Some(first) = panics.into_iter().next() {
            self.done = true;
            tree::end(node.node());
            resume_unwind(first);
        }
        if node.node().is_cancelled() {
            errors.retain(|error| !error.is_cancelled_echo());
        }
        if let Some(error) = GroupError::from_errors(errors) {
            self.done = true;
            tree::end(node.node());
            return Poll::Ready(Err(error));
        }
        let cause = || {
            let cause = node.node().cause();
            cause.unwrap_or_else(|| Cancelled::new(Cause::Explicit, None, std::panic::Location::caller()))
        };
        if node.node().is_cut_from_outside() {
            self.cut = Some(cause());
            return wait_to_be_dropped(cx);
        }
        self.done = true;
        let result = self.output.take().ok_or_else(|| GroupError::from_cancelled(cause()));
        tree::end(node.node());
        Poll::Ready(result)
    }
}

fn wait_to_be_dropped<T>(cx: &mut Context<'_>) -> Poll<T> {
    if let Some(parent) = context::top()
        && !parent.node().holds()
    {
        parent.node().park(cx.waker());
    }
    Poll::Pending
}
