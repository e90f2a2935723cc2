//! What a blocking call needs to run: a token of our limiter, or what a limiter of the user's own has given.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use super::limiter::{AcquireTokenFuture, CapacityLimiter, Token, Turn, thread_waker};
use super::run::StartError;
use crate::base::sync::{Arc, thread};
use crate::current::gate::leaf;
use crate::scope::shield;
use crate::tree::site::Called;

/// A limiter of your own, for [`RunBlocking::limited_by`](super::RunBlocking::limited_by): a rate, a share of a
/// budget that others have a share of, your own order of waiters.
///
/// These two methods are called and nothing else. For each call, once it is known not to be cancelled,
/// `acquire_on_behalf_of`; when that is ready, the job runs, and at its end comes one `release_on_behalf_of` of
/// the same borrower, from the thread of the job. A job that waits in [`from_thread`](super::from_thread) gives
/// back meanwhile what it has, and acquires again before it goes on, whatever is cancelled.
///
/// The default limiter of the run is not asked.
///
/// ```
/// use std::future::Future;
/// use std::pin::Pin;
/// use std::sync::Arc;
///
/// use anyrt_core::{Borrower, Limiter, Semaphore, run_blocking};
///
/// /// Lets two run at once, and prints who it is.
/// struct Talkative(Semaphore);
///
/// impl Limiter for Talkative {
///     fn acquire_on_behalf_of(&self, borrower: Borrower) -> Pin<Box<dyn Future<Output = ()> + Send>> {
///         let semaphore = self.0.clone();
///         Box::pin(async move {
///             semaphore.acquire().await.forget();
///             println!("{borrower} begins");
///         })
///     }
///
///     fn release_on_behalf_of(&self, borrower: Borrower) {
///         println!("{borrower} has ended");
///         self.0.add_permits(1).expect("there is no maximum");
///     }
/// }
///
/// # async fn demo() {
/// let limiter = Arc::new(Talkative(Semaphore::new(2)));
/// assert_eq!(run_blocking(|| 6 * 7).limited_by(limiter.clone()).await, 42);
/// # }
/// ```
pub trait Limiter: Send + Sync + 'static {
    /// Ready when the borrower may run. Dropped before that, it has borrowed nothing.
    ///
    /// It is polled as part of the call, in the scope of the caller. Its panic is the caller's.
    fn acquire_on_behalf_of(&self, borrower: Borrower) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// The borrower is done. It must not block for long, and its panic is the caller's.
    fn release_on_behalf_of(&self, borrower: Borrower);
}

/// One blocking call, as a [`Limiter`] knows it. No two calls of the process have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Borrower(u64);

impl Borrower {
    fn new() -> Borrower {
        // Not from `sync`: numbers are no part of what is modelled.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Borrower(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for Borrower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocking call {}", self.0)
    }
}

/// What a call does to get its grant.
pub(super) enum Asking {
    Ours(AcquireTokenFuture),
    /// The token was there before the call asked.
    Given(Option<Token>),
    Foreign {
        of: Borrowing,
        called: Called,
        waits: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    },
}

/// A limiter of the user's own, and the borrower that it is asked for.
#[derive(Clone)]
pub(super) struct Borrowing {
    limiter: Arc<dyn Limiter>,
    borrower: Borrower,
}

impl Asking {
    pub(super) fn ours(limiter: &CapacityLimiter, called: Called) -> Asking {
        Asking::Ours(limiter.acquire_for_call(called))
    }

    pub(super) fn turn(turn: Turn) -> Asking {
        match turn {
            Turn::Waits(acquire) => Asking::Ours(acquire),
            Turn::Has(token) => Asking::Given(Some(token)),
        }
    }

    /// For a call that goes before calls that start.
    pub(super) fn continuing(limiter: &CapacityLimiter, called: Called) -> Asking {
        let mut acquire = limiter.acquire_for_call(called);
        acquire.go_first();
        Asking::Ours(acquire)
    }

    pub(super) fn foreign(limiter: Arc<dyn Limiter>, called: Called) -> Asking {
        Asking::Foreign { of: Borrowing { limiter, borrower: Borrower::new() }, called, waits: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Grant, StartError>> {
        match self {
            Asking::Ours(acquire) => match Pin::new(&mut *acquire).poll(cx) {
                Poll::Ready(token) => Poll::Ready(Ok(Grant::Ours(token))),
                Poll::Pending if acquire.waits_for_itself() => Poll::Ready(Err(StartError::WaitsForItself)),
                Poll::Pending => Poll::Pending,
            },
            Asking::Given(token) => match token.take() {
                Some(token) => Poll::Ready(Ok(Grant::Ours(token))),
                None => unreachable!("a call is granted once"),
            },
            Asking::Foreign { of, called, waits } => leaf(true, called, cx, |cx| {
                waits
                    .get_or_insert_with(|| of.acquire())
                    .as_mut()
                    .poll(cx)
                    .map(|()| Ok(Grant::foreign(of.clone())))
            }),
        }
    }
}

impl Borrowing {
    fn acquire(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.limiter.acquire_on_behalf_of(self.borrower)
    }
}

/// The right of a job to run; dropped, it is given back.
pub(super) enum Grant {
    Ours(Token),
    Foreign(Held),
}

/// What a limiter of the user's own has given.
pub(super) struct Held(Borrowing);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.limiter.release_on_behalf_of(self.0.borrower);
    }
}

/// The limiter that a job must ask again, after it has lent its grant.
#[derive(Clone)]
pub(super) enum Lender {
    Ours(CapacityLimiter),
    Foreign(Borrowing),
}

impl Grant {
    fn foreign(of: Borrowing) -> Grant {
        Grant::Foreign(Held(of))
    }

    pub(super) fn lender(&self) -> Lender {
        match self {
            Grant::Ours(token) => Lender::Ours(token.limiter().clone()),
            Grant::Foreign(Held(of)) => Lender::Foreign(of.clone()),
        }
    }
}

impl Lender {
    /// Waits for the grant in this thread, whatever is cancelled.
    pub(super) fn take_back(self) -> Grant {
        match self {
            Lender::Ours(limiter) => Grant::Ours(limiter.take_back()),
            Lender::Foreign(of) => {
                let waker = thread_waker();
                let mut waits = pin!(shield(of.acquire()));
                while waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    thread::park();
                }
                Grant::foreign(of)
            }
        }
    }
}
