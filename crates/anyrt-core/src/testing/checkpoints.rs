//! Whether code is a checkpoint, asserted.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::scope::scoped::{Ending, Outer, Scoped};
use crate::tree::lazy::Lazy;
use crate::tree::site::Called;
use crate::tree::{NEVER, ScopeKind};

/// A deadline that never comes, some 70 years ahead: leaves look more closely when there is one.
const FAR: u64 = NEVER / 8;

std::thread_local! {
    /// How many leaves have asked the gate under a deadline, on this thread.
    static PASSED: Cell<usize> = const { Cell::new(0) };
}

/// A leaf asks the gate, and there is a deadline in its sight: only then may an assertion be counting.
pub(crate) fn passed() {
    PASSED.set(PASSED.get().wrapping_add(1));
}

/// Runs `future` and asserts that it was at a checkpoint at least once (Trio: `assert_checkpoints`).
///
/// For tests of your own primitives: a loop over something that is no checkpoint cannot be cancelled.
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{assert_checkpoints, assert_no_checkpoints, checkpoint};
///
/// assert_checkpoints(checkpoint()).await;
/// assert_no_checkpoints(async { 1 + 1 }).await;
/// # }
/// ```
///
/// # Panics
///
/// When `future` is ready and has passed none, naming the caller.
///
/// # Cancel safety
///
/// That of `future`.
#[track_caller]
pub fn assert_checkpoints<F: Future>(future: F) -> AssertCheckpoints<F> {
    AssertCheckpoints::new(future, Location::caller(), true)
}

/// Runs `future` and asserts that it was at no checkpoint (Trio: `assert_no_checkpoints`).
///
/// # Panics
///
/// When it reaches one, or is pending for whatever reason, naming the caller.
#[track_caller]
pub fn assert_no_checkpoints<F: Future>(future: F) -> AssertCheckpoints<F> {
    AssertCheckpoints::new(future, Location::caller(), false)
}

pin_project! {
    /// The future of [`assert_checkpoints`] and [`assert_no_checkpoints`].
    #[must_use = "futures do nothing unless polled"]
    pub struct AssertCheckpoints<F> {
        #[pin]
        scoped: Scoped<F>,
        called: Called,
        expected: bool,
        found: bool,
    }
}

impl<F: Future> AssertCheckpoints<F> {
    fn new(future: F, called: Called, expected: bool) -> Self {
        let far = Lazy { deadline: FAR, ..Lazy::at(ScopeKind::Scope, called) };
        AssertCheckpoints { scoped: Scoped::new(far, future), called, expected, found: false }
    }
}

impl<F: Future> Future for AssertCheckpoints<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let before = PASSED.get();
        let polled = this.scoped.poll_to_end(cx, Outer::Returns);
        *this.found |= PASSED.get() != before;
        let called = this.called;
        if *this.expected {
            assert!(polled.is_pending() || *this.found, "there was no checkpoint in the future at {called}");
        } else {
            assert!(!polled.is_pending() && !*this.found, "there is a checkpoint in the future at {called}");
        }
        polled.map(|ending| match ending {
            Ending::Value(value) => value,
            Ending::Cancelled(cancelled) => unreachable!("nobody lives so long: {cancelled}"),
        })
    }
}

impl<F> fmt::Debug for AssertCheckpoints<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertCheckpoints").field("called", &format_args!("{}", self.called)).finish()
    }
}
