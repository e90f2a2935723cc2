//! Children that wait for ever: the same future on both sides.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::task::AtomicWaker;

use crate::row::CHILDREN;
use crate::yields::yield_once;

/// [`CHILDREN`] futures, and who waits until all were polled, or are gone.
#[derive(Default)]
pub(crate) struct Crowd {
    arrived: AtomicU64,
    gone: AtomicU64,
    last_one: AtomicWaker,
}

impl Crowd {
    pub(crate) fn new() -> Arc<Crowd> {
        Arc::default()
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
        while self.arrived.load(Ordering::Acquire) < CHILDREN {
            yield_once().await;
        }
    }

    /// Ready when all have been dropped: for peers whose handles cannot wait for that.
    #[cfg(any(feature = "smol", feature = "async-std"))]
    pub(crate) async fn all_gone(&self) {
        use std::task::Poll;

        std::future::poll_fn(|cx| {
            self.last_one.register(cx.waker());
            match self.gone.load(Ordering::Acquire) {
                CHILDREN => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

struct Place(Arc<Crowd>);

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.gone.fetch_add(1, Ordering::AcqRel) + 1 == CHILDREN {
            self.0.last_one.wake();
        }
    }
}
