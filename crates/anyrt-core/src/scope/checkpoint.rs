//! Checkpoints: places where a cancelled task stops.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::task::{Context, Poll};

use crate::current::gate::uncounted;

/// A full checkpoint: stops here if the scope is cancelled, and lets other tasks run once.
///
/// For code that computes for long. Between awaits on locks, channels, limiters, .. there is no need: what is free is
/// taken without letting others run, but after 128 of them in one poll of a task the next one lets others run first.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn checkpoint() -> impl Future<Output = ()> + Send + Unpin {
    let called = Location::caller();
    let mut yielded = false;
    poll_fn(move |cx| uncounted(true, called, cx, |cx| yield_once(&mut yielded, cx)))
}

/// Stops here if the scope is cancelled; else goes on without letting others run.
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn checkpoint_if_cancelled() -> impl Future<Output = ()> + Send + Unpin {
    let called = Location::caller();
    poll_fn(move |cx| uncounted(true, called, cx, |_| Poll::Ready(())))
}

/// Lets other tasks run once, and is never cancelled (AnyIO: `cancel_shielded_checkpoint`).
///
/// # Cancel safety
///
/// Nothing is lost.
#[track_caller]
pub fn yield_shielded() -> impl Future<Output = ()> + Send + Unpin {
    let mut yielded = false;
    crate::scope::shield(poll_fn(move |cx| yield_once(&mut yielded, cx)))
}

/// Pending the first time, and woken at once.
fn yield_once(yielded: &mut bool, cx: &Context<'_>) -> Poll<()> {
    if std::mem::replace(yielded, true) {
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}
