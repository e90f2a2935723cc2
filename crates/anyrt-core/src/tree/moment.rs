//! The order of cancellations and of what is handed over.

use crate::base::sync::atomic::{AtomicU64, Ordering};

crate::base::sync::global! {
    /// How many cancellations have begun, in the whole program.
    pub(super) static BEGUN: AtomicU64 = AtomicU64::new(0);
}

/// A moment between two cancellations.
///
/// A giver notes it with what it gives, a node when it is cancelled. What was given before a cancellation began
/// has a smaller one than each node that this has cancelled; what is given after it has returned has not. So a
/// waiter knows which was first, without a word between giver and canceller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    /// Before everything.
    pub(crate) const FIRST: Moment = Moment(0);

    /// What is given now, or cancelled now.
    #[inline]
    pub(crate) fn now() -> Moment {
        Moment(BEGUN.load(Ordering::Acquire))
    }

    /// A cancellation begins: before any node is marked.
    pub(super) fn begin_cancelling() {
        BEGUN.fetch_add(1, Ordering::AcqRel);
    }
}
