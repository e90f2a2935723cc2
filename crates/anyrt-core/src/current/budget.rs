//! How many leaves may be ready one after the other before other tasks of the thread get a turn.
//!
//! What is free is taken without a yield. So a task whose awaits are all ready would keep its thread, and on a
//! runtime of one thread the other tasks would wait for ever. Each leaf that is ready in a poll of a task is
//! counted. Once [`READY`] of them were, the next leaf that is about to act is pending instead, once, and wakes
//! its own task: as at a [`checkpoint`](crate::checkpoint()). The count begins anew there, not only with the
//! next poll of the task: of two loops in one task, each gives way to the other.
//!
//! A leaf asks here last: what was handed over before is returned, a waiter in a queue keeps its place, and a
//! cancelled scope comes first. `checkpoint()`, `checkpoint_if_cancelled()` and `yield_shielded()` decide
//! themselves when they yield: they are not counted, and never delayed.
//!
//! Outside of the poll of a task nothing is counted: there `now_or_never()` of a free lock takes it.

use std::cell::Cell;
use std::task::Waker;

/// The same as tokio's budget.
const READY: u8 = 128;

/// Not counted: no task is polled here.
const NO_END: u8 = u8::MAX;

crate::base::sync::thread_local! {
    // How many more leaves may be ready.
    static LEFT: Cell<u8> = const { Cell::new(NO_END) };
}

/// The poll of a task begins. Returns the budget of the poll around it, for [`end`].
#[inline]
pub(crate) fn begin() -> u8 {
    LEFT.with(|left| left.replace(READY))
}

/// The poll of a task has ended.
#[inline]
pub(crate) fn end(around: u8) {
    LEFT.with(|left| left.set(around));
}

/// A leaf is ready.
#[inline]
pub(crate) fn spend() {
    LEFT.with(|left| match left.get() {
        NO_END => (),
        some => left.set(some.saturating_sub(1)),
    });
}

/// Whether a leaf that could act now has to wait for the next poll. If so, that poll has been asked for.
#[inline]
pub(crate) fn is_spent(waker: &Waker) -> bool {
    let spent = LEFT.with(|left| left.get() == 0);
    if spent {
        give_way(waker);
    }
    spent
}

#[cold]
fn give_way(waker: &Waker) {
    LEFT.with(|left| left.set(READY));
    waker.wake_by_ref();
}

#[cfg(all(test, not(anyrt_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_poll_inside_another_has_its_own_and_outside_there_is_none() {
        let waker = Waker::noop();
        (0..1000).for_each(|_| spend());
        assert!(!is_spent(waker), "no task is polled");
        let around = begin();
        (0..READY).for_each(|_| spend());
        let inner = begin();
        assert!(!is_spent(waker), "another task");
        end(inner);
        assert!(is_spent(waker) && !is_spent(waker), "once");
        end(around);
        assert_eq!(LEFT.get(), NO_END);
    }
}
