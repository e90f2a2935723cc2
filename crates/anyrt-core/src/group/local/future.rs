//! The future of a local group.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};
use pin_project_lite::pin_project;

use super::Nursery;
use crate::base::sync::Arc;
use crate::current::context::{self, Place};
use crate::group::conclude::Host;
use crate::group::error::{BoxError, GroupError};
use crate::scope::scoped::{Ending, Outer, Scoped, Seat};
use crate::tree::lazy::Lazy;
use crate::tree::{Cause, ScopeKind, site};

pin_project! {
    /// The future of a [`local_group`](crate::local_group()).
    // Its node is nobody's drop point: body and children are.
    #[must_use = "futures do nothing unless polled"]
    pub struct LocalGroupFuture<B: Future, T, C: ?Sized> {
        #[pin]
        body: Scoped<B>,
        settle: fn(B::Output) -> Result<T, BoxError>,
        #[pin]
        children: FuturesUnordered<Pin<Box<C>>>,
        nursery: Arc<Nursery<C>>,
        seat: Seat,
        host: Host<T>,
    }

    impl<B: Future, T, C: ?Sized> PinnedDrop for LocalGroupFuture<B, T, C> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.host.is_done() {
                return;
            }
            let group = &this.nursery.group;
            // Before what is inside: that must not be left to who goes with it.
            let root = group.refuse();
            group.cancel_for(Cause::Dropped);
            let arrivals = std::mem::take(&mut this.nursery.new.lock().children);
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                context::inside(&mut this.seat.place, || {
                    this.body.as_mut().drop_inner();
                    drop(arrivals);
                    this.children.set(FuturesUnordered::new());
                });
            }));
            this.host.give_back(group);
            this.seat.give_up();
            // The groups that it has taken in, and what its children have to tell, go on to others.
            let root = root.or_else(|| context::handle().map(|here| here.0.shared.root.clone()));
            group.orphan(root.as_ref());
            if let Err(payload) = dropped && !std::thread::panicking() {
                std::panic::resume_unwind(payload);
            }
        }
    }
}

impl<B: Future, T, C: ?Sized> LocalGroupFuture<B, T, C> {
    pub(super) fn new(
        nursery: Arc<Nursery<C>>,
        body: B,
        settle: fn(B::Output) -> Result<T, BoxError>,
    ) -> Self {
        let seat = Seat::new(Place::Linked(nursery.group.as_node()));
        let body = Scoped::new(Lazy::nowhere(ScopeKind::Body), body);
        LocalGroupFuture { body, settle, children: FuturesUnordered::new(), nursery, seat, host: Host::new() }
    }
}

impl<B: Future, T, C: ?Sized> fmt::Debug for LocalGroupFuture<B, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalGroupFuture").field("group", &self.nursery.group).finish_non_exhaustive()
    }
}

type Ended<T> = Result<Ending<Result<T, BoxError>>, Box<dyn Any + Send>>;

impl<B, T, C> Future for LocalGroupFuture<B, T, C>
where
    B: Future,
    C: ?Sized + Future<Output = ()>,
{
    type Output = Result<T, GroupError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        this.seat.settle();
        let before = site::begin();
        let (body, mut children, host) = (&mut this.body, this.children, this.host);
        let (nursery, settle) = (&*this.nursery, *this.settle);
        context::inside(&mut this.seat.place, || {
            loop {
                if !host.body_ended()
                    && let Some(ended) = poll_body(body.as_mut(), settle, cx)
                {
                    host.end_body(&nursery.group, ended);
                }
                let arrivals = {
                    let mut new = nursery.new.lock();
                    if new.children.is_empty() {
                        new.host = Some(cx.waker().clone());
                    }
                    std::mem::take(&mut new.children)
                };
                let nobody_new = arrivals.is_empty();
                children.extend(arrivals);
                let mut progress = false;
                while let Poll::Ready(Some(())) = children.as_mut().poll_next(cx) {
                    progress = true;
                }
                if nobody_new && !progress {
                    break;
                }
            }
        });
        if host.body_ended() {
            if let Poll::Ready(result) = host.poll_end(&nursery.group, cx) {
                site::end(before);
                return Poll::Ready(result);
            }
            site::note_opt(nursery.group.as_node().node().opened());
        }
        this.seat.attend(cx.waker());
        site::end_pending(before);
        Poll::Pending
    }
}

fn poll_body<B: Future, T>(
    mut body: Pin<&mut Scoped<B>>,
    settle: fn(B::Output) -> Result<T, BoxError>,
    cx: &mut Context<'_>,
) -> Option<Ended<T>> {
    let polled = catch_unwind(AssertUnwindSafe(|| match body.as_mut().poll_to_end(cx, Outer::EndsHere) {
        Poll::Ready(Ending::Value(output)) => Some(Ending::Value(settle(output))),
        Poll::Ready(Ending::Cancelled(cancelled)) => Some(Ending::Cancelled(cancelled)),
        Poll::Pending => None,
    }));
    match polled {
        Ok(None) => None,
        Ok(Some(ending)) => Some(Ok(ending)),
        Err(payload) => {
            // What is left of the body may panic too; of that the hook tells.
            let _ = catch_unwind(AssertUnwindSafe(|| body.as_mut().drop_inner()));
            body.seat().end();
            Some(Err(payload))
        }
    }
}
