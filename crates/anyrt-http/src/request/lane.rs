//! The way of calls of requests that have begun: before others, and beyond the limit when the pool is stuck.

use std::cell::{Cell, RefCell};
use std::future::{IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use anyrt::blocking::{CapacityLimiter, Turn};
use anyrt::runtime::Handle;
use anyrt::{checkpoint_if_cancelled, current_handle, run_blocking, sleep};
use axum_core::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use crate::response::problem::detail;

/// A pool in which no token came back for so long is stuck.
const STUCK: Duration = Duration::from_millis(50);

thread_local! {
    /// The place in the queue for the next call of the request that is polled, if it makes one in this poll.
    static NEXT: RefCell<Option<Turn>> = const { RefCell::new(None) };
    static HAS_NEXT: Cell<bool> = const { Cell::new(false) };
}

/// The call that comes next in this poll has this place.
pub(crate) fn keep_turn(turn: Turn) {
    NEXT.set(Some(turn));
    HAS_NEXT.set(true);
}

/// The poll of a request is over: the place in the queue goes to the next call there.
pub(crate) fn let_turn_go() {
    if HAS_NEXT.replace(false) {
        drop(NEXT.take());
    }
}

fn next_turn() -> Option<Turn> {
    HAS_NEXT.replace(false).then(|| NEXT.take()).flatten()
}

/// Where calls of requests that have begun go beyond the limit, when the pool is stuck.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    beyond: AtomicUsize,
    most: AtomicUsize,
    most_threads: AtomicUsize,
}

/// A job that either of two calls runs, whichever comes first.
type Shared<F> = Arc<Mutex<Option<F>>>;

fn take<F>(job: &Shared<F>) -> Option<F> {
    job.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Lane {
    /// How many calls are beyond the limit now, how many were at most, and how many threads the pool had then.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        (read(&self.beyond), read(&self.most), read(&self.most_threads))
    }

    /// A call of a request that has begun, and is refused by nothing.
    pub(crate) async fn call<T, F>(self: &Arc<Self>, job: F, name: &str) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match self.go(&current_handle(), name, None, job).await {
            Ok(value) => value,
            Err(_) => unreachable!("it waits as long as it takes"),
        }
    }

    /// A call of a request that has begun; 503 when it has waited longer than `patience`.
    pub(crate) async fn go<T, F>(
        self: &Arc<Self>,
        handle: &Handle,
        name: &str,
        patience: Option<Duration>,
        job: F,
    ) -> Result<T, Response>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // A turn that was given is no checkpoint, and this is one.
        checkpoint_if_cancelled().await;
        let limiter = handle.limiter();
        let turn = match next_turn() {
            Some(turn) => Some(turn),
            None => limiter.try_acquire().ok().map(|token| Turn::Has(token.detach())),
        };
        if let Some(turn @ Turn::Has(_)) = turn {
            return Ok(run_blocking(job).name(name).turn(turn).await);
        }
        let job = Arc::new(Mutex::new(Some(job)));
        // Left at the end of this block, a call that waits is in the queue no more.
        let (why, job) = {
            let queued = run_blocking({
                let job = Arc::clone(&job);
                move || take(&job).map(|job| job())
            })
            .name(name);
            let queued = match turn {
                Some(turn) => queued.turn(turn),
                None => queued.continuing(),
            };
            let mut queued = pin!(queued.into_future());
            let mut overdue = pin!(overdue(handle, limiter, patience));
            let early = poll_fn(|cx| {
                if let Poll::Ready(value) = queued.as_mut().poll(cx) {
                    return Poll::Ready(Ok(value));
                }
                let waits = job.lock().unwrap_or_else(PoisonError::into_inner).is_some();
                if waits { overdue.as_mut().poll(cx).map(Err) } else { Poll::Pending }
            });
            match early.await {
                Ok(value) => return Ok(done(value)),
                Err(why) => match take(&job) {
                    Some(job) => (why, job),
                    // A thread has begun with it in this moment.
                    None => return Ok(done(queued.await)),
                },
            }
        };
        match why {
            Overdue::Impatient(patience) => Err(busy(patience)),
            Overdue::Stuck => {
                let (lane, threads) = (Arc::clone(self), handle.clone());
                let job = move || {
                    let _beyond = lane.goes_beyond(&threads);
                    job()
                };
                Ok(run_blocking(job).unlimited().name(name).await)
            }
        }
    }

    /// One thread more, until what this returns is dropped.
    fn goes_beyond(&self, handle: &Handle) -> Beyond<'_> {
        let (beyond, threads) = (self.beyond.fetch_add(1, Ordering::Relaxed) + 1, handle.blocking_threads());
        self.most_threads.fetch_max(threads, Ordering::Relaxed);
        if self.most.fetch_max(beyond, Ordering::Relaxed) < beyond {
            tracing::warn!(
                beyond,
                threads,
                limit = handle.limiter().total(),
                "the thread pool is stuck: all its tokens are held, and a request that has begun goes beyond the limit; \
                 put `max_concurrency` at the provider that waits in its thread, or raise `Run::blocking_limit`"
            );
        }
        Beyond(self)
    }
}

struct Beyond<'a>(&'a Lane);

impl Drop for Beyond<'_> {
    fn drop(&mut self) {
        self.0.beyond.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the job gave, which only one of the calls had.
fn done<T>(value: Option<T>) -> T {
    value.unwrap_or_else(|| unreachable!("the job is taken by one call, which gives its value"))
}

/// Why a call waits no more in the queue.
enum Overdue {
    Stuck,
    Impatient(Duration),
}

async fn overdue(handle: &Handle, limiter: &CapacityLimiter, patience: Option<Duration>) -> Overdue {
    let began = handle.now();
    let mut returned = limiter.returned();
    loop {
        sleep(STUCK).await;
        let before = std::mem::replace(&mut returned, limiter.returned());
        if before == returned && limiter.available() <= 0 {
            return Overdue::Stuck;
        }
        if let Some(patience) = patience
            && handle.now().saturating_duration_since(began) >= patience
        {
            return Overdue::Impatient(patience);
        }
    }
}

/// 503, and when to come again.
pub(crate) fn busy(wait: Duration) -> Response {
    let mut response = detail(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait for the thread pool");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    response
}
