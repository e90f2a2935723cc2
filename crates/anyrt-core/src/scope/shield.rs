//! Code that a cancellation around it does not reach.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::scoped::{Ending, Outer, Scoped};
use super::tree::{self, ScopeKind};
use crate::context::{Lazy, Place};

/// Runs `future` to its end, whatever is cancelled around it.
///
/// While it runs it holds: the scopes around it wait. A scope *inside* it can be cancelled as ever,
/// so a clean-up with a limit is `shield(move_on_after(limit, ..))`.
///
/// # Cancel safety
///
/// Polled in place: dropped by foreign code (`select!`, an abort) it is dropped with its owner.
#[track_caller]
pub fn shield<F: Future>(future: F) -> Shield<F> {
    Shield::at(ScopeKind::Shield, Location::caller(), future)
}

pin_project! {
    /// The future of [`shield`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Shield<F> {
        #[pin]
        scoped: Scoped<F>,
    }

    impl<F> PinnedDrop for Shield<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.scoped.is_linked_and_running() && !std::thread::panicking() {
                tracing::warn!("a shield was dropped by its owner before what it shields had ended");
            }
        }
    }
}

impl<F: Future> Shield<F> {
    fn at(kind: ScopeKind, opened: &'static Location<'static>, future: F) -> Shield<F> {
        let lazy = Lazy { shield: true, ..Lazy::at(kind, opened) };
        Shield { scoped: Scoped::new(lazy, future) }
    }

    /// Around the clean-up of a `finally` that stands at `opened`.
    pub(super) fn of_clean_up(opened: &'static Location<'static>, future: F) -> Shield<F> {
        Shield::at(ScopeKind::CleanUp, opened, future)
    }

    /// Leaves the scope that it was polled in, with its hold; the next poll finds it a new one.
    pub(super) fn leave(self: Pin<&mut Self>) {
        if let Place::Linked(node) = &self.project().scoped.seat().place {
            tree::unlink(node);
            tree::orphaned(node);
        }
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project().scoped.poll_to_end(cx, Outer::Returns) {
            Poll::Ready(Ending::Value(value)) => Poll::Ready(value),
            Poll::Ready(Ending::Cancelled(cancelled)) => {
                unreachable!("nobody has a handle to a shield's own scope, yet: {cancelled}")
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").finish_non_exhaustive()
    }
}
