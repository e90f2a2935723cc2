//! Futures that a case polls by hand, to see each poll and each wake-up by itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future and the waker that it is polled with.
pub(crate) struct ByHand<'a, T> {
    future: Option<Pin<Box<dyn Future<Output = T> + 'a>>>,
    bell: Arc<Bell>,
}

impl<'a, T> ByHand<'a, T> {
    pub(crate) fn new(future: impl Future<Output = T> + 'a) -> Self {
        ByHand { future: Some(Box::pin(future)), bell: Arc::default() }
    }

    /// Polls it once.
    pub(crate) fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.bell));
        let future = self.future.as_mut().expect("polled after it was dropped");
        future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Drops the future, as somebody does who lost interest.
    pub(crate) fn drop_future(&mut self) {
        self.future = None;
    }

    /// How often its waker was called so far.
    pub(crate) fn wakes(&self) -> usize {
        self.bell.rung()
    }

    /// How many clones of its waker somebody keeps.
    pub(crate) fn wakers_kept(&self) -> usize {
        Arc::strong_count(&self.bell) - 1
    }
}

/// A waker that counts its calls.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicUsize,
}

impl Bell {
    pub(crate) fn rung(&self) -> usize {
        self.rung.load(Ordering::SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.fetch_add(1, Ordering::SeqCst);
    }
}
