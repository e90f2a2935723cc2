//! The global allocator of these tests: the system's, and a count of what it is asked for.
#![allow(dead_code, reason = "one test counts allocations, the other what is left of them")]
//!
//! Their only unsafe code: to pass on what [`GlobalAlloc`] is called with.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

static LIVE: AtomicI64 = AtomicI64::new(0);

thread_local! {
    // Constant and without a destructor, so that reaching it never allocates.
    static COUNT_HERE: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

/// The allocations of all threads so far; a reallocation counts as one.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::SeqCst)
}

/// Those of this thread.
pub(crate) fn count_here() -> u64 {
    COUNT_HERE.get()
}

/// The bytes that all threads have and have not given back.
pub(crate) fn live() -> i64 {
    LIVE.load(Ordering::SeqCst)
}

fn note(bytes: usize) {
    became(bytes, 0);
    COUNT.fetch_add(1, Ordering::Relaxed);
    COUNT_HERE.set(COUNT_HERE.get() + 1);
}

/// So many bytes are there now in place of those before.
fn became(now: usize, before: usize) {
    LIVE.fetch_add(now as i64 - before as i64, Ordering::Relaxed);
}

// SAFETY: every method does what that of `System` does, with the same arguments; the counters
// neither allocate nor panic.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        became(0, layout.size());
        // SAFETY: the caller's promise is `System`'s condition; it was `System` that gave `pointer`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        became(0, layout.size());
        // SAFETY: the caller's promise is `System`'s condition; it was `System` that gave `pointer`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
