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
/// The loser is cancelled as a scope and awaited: its shields and clean-ups have run when this
/// returns. If both end in the same poll, the first counts.
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
        loop {
            let ended = a.as_mut().poll_end(cx) & b.as_mut().poll_end(cx);
            if won.is_none() {
                if let Some(value) = a.as_mut().take_value() {
                    won = Some(Either::Left(value));
                    b.as_mut().cancel(LOST);
                } else if let Some(value) = b.as_mut().take_value() {
                    won = Some(Either::Right(value));
                    a.as_mut().cancel(LOST);
                }
                if won.is_some() && !ended {
                    continue;
                }
            }
            if !ended {
                return Poll::Pending;
            }
            return match won.take() {
                Some(value) => Poll::Ready(value),
                None => poll_cut_short("race", cx),
            };
        }
    })
    .await
}
