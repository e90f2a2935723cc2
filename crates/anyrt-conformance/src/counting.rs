//! Futures and guards that count what is done to them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;

/// A number that several tasks and threads count up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(crate) fn new() -> Counter {
        Counter::default()
    }

    /// One more; the number before.
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A guard that counts one when it is dropped.
    pub(crate) fn on_drop(&self) -> CountsDrop {
        CountsDrop(self.clone())
    }
}

/// A guard that counts its drop.
#[derive(Debug)]
pub(crate) struct CountsDrop(Counter);

impl Drop for CountsDrop {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// A future that counts how often it is polled.
pub(crate) struct CountsPolls<T> {
    inner: BoxFuture<'static, T>,
    polls: Counter,
}

/// `future`, counting its polls into `polls`.
pub(crate) fn count_polls<F>(polls: &Counter, future: F) -> CountsPolls<F::Output>
where
    F: Future + Send + 'static,
{
    CountsPolls { inner: Box::pin(future), polls: polls.clone() }
}

impl<T> Future for CountsPolls<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.polls.add();
        self.inner.as_mut().poll(cx)
    }
}
