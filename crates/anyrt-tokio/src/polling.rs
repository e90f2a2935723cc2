//! Is tokio polling something on this thread?

use std::task::{Context, Poll, Waker};

use tokio::task::coop;

/// Whether tokio is polling a task, or the future of a `block_on`, on this thread right now: where
/// blocking would stop tokio, and where tokio itself refuses a nested `block_on`.
///
/// False on a thread on which tokio is merely entered, inside `spawn_blocking`, and inside
/// `block_in_place`: blocking is allowed there. Of any tokio runtime, not only of ours.
///
/// # Limits
///
/// tokio does not tell. But it gives each such poll a cooperative budget, and nothing else has one, so
/// this finds out whether there is one to spend, and gives it back. What runs inside
/// `tokio::task::unconstrained` therefore goes unnoticed; a nested `block_on` of tokio panics there
/// with tokio's own message. The check costs up to some hundred nanoseconds: it is for the start of a
/// run, not for a hot path.
///
/// # Examples
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// assert!(!anyrt_tokio::polling());
/// runtime.block_on(async { assert!(anyrt_tokio::polling()) });
///
/// let _entered = runtime.enter();
/// assert!(!anyrt_tokio::polling());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn polling() -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    // Dropped at the end, this restores the budget to what it was before.
    let Poll::Ready(_restore) = coop::poll_proceed(&mut cx) else { return true };
    (0..=LARGEST_BUDGET).any(|_| match coop::poll_proceed(&mut cx) {
        Poll::Ready(spent) => {
            spent.made_progress();
            false
        }
        Poll::Pending => true,
    })
}

/// tokio counts the budget in a byte, and starts at 128.
const LARGEST_BUDGET: u32 = u8::MAX as u32;
