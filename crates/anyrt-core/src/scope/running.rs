//! The future of [`CancelScope::run`](super::CancelScope::run): the body, then the clean-ups that it registered.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::exit::{Exit, run_exits};
use super::scoped::{Ending, Outer, Scoped};
use crate::base::payload::Payload;
use crate::current::context;
use crate::tree::{Cancelled, NodeRef};

pin_project! {
    pub(super) struct Running<F: Future> {
        #[pin]
        scoped: Scoped<F>,
        // None while the body runs, and in all scopes without clean-ups.
        after: Option<Box<After<F::Output>>>,
    }
}

/// What comes after the body.
enum After<T> {
    CleaningUp {
        ended: Ended<T>,
        exits: Pin<Box<dyn Future<Output = Result<(), Payload>> + Send>>,
    },
    /// The scope around is cancelled, and will drop this.
    Cut(Cancelled),
}

impl<F: Future> Running<F> {
    pub(super) fn new(node: NodeRef, body: F) -> Self {
        Running { scoped: Scoped::at(node, body), after: None }
    }
}

impl<F: Future> Future for Running<F> {
    type Output = Result<F::Output, Cancelled>;

    // Scopes nest, and so do their polls: what is not needed on the way down is not in this frame.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.after.is_some() {
            return self.poll_after(cx);
        }
        let scoped = self.as_mut().project().scoped;
        match catch_unwind(AssertUnwindSafe(|| scoped.poll_scoped(cx, Outer::Returns))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(ending)) => self.end_body(Ok(ending), cx),
            Err(payload) => self.end_body(Err(payload), cx),
        }
    }
}

type Ended<T> = Result<Ending<T>, Payload>;

impl<F: Future> Running<F> {
    #[inline(never)]
    fn end_body(
        mut self: Pin<&mut Self>,
        ended: Ended<F::Output>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<F::Output, Cancelled>> {
        let mut this = self.as_mut().project();
        if ended.is_err() {
            // What is left of the body may panic too; of that the hook tells.
            let _ = catch_unwind(AssertUnwindSafe(|| this.scoped.as_mut().drop_inner()));
        }
        let seat = this.scoped.as_mut().seat();
        let node = seat.place.node();
        if !node.node().has_exits() {
            seat.end();
            return Poll::Ready(result(ended));
        }
        let node = node.clone();
        let exit = match &ended {
            Ok(Ending::Value(_)) => Exit::Finished,
            Ok(Ending::Cancelled(cancelled)) => Exit::Cancelled(cancelled.clone()),
            Err(_) => Exit::Panicked,
        };
        *this.after = Some(Box::new(After::CleaningUp { ended, exits: run_exits(node, exit) }));
        self.poll_after(cx)
    }

    #[inline(never)]
    fn poll_after(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<F::Output, Cancelled>> {
        let mut this = self.project();
        if let Some(After::CleaningUp { exits, .. }) = this.after.as_deref_mut() {
            // It holds the scope that it is polled in, which may be another by now.
            this.scoped.as_mut().seat().settle();
            let panicked = ready!(exits.as_mut().poll(cx)).err();
            let Some(After::CleaningUp { ended, .. }) = this.after.take().map(|after| *after) else {
                unreachable!("it was cleaning up")
            };
            let cut = this.scoped.as_mut().seat().place.node().node().is_inherited();
            this.scoped.as_mut().seat().end();
            match (ended, panicked) {
                (Ok(_), Some(payload)) => resume_unwind(payload),
                (Ok(Ending::Cancelled(cancelled)), None) if cut => {
                    *this.after = Some(Box::new(After::Cut(cancelled)));
                }
                (ended, _) => return Poll::Ready(result(ended)),
            }
        }
        match this.after.as_deref() {
            Some(After::Cut(_)) if context::view().0 => {
                context::wait_to_be_dropped(cx.waker());
                Poll::Pending
            }
            // Moved out of the cancelled scope, it has an answer after all.
            Some(After::Cut(cancelled)) => Poll::Ready(Err(cancelled.clone())),
            _ => panic!("a future was polled again after it was ready"),
        }
    }
}

fn result<T>(ended: Ended<T>) -> Result<T, Cancelled> {
    match ended {
        Ok(Ending::Value(value)) => Ok(value),
        Ok(Ending::Cancelled(cancelled)) => Err(cancelled),
        Err(payload) => resume_unwind(payload),
    }
}
