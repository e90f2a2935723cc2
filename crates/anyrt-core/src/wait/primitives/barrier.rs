//! [`Barrier`]: a number of tasks that wait for each other.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::base::sync::{self, Arc};
use crate::base::wake_list::WakeList;
use crate::wait::queue::{Queue, Supply, Take, Ticket};

/// A point that tasks pass together: each waits there until `size` have come. Cheap to clone, and used
/// again and again.
///
/// A task that is cancelled while it waits has not come: the others wait for one more. async-lock's barrier
/// counts it, so the others pass without it.
///
/// ```
/// # futures::executor::block_on(async {
/// use anyrt_core::{Barrier, join};
///
/// let barrier = Barrier::new(2);
/// let (one, two) = join(barrier.wait(), barrier.wait()).await;
/// assert!(one.is_leader() != two.is_leader());
/// # });
/// ```
#[derive(Clone)]
pub struct Barrier(Arc<sync::Mutex<BarrierState>>);

struct BarrierState {
    size: usize,
    /// Fewer than `size`, not counting waiters whose scope is cancelled.
    waiting: Queue<BarrierWaitResult>,
}

/// What [`Barrier::wait`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarrierWaitResult {
    leader: bool,
}

impl BarrierWaitResult {
    /// Whether this was the one that came last; there is one in each round.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

impl Barrier {
    /// A barrier for `size` tasks at a time. Zero is the same as one: no task waits.
    pub fn new(size: usize) -> Barrier {
        Barrier(Arc::new(sync::Mutex::new(BarrierState { size, waiting: Queue::new() })))
    }

    /// Waits until as many tasks have come as the barrier is for. A checkpoint: a task in a cancelled scope has
    /// not come.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it has not come; once the last has come, all pass.
    #[track_caller]
    pub fn wait(&self) -> BarrierFuture {
        BarrierFuture { take: Take::new(Passage(self.clone()), Location::caller()) }
    }

    /// For how many tasks the barrier is.
    pub fn size(&self) -> usize {
        self.0.lock().size
    }

    /// How many tasks wait there.
    pub fn waiting(&self) -> usize {
        self.0.lock().waiting.len()
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Barrier").field("size", &state.size).field("waiting", &state.waiting.len()).finish()
    }
}

/// The future of [`Barrier::wait`].
#[must_use = "futures do nothing unless polled"]
pub struct BarrierFuture {
    take: Take<Passage>,
}

impl Future for BarrierFuture {
    type Output = BarrierWaitResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        self.take.poll_take(cx)
    }
}

impl fmt::Debug for BarrierFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BarrierFuture").field(&self.take).finish()
    }
}

struct Passage(Barrier);

impl Supply for Passage {
    type Item = BarrierWaitResult;

    fn take_or_join(
        &self,
        ticket: &Arc<Ticket<BarrierWaitResult>>,
        first: bool,
    ) -> Option<BarrierWaitResult> {
        let mut wakes = WakeList::default();
        {
            let mut state = self.0.0.lock();
            if state.waiting.live(usize::MAX) + 1 < state.size {
                state.waiting.join(ticket.clone(), first);
                return None;
            }
            state.waiting.answer_all(|| BarrierWaitResult { leader: false }, &mut wakes);
        }
        wakes.wake();
        Some(BarrierWaitResult { leader: true })
    }

    fn leave(&self, ticket: &Arc<Ticket<BarrierWaitResult>>) {
        // The result is dropped: that all have passed is for this waiter alone.
        let _ = self.0.0.lock().waiting.remove(ticket);
    }
}
