//! Where the code that is polled waits: noted by the leaf that is pending, kept by each node around it.
//!
//! The note is a cell of the thread. A leaf leaves its place there when it passes the gate and takes it back when
//! it is ready; a node reads it after a poll that was pending, under a lock that it takes anyway. Of
//! several leaves that one node polls, the last one that was pending counts.

use std::cell::Cell;
use std::panic::Location;
use std::task::{Context, Poll};

use crate::context::{self, Gate};

/// A place in somebody's code.
pub(crate) type Called = &'static Location<'static>;

thread_local! {
    static NOTE: Cell<Option<Called>> = const { Cell::new(None) };
}

/// A leaf that was called at `called`: `act` runs only where the gate is open; see [`context::gate`].
#[inline]
pub(crate) fn leaf<T>(
    takes: bool,
    called: Called,
    cx: &mut Context<'_>,
    act: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let before = noted();
    let polled = match context::gate(takes, called, cx.waker()) {
        Gate::Open => act(cx),
        Gate::Shut => Poll::Pending,
    };
    if polled.is_ready() {
        NOTE.set(before);
    }
    polled
}

/// Where a handle waits: in the code that polls it, or, where a combinator does, at `otherwise`.
pub(crate) fn awaited_at(polled: Called, otherwise: Called) -> Called {
    // The start of the paths of this crate, and of the standard library.
    let ours = file!().strip_suffix("waits.rs").unwrap_or(file!());
    let foreign = [ours, "/rustc/"].iter().any(|start| polled.file().starts_with(start));
    if foreign { otherwise } else { polled }
}

/// What is polled waits here, until it is ready.
#[inline]
pub(crate) fn note(called: Called) {
    NOTE.set(Some(called));
}

/// The same, where the place is known: the scopes of joins have none.
#[inline]
pub(crate) fn note_opt(called: Option<Called>) {
    if called.is_some() {
        NOTE.set(called);
    }
}

#[inline]
pub(crate) fn noted() -> Option<Called> {
    NOTE.get()
}

/// The poll of a node begins, with no note; what it is polled in has this one.
#[inline]
pub(crate) fn begin() -> Option<Called> {
    NOTE.take()
}

/// The poll of a node has ended, pending: around it counts what it waits for, else what was `before`.
#[inline]
pub(crate) fn end_pending(before: Option<Called>) {
    if NOTE.get().is_none() {
        NOTE.set(before);
    }
}

/// It has ended, ready, or the poll of another task has: around it counts what was `before`.
#[inline]
pub(crate) fn end(before: Option<Called>) {
    NOTE.set(before);
}
