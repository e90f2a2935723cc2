//! `race`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::branch::Branch;
use crate::scope::poll_cut_short;

/// One of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    Left(A),
    /// The second.
    Right(B),
}

/// Runs both at once, in this task; the value of the one that ends first.
///
/// They are polled in their order, and the first that is ready ends the race at that moment: the loser is not
/// polled any more, and what its leaves were handed goes back. So nothing is lost in `race(one.recv(),
/// other.recv())`, whichever wins. Only if something in the loser holds (a shield, a group, a blocking call, a
/// clean-up) is it cancelled as a scope and awaited, polled as any cancelled code: that has run when this
/// returns.
///
/// What is lost with the loser is what its own code had: an item between its `recv` and where it is stored, and
/// an item whose only receiver it owned (a [`oneshot`](crate::channel::oneshot()) that was moved into it).
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{Either, channel, race};
///
/// let ((one, first), (two, second)) = (channel::bounded(8), channel::bounded(8));
/// one.send(1).await.unwrap();
/// two.send(2).await.unwrap();
/// assert_eq!(race(first.recv(), second.recv()).await, Either::Left(Ok(1)));
/// assert_eq!(second.recv().await, Ok(2)); // it waited in its channel
/// # }
/// ```
///
/// # Panics
///
/// With the panic of a branch.
///
/// # Cancel safety
///
/// Cancelled, each branch is dropped by itself, when nothing in it holds. Dropped by foreign code,
/// both are dropped with it.
pub async fn race<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    const LOST: &str = "the other branch of a race was first";
    let mut a = pin!(Branch::new(a));
    let mut b = pin!(Branch::new(b));
    let mut won = None;
    poll_fn(|cx| {
        if won.is_none() {
            let first_ended = a.as_mut().poll_end(cx);
            if let Some(value) = a.as_mut().take_value() {
                won = Some(Either::Left(value));
                b.as_mut().lose(LOST);
            } else {
                let ended = b.as_mut().poll_end(cx) & first_ended;
                if let Some(value) = b.as_mut().take_value() {
                    won = Some(Either::Right(value));
                    a.as_mut().lose(LOST);
                } else if ended {
                    return poll_cut_short("race", cx);
                } else {
                    return Poll::Pending;
                }
            }
        }
        // Something in the loser holds: it is polled to its end.
        if !(a.as_mut().poll_end(cx) & b.as_mut().poll_end(cx)) {
            return Poll::Pending;
        }
        match won.take() {
            Some(value) => Poll::Ready(value),
            None => unreachable!("one has won"),
        }
    })
    .await
}
