//! Admission to the thread pool: a server that is far behind says so, and early; a request that has begun goes first.
//!
//! A request *has begun* when a call of it had a token of the pool. Then it may have what others wait for in their threads, a
//! connection of a pool of three for example; if its next call stood behind theirs, all would wait for each other
//! (fastapi#3205). So:
//!
//! - A call of a request that has begun goes before the calls of requests that have not. While its provider ends it lines up
//!   for the call that comes next, so that the token goes to that call and not to a new one.
//! - It is not refused because of the length of the queue.
//! - When the pool is *stuck*, which is that all tokens are held and none has come back for 50 ms, it goes beyond the limit,
//!   in a thread more: see [`Lane`](crate::request::lane::Lane). So many threads more there may be as requests have begun; requests that have not begun
//!   never go there.
//!
//! The limiter itself knows nothing of this: it gives tokens in strict order, to callers that continue what they have
//! begun (as what a job calls) before callers that start.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use anyrt::blocking::Turn;
use anyrt::runtime::Handle;
use anyrt::{checkpoint_if_cancelled, current_handle, run_blocking, sleep};
use axum_core::response::Response;

use super::context::RequestContext;
use crate::base::limits::Limits;
use crate::request::lane::{busy, keep_turn};

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const GIVEN_UP: u8 = 2;

/// What follows a call in its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Other arguments, or the path operation.
    More,
    Nothing,
}

/// Runs a job in the thread pool, unless too many wait for it, or it has waited too long: then the
/// answer is 503, and the job has not begun and never does.
pub(crate) async fn run<T, F>(context: &RequestContext, then: Then, job: F) -> Result<T, Response>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = current_handle();
    let line = (then == Then::More && context.ends_in_pool()).then(|| handle.limiter().clone());
    let job = move || {
        let value = job();
        (value, line.filter(|line| line.waiting() > 0).map(|line| line.line_up()))
    };
    let limits = context.limits();
    let (value, turn) = if context.has_begun() {
        context.core().lane.go(&handle, "", Some(limits.queue_time), job).await?
    } else {
        start(&handle, limits, job).await?
    };
    context.begins();
    if let Some(turn) = turn {
        keep_turn(turn);
    }
    Ok(value)
}

/// The first call of a request.
async fn start<T, F>(handle: &Handle, limits: &Limits, job: F) -> Result<T, Response>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // A call that has its token already is no checkpoint, and this is one.
    checkpoint_if_cancelled().await;
    let limiter = handle.limiter();
    // Asked for and taken in one step: of two threads that see the last token one has it, and the other lines up.
    if let Ok(token) = limiter.try_acquire() {
        return Ok(run_blocking(job).turn(Turn::Has(token.detach())).await);
    }
    if limiter.waiting() >= limiter.total().saturating_mul(limits.queue_factor) {
        return Err(busy(limits.queue_time));
    }
    let turn = Arc::new(AtomicU8::new(WAITING));
    let take = |turn: &AtomicU8, what| {
        turn.compare_exchange(WAITING, what, Ordering::AcqRel, Ordering::Acquire).is_ok()
    };
    let mut call = pin!(
        run_blocking({
            let turn = Arc::clone(&turn);
            move || take(&turn, RUNNING).then(job)
        })
        .into_future()
    );
    let mut patience = pin!(sleep(limits.queue_time));
    let mut patient = true;
    poll_fn(|cx| {
        if let Poll::Ready(result) = call.as_mut().poll(cx) {
            return Poll::Ready(result.ok_or_else(|| busy(limits.queue_time)));
        }
        if patient && patience.as_mut().poll(cx).is_ready() {
            patient = false;
            if take(&turn, GIVEN_UP) {
                return Poll::Ready(Err(busy(limits.queue_time)));
            }
        }
        Poll::Pending
    })
    .await
}
