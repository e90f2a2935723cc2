//! `for_each_concurrent`.

use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use futures_util::stream::{FuturesUnordered, Stream};
use pin_project_lite::pin_project;

use super::branch::Branch;
use crate::context::{self, Gate};
use crate::scope::poll_cut_short;

/// Calls `each` for every item, at most `limit` at once, in this task; `None` is no limit.
///
/// # Panics
///
/// With the panic of a call; the others are dropped then.
///
/// # Cancel safety
///
/// Cancelled, no further item is taken, and each call is dropped by itself, when nothing in it
/// holds. Dropped by foreign code, all are dropped with it.
pub async fn for_each_concurrent<I, F>(items: I, limit: impl Into<Option<NonZeroUsize>>, each: F)
where
    I: IntoIterator,
    F: AsyncFn(I::Item),
{
    let limit = limit.into().map_or(usize::MAX, NonZeroUsize::get);
    let mut items = items.into_iter();
    let mut cut = false;
    let mut exhausted = false;
    let mut running = pin!(FuturesUnordered::new());
    poll_fn(|cx| {
        loop {
            while !exhausted && running.len() < limit && context::gate(true, cx.waker()) == Gate::Open {
                match items.next() {
                    Some(item) => running.push(Call { branch: Branch::new(each(item)) }),
                    None => exhausted = true,
                }
            }
            if running.is_empty() && !exhausted {
                return Poll::Pending;
            }
            match ready!(running.as_mut().poll_next(cx)) {
                Some(completed) => cut |= !completed,
                None if cut => return poll_cut_short("for_each_concurrent", cx),
                None => return Poll::Ready(()),
            }
        }
    })
    .await;
}

pin_project! {
    struct Call<F: Future> {
        #[pin]
        branch: Branch<F>,
    }
}

impl<F: Future<Output = ()>> Future for Call<F> {
    /// Whether it ended by itself.
    type Output = bool;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        let mut branch = self.project().branch;
        if !branch.as_mut().poll_end(cx) {
            return Poll::Pending;
        }
        Poll::Ready(branch.take_value().is_some())
    }
}
