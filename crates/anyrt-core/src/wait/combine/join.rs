//! `join` and `try_join`.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::branch::Branch;
use crate::scope::poll_cut_short;

/// Runs both at once, in this task, and waits for both.
///
/// # Panics
///
/// With the first panic of a branch; the other is dropped then.
///
/// # Cancel safety
///
/// Cancelled, each branch is dropped by itself, when nothing in it holds. Dropped by foreign code,
/// both are dropped with it.
pub async fn join<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let mut a = pin!(Branch::new(a));
    let mut b = pin!(Branch::new(b));
    poll_fn(|cx| {
        let ended = a.as_mut().poll_end(cx) & b.as_mut().poll_end(cx);
        if !ended {
            return Poll::Pending;
        }
        if a.value().is_none() || b.value().is_none() {
            return poll_cut_short("join", cx);
        }
        match (a.as_mut().take_value(), b.as_mut().take_value()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            _ => unreachable!("both were there"),
        }
    })
    .await
}

/// Runs both at once, in this task, and waits for both; the first error ends the other, as the first value does in a
/// [`race`](crate::race()).
///
/// # Errors
///
/// The error of the branch that failed first, when the other has ended too.
///
/// # Panics, cancel safety
///
/// As [`join`].
pub async fn try_join<A, B, T, U, E>(a: A, b: B) -> Result<(T, U), E>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    const LOST: &str = "the other branch of a try_join failed";
    let mut a = pin!(Branch::new(a));
    let mut b = pin!(Branch::new(b));
    let mut failed = None;
    poll_fn(|cx| {
        let mut ended = a.as_mut().poll_end(cx);
        if failed.is_none() && matches!(a.value(), Some(Err(_))) {
            failed = a.as_mut().take_value().and_then(Result::err);
            b.as_mut().lose(LOST);
        }
        ended &= b.as_mut().poll_end(cx);
        if failed.is_none() && matches!(b.value(), Some(Err(_))) {
            failed = b.as_mut().take_value().and_then(Result::err);
            a.as_mut().lose(LOST);
            // Something in it holds: it is polled to its end.
            ended = a.as_mut().poll_end(cx);
        }
        if !ended {
            return Poll::Pending;
        }
        if let Some(error) = failed.take() {
            return Poll::Ready(Err(error));
        }
        if a.value().is_none() || b.value().is_none() {
            return poll_cut_short("try_join", cx);
        }
        match (a.as_mut().take_value(), b.as_mut().take_value()) {
            (Some(Ok(a)), Some(Ok(b))) => Poll::Ready(Ok((a, b))),
            _ => unreachable!("both were there, and no error"),
        }
    })
    .await
}
