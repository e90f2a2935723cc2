//! Which threads of the pool work, for a runtime that must know: one whose clock moves by itself.
//!
//! A mark is taken when a job is handed over, and given back when its caller was woken. A thread that waits for
//! async code does not work: it gives its mark back once everything that may wake it is there, and the code
//! that wakes it takes the next mark first. So between the end of the async code and the moment when the thread
//! goes on there is always a mark.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::limiter::thread_waker;
use crate::base::sync::Arc;
use crate::base::sync::thread::{self, Thread};
use crate::current::handle::Handle;
use crate::current::runtime::Runtime;

/// What [`Runtime::working`] has returned.
pub(super) type Mark = Box<dyn Send>;

thread_local! {
    /// The mark of the job that runs on this thread.
    static MARK: Cell<Option<Mark>> = const { Cell::new(None) };
}

/// Runs a job on this thread, and gives its mark back at the end.
pub(super) fn marked<R>(mark: Option<Mark>, job: impl FnOnce() -> R) -> R {
    if mark.is_none() {
        return job();
    }
    let outer = MARK.replace(mark);
    let result = job();
    drop(MARK.replace(outer));
    result
}

/// A thread that is about to wait for async code.
pub(super) struct Waiting(Option<Arc<Marked>>);

/// A waiting thread that has a mark.
struct Marked {
    thread: Thread,
    runtime: Arc<dyn Runtime>,
    /// None when it waits no more: a late call of its waker takes no mark.
    mark: Mutex<Option<Option<Mark>>>,
}

impl Waiting {
    pub(super) fn here(handle: &Handle) -> Waiting {
        let marked = MARK.take().map(|mark| Marked {
            thread: thread::current(),
            runtime: handle.runtime().clone(),
            mark: Mutex::new(Some(Some(mark))),
        });
        Waiting(marked.map(Arc::new))
    }

    /// Wakes this thread.
    pub(super) fn waker(&self) -> Waker {
        self.0.as_ref().map_or_else(thread_waker, |marked| Waker::from(marked.clone()))
    }

    /// Waits to be woken by [`waker`](Waiting::waker).
    pub(super) fn park(&self) {
        if let Some(marked) = &self.0 {
            let mark = marked.lock().as_mut().and_then(Option::take);
            drop(mark);
        }
        thread::park();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(marked) = self.0.take() {
            marked.mark();
            MARK.set(marked.lock().take().flatten());
        }
    }
}

impl Marked {
    fn lock(&self) -> MutexGuard<'_, Option<Option<Mark>>> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self) {
        if let Some(mark @ None) = &mut *self.lock() {
            *mark = self.runtime.working();
        }
    }
}

impl Wake for Marked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mark();
        self.thread.unpark();
    }
}
