//! Waking many wakers outside of every lock, and surviving those that panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::Waker;

/// Runs something that ends in waking, where a panic of a waker is not the caller's: what has ended must be
/// reported to all waiters. The panic hook has shown the panic.
pub(crate) fn attempt(run: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(run));
}

/// Wakers collected under locks, to be woken when the locks are gone.
///
/// A waker is user code: it may panic, and the others must be woken all the same.
#[derive(Debug, Default)]
pub(crate) struct WakeList {
    first: Option<Waker>,
    rest: Vec<Waker>,
}

impl WakeList {
    pub(crate) fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.rest.push(waker);
        }
    }

    pub(crate) fn take(&mut self, waker: &mut Option<Waker>) {
        if let Some(waker) = waker.take() {
            self.push(waker);
        }
    }

    pub(crate) fn append(&mut self, wakers: &mut Vec<Waker>) {
        self.rest.append(wakers);
    }

    /// Wakes all; a panic of one of them goes on after the last was woken.
    #[inline]
    pub(crate) fn wake(self) {
        if self.first.is_some() || self.rest.capacity() > 0 {
            self.wake_all();
        } else {
            // Most lists are empty, and then need no destructor.
            std::mem::forget(self);
        }
    }

    fn wake_all(self) {
        let mut panicked: Option<Box<dyn Any + Send>> = None;
        for waker in self.first.into_iter().chain(self.rest) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                panicked.get_or_insert(payload);
            }
        }
        if let Some(payload) = panicked {
            resume_unwind(payload);
        }
    }
}
