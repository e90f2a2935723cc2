//! A waker that panics where it is told to.
//!
//! The only unsafe code of this test: a `Wake` cannot say what its `clone` does.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What is done to a waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Act {
    Wake = 1,
    Clone = 2,
    Drop = 3,
}

/// The state behind a waker that panics once it is armed, once.
#[derive(Clone, Default)]
pub(crate) struct Faulty(Arc<State>);

#[derive(Default)]
struct State {
    armed: AtomicU8,
    panicked: AtomicBool,
}

impl Faulty {
    pub(crate) fn new() -> Faulty {
        Faulty::default()
    }

    /// The next time that this is done to the waker it panics.
    pub(crate) fn arm(&self, act: Act) {
        self.0.armed.store(act as u8, Ordering::SeqCst);
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.0.panicked.load(Ordering::SeqCst)
    }

    pub(crate) fn waker(&self) -> Waker {
        let data = Arc::into_raw(self.0.clone()).cast();
        // SAFETY: `data` is what `TABLE` takes: an owned `Arc<State>` for each waker.
        unsafe { Waker::new(data, &TABLE) }
    }
}

static TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, forget);

impl State {
    fn may_panic(&self, act: Act, text: &'static str) {
        if self.armed.compare_exchange(act as u8, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.panicked.store(true, Ordering::SeqCst);
            resume_unwind(Box::new(text));
        }
    }
}

/// The state behind a waker, without its count.
fn state<'a>(data: *const ()) -> &'a State {
    // SAFETY: each waker of this table owns an `Arc<State>`, and none is used after its drop.
    unsafe { &*data.cast() }
}

fn owned(data: *const ()) -> Arc<State> {
    // SAFETY: the waker that owned it is used up by who calls this.
    unsafe { Arc::from_raw(data.cast()) }
}

unsafe fn clone(data: *const ()) -> RawWaker {
    state(data).may_panic(Act::Clone, "a clone");
    // SAFETY: the waker that is cloned owns one, so there is one to count up.
    unsafe { Arc::increment_strong_count(data.cast::<State>()) };
    RawWaker::new(data, &TABLE)
}

unsafe fn wake(data: *const ()) {
    owned(data).may_panic(Act::Wake, "a wake");
}

unsafe fn wake_by_ref(data: *const ()) {
    state(data).may_panic(Act::Wake, "a wake");
}

unsafe fn forget(data: *const ()) {
    owned(data).may_panic(Act::Drop, "a drop");
}
