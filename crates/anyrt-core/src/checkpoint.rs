//! Checkpoints: places where a cancelled task stops.

use std::future::{Future, poll_fn};
use std::task::Poll;

use crate::context::{self, Gate};

/// A full checkpoint: stops here if the scope is cancelled, and lets other tasks run once.
///
/// # Cancel safety
///
/// Nothing is lost.
pub fn checkpoint() -> impl Future<Output = ()> + Send + Unpin {
    let mut yielded = false;
    poll_fn(move |cx| {
        if context::gate(true, cx.waker()) == Gate::Shut {
            return Poll::Pending;
        }
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Stops here if the scope is cancelled; else goes on without letting others run.
///
/// # Cancel safety
///
/// Nothing is lost.
pub fn checkpoint_if_cancelled() -> impl Future<Output = ()> + Send + Unpin {
    poll_fn(|cx| match context::gate(true, cx.waker()) {
        Gate::Shut => Poll::Pending,
        Gate::Open => Poll::Ready(()),
    })
}

/// Lets other tasks run once, and is never cancelled (AnyIO: `cancel_shielded_checkpoint`).
///
/// # Cancel safety
///
/// Nothing is lost.
pub fn yield_shielded() -> impl Future<Output = ()> + Send + Unpin {
    let mut yielded = false;
    crate::scope::shield(poll_fn(move |cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }))
}
