//! The future of [`CancelScope::run`](super::CancelScope::run): the body, then the clean-ups that it registered.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::Cancelled;
use super::exit::{Exit, run_exits};
use super::scoped::{Ending, Outer, Scoped};
use super::tree::NodeRef;
use crate::context;

type Payload = Box<dyn Any + Send>;

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
        ended: Result<Ending<T>, Payload>,
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

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.after.is_none() {
            let mut scoped = this.scoped.as_mut();
            let polled = catch_unwind(AssertUnwindSafe(|| scoped.as_mut().poll_scoped(cx, Outer::Returns)));
            let ended = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(ending)) => Ok(ending),
                Err(payload) => {
                    // What is left of the body may panic too; of that the hook tells.
                    let _ = catch_unwind(AssertUnwindSafe(|| scoped.as_mut().drop_inner()));
                    Err(payload)
                }
            };
            let node = scoped.as_mut().seat().place.node().clone();
            if !node.node().has_exits() {
                scoped.as_mut().seat().end();
                return Poll::Ready(result(ended));
            }
            let exit = match &ended {
                Ok(Ending::Value(_)) => Exit::Finished,
                Ok(Ending::Cancelled(cancelled)) => Exit::Cancelled(cancelled.clone()),
                Err(_) => Exit::Panicked,
            };
            *this.after = Some(Box::new(After::CleaningUp { ended, exits: run_exits(node, exit) }));
        }
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
            _ => unreachable!("a body that has ended is cleaned up, or was cut short"),
        }
    }
}

fn result<T>(ended: Result<Ending<T>, Payload>) -> Result<T, Cancelled> {
    match ended {
        Ok(Ending::Value(value)) => Ok(value),
        Ok(Ending::Cancelled(cancelled)) => Err(cancelled),
        Err(payload) => resume_unwind(payload),
    }
}
