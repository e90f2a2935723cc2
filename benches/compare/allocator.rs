//! The global allocator: the system's, and a count of what it is asked for.
//!
//! The only unsafe code of the benches: to pass on what [`GlobalAlloc`] is called with.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

struct Counting;

/// Counts while `run` runs. Otherwise an allocation, and its end, cost a load more than the system's.
pub(crate) fn counting<R>(run: impl FnOnce() -> R) -> R {
    COUNTS.store(true, Ordering::SeqCst);
    let result = run();
    COUNTS.store(false, Ordering::SeqCst);
    result
}

/// The allocations of all threads that were counted so far.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::SeqCst)
}

/// The bytes that were asked for, less those given back, while it counted.
pub(crate) fn bytes() -> i64 {
    BYTES.load(Ordering::SeqCst)
}

fn note(allocations: u64, bytes: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        COUNT.fetch_add(allocations, Ordering::Relaxed);
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

// SAFETY: every method does what that of `System` does, with the same arguments; the counter
// neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, signed(layout.size()));
        // SAFETY: the caller's promise is `System`'s condition.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, signed(size) - signed(layout.size()));
        // SAFETY: the caller's promise is `System`'s condition; it was `System` that gave `pointer`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -signed(layout.size()));
        // SAFETY: the caller's promise is `System`'s condition; it was `System` that gave `pointer`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
