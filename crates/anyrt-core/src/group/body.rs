//! The future of a group: polls the body, then waits for the children.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::conclude::Host;
use super::error::{BoxError, GroupError};
use super::state::GroupState;
use crate::base::sync::Arc;
use crate::scope::scoped::{Ending, Outer, Scoped};
use crate::tree::site;

pin_project! {
    /// Group and body share one node: what holds inside it is the body's, and that the children
    /// live is told to the scope around it.
    pub(super) struct GroupFuture<B: Future, T> {
        #[pin]
        body: Scoped<B>,
        settle: fn(B::Output) -> Result<T, BoxError>,
        state: Arc<GroupState>,
        host: Host<T>,
    }

    impl<B: Future, T> PinnedDrop for GroupFuture<B, T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.host.is_done() {
                return;
            }
            // The body first: it was there first, and may spawn on its way out.
            let dropped = catch_unwind(AssertUnwindSafe(|| this.body.as_mut().drop_inner()));
            if let Err(payload) = dropped {
                this.state.panicked_unheard(payload);
            }
            this.host.give_back(this.state);
            let root = this.state.handle().0.shared.root.clone();
            this.body.as_mut().seat().give_up();
            this.state.orphan(Some(&root));
        }
    }
}

impl<B: Future, T> GroupFuture<B, T> {
    pub(super) fn new(state: Arc<GroupState>, body: B, settle: fn(B::Output) -> Result<T, BoxError>) -> Self {
        let body = Scoped::at(state.as_node(), body);
        GroupFuture { body, settle, state, host: Host::new() }
    }
}

impl<B: Future, T> Future for GroupFuture<B, T> {
    type Output = Result<T, GroupError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.host.body_ended() {
            this.body.as_mut().seat().settle();
        } else {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                match this.body.as_mut().poll_scoped(cx, Outer::EndsHere) {
                    Poll::Ready(Ending::Value(output)) => Some(Ending::Value((this.settle)(output))),
                    Poll::Ready(Ending::Cancelled(cancelled)) => Some(Ending::Cancelled(cancelled)),
                    Poll::Pending => None,
                }
            }));
            let ended = match polled {
                Ok(None) => return Poll::Pending,
                Ok(Some(ending)) => Ok(ending),
                Err(payload) => {
                    // What is left of the body may panic too; of that the hook tells.
                    let _ = catch_unwind(AssertUnwindSafe(|| this.body.as_mut().drop_inner()));
                    Err(payload)
                }
            };
            this.host.end_body(this.state, ended);
        }
        let polled = this.host.poll_end(this.state, cx);
        if polled.is_pending() {
            let seat = this.body.as_mut().seat();
            site::note_opt(seat.link().node().opened());
            seat.attend(cx.waker());
            seat.watch_hold(cx.waker());
        }
        polled
    }
}
