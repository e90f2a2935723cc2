//! Admission to the thread pool: a server that is far behind says so, and early.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyrt::{current_handle, run_blocking, sleep};
use axum_core::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use crate::limits::Limits;
use crate::problem::detail;

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const GIVEN_UP: u8 = 2;

/// Runs a job in the thread pool, unless too many wait for it, or it has waited too long: then the
/// answer is 503, and the job has not begun and never does.
pub(crate) async fn run<T, F>(limits: &Limits, job: F) -> Result<T, Response>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let handle = current_handle();
    let limiter = handle.limiter();
    if limiter.available() > 0 {
        return Ok(run_blocking(job).await);
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

/// 503, and when to come again.
fn busy(wait: Duration) -> Response {
    let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait for the thread pool");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    response
}
