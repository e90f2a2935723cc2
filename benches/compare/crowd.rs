//! Children that wait for ever: the same future on both sides.

use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use futures::task::AtomicWaker;

use crate::yields::yield_once;

/// So many futures, and who waits until all were polled, or are gone.
pub(crate) struct Crowd {
    size: u64,
    arrived: AtomicU64,
    gone: AtomicU64,
    last_one: AtomicWaker,
}

impl Crowd {
    pub(crate) fn of(size: u64) -> Arc<Crowd> {
        let (arrived, gone) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Crowd { size, arrived, gone, last_one: AtomicWaker::new() })
    }

    /// A future that is pending until it is dropped.
    pub(crate) fn child(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let place = Place(self.clone());
        async move {
            place.0.arrived.fetch_add(1, Ordering::AcqRel);
            pending().await
        }
    }

    /// Ready when all wait.
    pub(crate) async fn all_wait(&self) {
        while self.arrived.load(Ordering::Acquire) < self.size {
            yield_once().await;
        }
    }

    /// Polls `crowd`, which polls them, until all wait.
    pub(crate) async fn gather(&self, mut crowd: Pin<&mut (impl Future + ?Sized)>) {
        while self.arrived.load(Ordering::Acquire) < self.size {
            let polled = poll_fn(|cx| Poll::Ready(crowd.as_mut().poll(cx))).await;
            assert!(polled.is_pending(), "they wait for ever");
        }
    }

    /// Ready when all have been dropped: for peers whose handles cannot wait for that.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) async fn all_gone(&self) {
        poll_fn(|cx| {
            self.last_one.register(cx.waker());
            if self.gone.load(Ordering::Acquire) == self.size { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

struct Place(Arc<Crowd>);

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.gone.fetch_add(1, Ordering::AcqRel) + 1 == self.0.size {
            self.0.last_one.wake();
        }
    }
}
