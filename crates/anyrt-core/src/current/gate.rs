//! The gate: what each leaf asks before it acts, and how it is polled.

use std::task::{Context, Poll, Waker};

use super::{budget, context};
use crate::base::clock::NEVER;
use crate::testing;
use crate::tree::site::{self, Called};
use crate::tree::{self, Park};

/// The answer of [`gate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Stay pending: the scope is cancelled. A waiter in a queue leaves it.
    Shut,
}

/// Whether a leaf may go on. A leaf asks this each time before it acts.
///
/// `takes`: the leaf would take or change something (a lock, a token, an item, a connection). A leaf that only
/// waits goes on while something holds its scope, because the hold may depend on it.
///
/// `called`: the place that the task view shows while the leaf is pending. A leaf that can be ready runs inside
/// [`leaf`], or takes the note back itself, and asks the [budget] where it is about to act.
pub(crate) fn gate(takes: bool, called: Called, waker: &Waker) -> Gate {
    site::note(called);
    let (mut cancelled, deadline) = context::view();
    if !cancelled && deadline == NEVER {
        return Gate::Open;
    }
    testing::passed();
    if !cancelled
        && let Some(now) = context::try_now()
        && now >= deadline
        && let Some(top) = context::top()
    {
        tree::expire(&top, now);
        cancelled = top.node().is_cancelled();
    }
    if !cancelled {
        return Gate::Open;
    }
    let Some(top) = context::top() else { return Gate::Open };
    match top.node().park(waker) {
        Park::Parked => Gate::Shut,
        Park::Held if takes && top.node().shut(waker) => Gate::Shut,
        Park::Held | Park::Free => Gate::Open,
    }
}

/// Runs a leaf that was called at `called`: `act` is called only where the gate is open, see [`gate`], and the
/// [budget] is not spent.
#[inline]
pub(crate) fn leaf<T>(
    takes: bool,
    called: Called,
    cx: &mut Context<'_>,
    act: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    handed(takes, called, cx, |cx, gate| match gate {
        Gate::Open => act(cx),
        Gate::Shut => Poll::Pending,
    })
}

/// As [`leaf`], for a leaf that may have been handed something while it waited. `act` is called at a shut gate
/// too, and is ready there only with what came [before the cancellation](context::is_in_time). It looks after
/// the gate was asked: from then on nothing is handed to this leaf.
#[inline]
pub(crate) fn handed<T>(
    takes: bool,
    called: Called,
    cx: &mut Context<'_>,
    act: impl FnOnce(&mut Context<'_>, Gate) -> Poll<T>,
) -> Poll<T> {
    let before = site::noted();
    let gate = gate(takes, called, cx.waker());
    let yields = gate == Gate::Open && budget::is_spent(cx.waker());
    let polled = if yields { Poll::Pending } else { act(cx, gate) };
    if polled.is_ready() {
        site::take_back(before);
        budget::spend();
    } else if gate == Gate::Open {
        site::asks();
    }
    polled
}

/// As [`leaf`], for a leaf that decides itself when it yields.
#[inline]
pub(crate) fn uncounted<T>(
    takes: bool,
    called: Called,
    cx: &mut Context<'_>,
    act: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    let before = site::noted();
    if gate(takes, called, cx.waker()) == Gate::Shut {
        return Poll::Pending;
    }
    let polled = act(cx);
    if polled.is_ready() {
        site::take_back(before);
    } else {
        site::asks();
    }
    polled
}
