//! Any number of branches at once, given back as they end.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};
use pin_project_lite::pin_project;

use super::branch::Branch;
use crate::current::context::{self, Place};
use crate::scope::poll_cut_short;
use crate::scope::scoped::Seat;
use crate::tree::ScopeKind;
use crate::tree::lazy::Lazy;

/// Branches in a scope of their own. Only branches that were woken are polled, so a branch does not notice by
/// itself that all of them are polled in another scope than before.
pub(super) struct Unordered<F: Future> {
    seat: Seat,
    running: FuturesUnordered<Call<F>>,
    /// A branch was cut short.
    cut: bool,
}

impl<F: Future> Unordered<F> {
    pub(super) fn new() -> Self {
        let seat = Seat::new(Place::Lazy(Lazy::nowhere(ScopeKind::Scope)));
        Unordered { seat, running: FuturesUnordered::new(), cut: false }
    }

    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn push(&self, index: usize, future: F) {
        self.running.push(Call { index, branch: Branch::new(future) });
    }

    /// The next value, with its index; none when no branch is left. `what` is for messages.
    pub(super) fn poll_next(&mut self, what: &str, cx: &mut Context<'_>) -> Poll<Option<(usize, F::Output)>> {
        self.seat.settle();
        let Unordered { seat, running, cut } = self;
        let polled = context::inside(&mut seat.place, || {
            loop {
                match Pin::new(&mut *running).poll_next(cx) {
                    Poll::Ready(Some((index, Some(value)))) => return Poll::Ready(Some((index, value))),
                    Poll::Ready(Some((_, None))) => *cut = true,
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        match polled {
            Poll::Ready(None) if *cut => poll_cut_short(what, cx),
            polled => polled,
        }
    }
}

impl<F: Future> Drop for Unordered<F> {
    fn drop(&mut self) {
        let Unordered { seat, running, .. } = self;
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            context::inside(&mut seat.place, || drop(std::mem::take(running)));
        }));
        seat.end();
        if let Err(payload) = dropped
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(payload);
        }
    }
}

pin_project! {
    struct Call<F: Future> {
        index: usize,
        #[pin]
        branch: Branch<F>,
    }
}

impl<F: Future> Future for Call<F> {
    /// None for one that was cut short.
    type Output = (usize, Option<F::Output>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !this.branch.as_mut().poll_end(cx) {
            return Poll::Pending;
        }
        Poll::Ready((*this.index, this.branch.take_value()))
    }
}
