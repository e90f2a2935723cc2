//! Code that a cancellation around it does not reach.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::owned::ShieldOwned;
use super::scoped::{Ending, Outer, Scoped};
use super::timeout::MoveOnAfter;
use crate::current::context::Place;
use crate::tree::lazy::Lazy;
use crate::tree::{self, ScopeKind, default_name};

/// Runs `future` to its end, whatever is cancelled around it.
///
/// What happens when foreign code (`select!`, an abort) drops it half-way:
///
/// | written | dropped by foreign code |
/// |---|---|
/// | `shield(f)`, `shield(f).within(grace)` | `f` is dropped with its owner, **half done**; a warning says so |
/// | `shield(f).owned()`, `shield(f).within(grace).owned()` | `f` goes on at the root of the run, **to its end** |
///
/// The branches of [`race`](crate::race()) and the children of a group are not dropped half-way: there all do the same.
///
/// While it runs, the scopes around it wait. A scope *inside* it can be cancelled as ever.
///
/// # Panics
///
/// With the panic of `future`.
///
/// # Cancel safety
///
/// As the table says.
#[track_caller]
pub fn shield<F: Future>(future: F) -> Shield<F> {
    shield_at(ScopeKind::Shield, Location::caller(), future)
}

/// As [`shield`], opened where the construct was that it is part of.
pub(super) fn shield_at<F: Future>(
    kind: ScopeKind,
    opened: &'static Location<'static>,
    future: F,
) -> Shield<F> {
    let lazy = Lazy { shield: true, ..Lazy::at(kind, opened) };
    Shield { scoped: Scoped::new(lazy, future) }
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
    /// For no longer than `grace`; `None` when that was over first.
    ///
    /// The grace counts from the first poll. When it is over the future is cancelled, and a tracing warning of target
    /// `anyrt::grace` names the place. What holds in there (a shield, a clean-up of its own) still keeps it.
    ///
    /// ```
    /// # async fn demo() {
    /// # async fn say_goodbye() {}
    /// use std::time::Duration;
    ///
    /// let said = anyrt_core::shield(say_goodbye()).within(Duration::from_secs(1)).await;
    /// assert!(said.is_some());
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When it was polled before. The future that it returns: as [`move_on_after`](crate::move_on_after()).
    pub fn within(mut self, grace: Duration) -> ShieldWithin<F> {
        let (lazy, future) = self.scoped.take_unpolled();
        let opened = lazy.opened.unwrap_or(Location::caller());
        let limited = MoveOnAfter::opened_at(opened, grace, future);
        let graced = Graced { limited, opened, grace, told: false };
        ShieldWithin { shield: Shield { scoped: Scoped::new(lazy, graced) } }
    }

    /// Survives its owner, for a future that owns what it uses. Costs one allocation.
    ///
    /// ```
    /// # async fn demo() {
    /// # async fn commit() {}
    /// anyrt_core::shield(commit()).owned().await; // is committed, even if a `select!` drops this
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When it was polled before. The future that it returns: with the panic of `future`. One that comes after that was
    /// dropped is resumed at the end of the run.
    ///
    /// # Cancel safety
    ///
    /// Dropped by foreign code after it was first polled, the future is moved to the root of the run, which waits for
    /// it; its value is dropped. Never polled, it is dropped with its owner.
    pub fn owned(self) -> ShieldOwned<F::Output>
    where
        F: Send + 'static,
        F::Output: Send + 'static,
    {
        self.scoped.assert_unpolled();
        ShieldOwned::new(default_name::<F>(), self)
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

pin_project! {
    /// The future of [`Shield::within`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ShieldWithin<F> {
        #[pin]
        shield: Shield<Graced<F>>,
    }
}

impl<F: Future> ShieldWithin<F> {
    /// Survives its owner; as [`Shield::owned`].
    ///
    /// # Panics, cancel safety
    ///
    /// As [`Shield::owned`].
    pub fn owned(self) -> ShieldOwned<Option<F::Output>>
    where
        F: Send + 'static,
        F::Output: Send + 'static,
    {
        self.shield.scoped.assert_unpolled();
        ShieldOwned::new(default_name::<F>(), self.shield)
    }
}

impl<F: Future> Future for ShieldWithin<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().shield.poll(cx)
    }
}

pin_project! {
    /// What tells when a grace is over.
    struct Graced<F> {
        #[pin]
        limited: MoveOnAfter<F>,
        opened: &'static Location<'static>,
        grace: Duration,
        told: bool,
    }
}

impl<F: Future> Future for Graced<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let polled = this.limited.as_mut().poll(cx);
        let over = matches!(polled, Poll::Ready(None)) || polled.is_pending() && this.limited.is_over();
        if over && !std::mem::replace(this.told, true) {
            tracing::warn!(
                target: "anyrt::grace",
                grace = ?this.grace,
                opened = %this.opened,
                held = polled.is_pending(),
                "a shield or clean-up has not ended within its grace, and is cancelled"
            );
        }
        polled
    }
}

impl<F> fmt::Debug for ShieldWithin<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShieldWithin").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for Shield<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").finish_non_exhaustive()
    }
}
