//! The order of cancellations and of what is handed over.

use crate::base::sync::atomic::{AtomicU64, Ordering};

crate::base::sync::global! {
    /// How many cancellations have begun, in the whole program.
    pub(super) static BEGUN: AtomicU64 = AtomicU64::new(0);
}

/// A moment between two cancellations.
///
/// A giver notes the moment with what it gives; a node notes it when it is cancelled. What was given before a
/// cancellation began has a smaller number than every node that this has cancelled; what is given after the
/// cancellation has returned has not. So a waiter knows which came first, without any exchange between giver
/// and canceller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Before everything.
    pub(crate) const FIRST: Moment = Moment(0);

    /// The moment of something given now, or cancelled now.
    #[inline]
    pub(crate) fn now() -> Moment {
        Moment(BEGUN.load(Ordering::Acquire))
    }

    /// A cancellation begins: before any node is marked.
    pub(super) fn begin_cancelling() {
        BEGUN.fetch_add(1, Ordering::AcqRel);
    }
}
