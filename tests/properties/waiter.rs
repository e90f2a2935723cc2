//! A future that is polled by hand, in a scope that is cancelled by hand.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use anyrt_core::{CancelScope, ScopeHandle};

/// Somebody who waits: in a scope that may be cancelled, and a shield that may be put up against it.
pub(crate) struct Waiter<T> {
    scope: ScopeHandle,
    shield: ScopeHandle,
    future: Pin<Box<dyn Future<Output = Option<T>>>>,
    bell: Arc<Bell>,
}

/// What a poll shows.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen<T> {
    Pending,
    Ready(T),
    /// The scope has dropped it.
    Cancelled,
}

impl<T: 'static> Waiter<T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'static) -> Waiter<T> {
        let (scope, shield) = (CancelScope::new(), CancelScope::new());
        let (handle, inner) = (scope.handle(), shield.handle());
        let future = async move {
            let ended = scope.run(async move |_| shield.run(async move |_| future.await).await).await;
            ended.ok().and_then(Result::ok)
        };
        Waiter { scope: handle, shield: inner, future: Box::pin(future), bell: Arc::default() }
    }

    /// As [`new`](Waiter::new), with something that is lent to what waits, and comes back however that ends.
    pub(crate) fn lending<L: 'static, R: 'static>(
        mut lent: L,
        wait: impl AsyncFnOnce(&mut L) -> R + 'static,
    ) -> Waiter<(L, Option<R>)> {
        let (scope, shield) = (CancelScope::new(), CancelScope::new());
        let (handle, inner) = (scope.handle(), shield.handle());
        let future = async move {
            let ended = scope.run(async |_| shield.run(async |_| wait(&mut lent).await).await).await;
            Some((lent, ended.ok().and_then(Result::ok)))
        };
        Waiter { scope: handle, shield: inner, future: Box::pin(future), bell: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Seen<T> {
        self.bell.0.store(false, SeqCst);
        let waker = Waker::from(self.bell.clone());
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => Seen::Pending,
            Poll::Ready(Some(value)) => Seen::Ready(value),
            Poll::Ready(None) => Seen::Cancelled,
        }
    }

    pub(crate) fn cancel(&self) {
        self.scope.cancel_with("by the case");
    }

    pub(crate) fn set_shield(&self, up: bool) {
        self.shield.set_shield(up);
    }

    /// Whether it was woken since its last poll.
    pub(crate) fn is_woken(&self) -> bool {
        self.bell.0.load(SeqCst)
    }
}

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
