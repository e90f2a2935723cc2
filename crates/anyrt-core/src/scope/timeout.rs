//! Time limits: `move_on_after`, `fail_after`, and the same with an instant.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use std::{fmt, io};

use pin_project_lite::pin_project;

use super::scoped::{Ending, Outer, Scoped};
use crate::base::clock;
use crate::current::context::Place;
use crate::tree::lazy::Lazy;
use crate::tree::site::Called;
use crate::tree::{Cancelled, NEVER, ScopeKind};

/// Runs `future` for at most `limit`; `None` when the time ran out before it had ended.
///
/// The time counts from the first poll, with one read of the clock; a future that is ready at once
/// costs no timer. `None` for `limit` never fires, zero fires at the first checkpoint.
///
/// # Panics
///
/// When polled outside of any runtime.
///
/// # Cancel safety
///
/// Dropped by foreign code, `future` is dropped with it.
#[inline]
#[track_caller]
pub fn move_on_after<F: Future>(limit: impl Into<Option<Duration>>, future: F) -> MoveOnAfter<F> {
    MoveOnAfter::new(Location::caller(), limit.into(), NEVER, future)
}

/// As [`move_on_after`], with an instant on the runtime's clock.
#[inline]
#[track_caller]
pub fn move_on_at<F: Future>(deadline: impl Into<Option<Instant>>, future: F) -> MoveOnAfter<F> {
    let deadline = deadline.into().map_or(NEVER, clock::to_u64);
    MoveOnAfter::new(Location::caller(), None, deadline, future)
}

/// Runs `future` for at most `limit`, else fails with [`TimedOut`].
///
/// Otherwise as [`move_on_after`]. Whether it timed out is decided by what cancelled it, not by
/// looking at the clock afterwards.
#[track_caller]
pub fn fail_after<F: Future>(limit: impl Into<Option<Duration>>, future: F) -> FailAfter<F> {
    FailAfter { inner: move_on_after(limit, future), reason: None }
}

/// As [`fail_after`], with an instant on the runtime's clock.
#[track_caller]
pub fn fail_at<F: Future>(deadline: impl Into<Option<Instant>>, future: F) -> FailAfter<F> {
    FailAfter { inner: move_on_at(deadline, future), reason: None }
}

pin_project! {
    /// The future of [`move_on_after`] and [`move_on_at`].
    #[must_use = "futures do nothing unless polled"]
    pub struct MoveOnAfter<F> {
        // The time that counts from the first poll; taken then.
        after: Option<Duration>,
        #[pin]
        scoped: Scoped<F>,
    }
}

impl<F: Future> MoveOnAfter<F> {
    #[inline]
    fn new(opened: Called, after: Option<Duration>, deadline: u64, future: F) -> Self {
        let lazy = Lazy { deadline, ..Lazy::at(ScopeKind::Timeout, opened) };
        MoveOnAfter { after, scoped: Scoped::new(lazy, future) }
    }

    /// For a construct that was opened there.
    pub(super) fn opened_at(opened: Called, limit: Duration, future: F) -> Self {
        MoveOnAfter::new(opened, Some(limit), NEVER, future)
    }

    /// Whether its deadline has cancelled it.
    pub(super) fn is_over(self: Pin<&mut Self>) -> bool {
        match &self.project().scoped.seat().place {
            Place::Linked(node) => node.node().is_own_cancelled(),
            Place::Lazy(_) => false,
        }
    }

    fn poll_ending(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending<F::Output>> {
        let mut this = self.project();
        if let Some(after) = this.after.take() {
            this.scoped.as_mut().seat().limit(after);
        }
        this.scoped.poll_to_end(cx, Outer::Returns)
    }
}

impl<F: Future> Future for MoveOnAfter<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_ending(cx).map(|ending| match ending {
            Ending::Value(value) => Some(value),
            Ending::Cancelled(_) => None,
        })
    }
}

pin_project! {
    /// The future of [`fail_after`] and [`fail_at`].
    #[must_use = "futures do nothing unless polled"]
    pub struct FailAfter<F> {
        #[pin]
        inner: MoveOnAfter<F>,
        reason: Option<Box<str>>,
    }
}

impl<F> FailAfter<F> {
    /// The reason that the error tells.
    pub fn reason(mut self, reason: &str) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

impl<F: Future> Future for FailAfter<F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll_ending(cx).map(|ending| match ending {
            Ending::Value(value) => Ok(value),
            Ending::Cancelled(cancelled) => Err(TimedOut { cancelled, reason: this.reason.take() }),
        })
    }
}

/// The error of [`fail_after`]: the deadline passed before the future had ended.
#[derive(Debug, Clone)]
pub struct TimedOut {
    cancelled: Cancelled,
    reason: Option<Box<str>>,
}

impl TimedOut {
    /// The reason given with [`FailAfter::reason`].
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The cancellation behind it: which deadline, set where.
    pub fn cancelled(&self) -> &Cancelled {
        &self.cancelled
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out: {}", self.cancelled)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TimedOut {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cancelled)
    }
}

impl From<TimedOut> for io::Error {
    fn from(timed_out: TimedOut) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, timed_out)
    }
}

impl<F> fmt::Debug for MoveOnAfter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = self.scoped.opened().map(tracing::field::display);
        f.debug_struct("MoveOnAfter").field("opened", &opened).finish()
    }
}

impl<F> fmt::Debug for FailAfter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailAfter").field("reason", &self.reason).finish_non_exhaustive()
    }
}
