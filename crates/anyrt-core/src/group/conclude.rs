//! What comes out of a group when its body and all its children have ended.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::error::{BoxError, ChildError, GroupError};
use super::state::{Failures, GroupState};
use crate::base::payload::Payload;
use crate::base::sync::Arc;
use crate::current::context;
use crate::scope::exit::{Exit, run_exits};
use crate::scope::scoped::Ending;
use crate::tree::{self, Cancelled, Cause, NodeRef};

/// The host's side of a group's end: the body's outcome, then the last word.
pub(super) struct Host<T> {
    output: Option<T>,
    body_ended: bool,
    /// What cut the body short.
    why: Option<Cancelled>,
    /// Everything has ended, but a cancellation from outside cut body or child short: the scope that
    /// was cancelled will drop this.
    cut: Option<Cancelled>,
    /// What all have to tell, while clean-ups run.
    failures: Option<Failures>,
    exits: Option<Exits>,
    done: bool,
}

type Exits = Pin<Box<dyn Future<Output = Result<(), Payload>> + Send>>;

impl<T> Host<T> {
    pub(super) fn new() -> Host<T> {
        Host {
            output: None,
            body_ended: false,
            why: None,
            cut: None,
            failures: None,
            exits: None,
            done: false,
        }
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
            Ok(Ending::Cancelled(why)) => self.why = Some(why),
            Err(payload) => group.panicked_unheard(payload),
        }
    }

    /// What all have to tell, when the children have ended and the clean-ups of the group's scope have run.
    fn poll_exits(&mut self, group: &Arc<GroupState>, cx: &mut Context<'_>) -> Poll<Failures> {
        let node = group.as_node();
        let mut failures = match self.failures.take() {
            Some(failures) => failures,
            None => match group.close_or_wait(cx.waker()) {
                Some(failures) => failures,
                None => return Poll::Pending,
            },
        };
        if self.exits.is_none() && !node.node().has_exits() {
            return Poll::Ready(failures);
        }
        let exits = self.exits.get_or_insert_with(|| {
            let exit = match &self.output {
                _ if !failures.panics.is_empty() => Exit::Panicked,
                _ if !failures.errors.is_empty() => Exit::Failed,
                Some(_) => Exit::Finished,
                None => {
                    let why = self.why.clone().or_else(|| node.node().cause());
                    why.map_or(Exit::Finished, Exit::Cancelled)
                }
            };
            run_exits(node.clone(), exit)
        });
        match exits.as_mut().poll(cx) {
            Poll::Pending => {
                self.failures = Some(failures);
                Poll::Pending
            }
            Poll::Ready(ended) => {
                self.exits = None;
                failures.panics.extend(ended.err());
                Poll::Ready(failures)
            }
        }
    }

    /// Whether there is no answer, because the scope around drops this: a child was cut short
    /// from outside, or there is no value and the cancellation around has come meanwhile (Trio: while a
    /// cancellation unwinds, an outer one takes it over). Whatever else was cut short inside the body, or inside
    /// a child that ended by itself, was that one's own affair.
    fn is_cut_from_outside(&self, group: &GroupState, node: &NodeRef) -> bool {
        node.node().is_inherited() && (self.output.is_none() || group.has_cut_child())
    }

    /// The host is dropped by foreign code: what it has taken from the group is the group's again.
    pub(super) fn give_back(&mut self, group: &GroupState) {
        if let Some(failures) = self.failures.take() {
            group.give_back(failures);
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
            if self.is_cut_from_outside(group, &node) {
                context::wait_to_be_dropped(cx.waker());
                return Poll::Pending;
            }
            // Moved out of the cancelled scope, it has an answer after all.
            let cut = cut.clone();
            self.done = true;
            let result = self.output.take().ok_or_else(|| GroupError::from_cancelled(cut));
            tree::end(node.node());
            return Poll::Ready(result);
        }
        let Failures { mut errors, panics } = ready!(self.poll_exits(group, cx));
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
        let why = self.why.take();
        let cause = || {
            let cause = why.or_else(|| node.node().cause());
            cause.unwrap_or_else(|| Cancelled::new(Cause::Explicit, None, std::panic::Location::caller()))
        };
        if self.is_cut_from_outside(group, &node) {
            self.cut = Some(cause());
            tree::close_exits(&node);
            context::wait_to_be_dropped(cx.waker());
            return Poll::Pending;
        }
        self.done = true;
        let result = self.output.take().ok_or_else(|| GroupError::from_cancelled(cause()));
        tree::end(node.node());
        Poll::Ready(result)
    }
}
