//! [`Sequencer`]: the steps of several tasks in one order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::current::gate::leaf;
use crate::tree::site::Called;

/// Makes several tasks take steps in one order, for tests (Trio: `Sequencer`). Cheap to clone.
///
/// ```
/// # async fn demo() {
/// use anyrt_core::{Sequencer, task_group};
///
/// let sequence = Sequencer::new();
/// task_group(async |tg| {
///     let of_child = sequence.clone();
///     tg.spawn(async move {
///         of_child.at(1).await; // second
///     });
///     sequence.at(0).await; // first
///     sequence.at(2).await; // third
/// })
/// .await
/// .unwrap();
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Sequencer(Arc<Mutex<SequenceState>>);

#[derive(Default)]
struct SequenceState {
    /// The step whose turn it is.
    next: usize,
    /// The steps that were taken, or are waited for.
    used: BTreeSet<usize>,
    waiting: BTreeMap<usize, Waker>,
    /// A step that was given up before its turn: no later step will ever come.
    broken: Option<usize>,
}

impl Sequencer {
    /// A sequence whose first step is 0.
    pub fn new() -> Sequencer {
        Sequencer::default()
    }

    /// Waits until all earlier steps are done. The next one may begin when the [`Step`] is dropped: at once, if
    /// it is not kept.
    ///
    /// # Panics
    ///
    /// When a step is taken twice, naming the caller; when an earlier step was cancelled before its turn,
    /// because then this one could never come.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its turn, it breaks the sequence: all later steps panic.
    #[track_caller]
    pub fn at(&self, step: usize) -> Stepping {
        let called = Location::caller();
        let fresh = self.0.lock().used.insert(step);
        assert!(fresh, "step {step} of the sequence is taken a second time, at {called}");
        Stepping { sequence: self.clone(), step, called, taken: false }
    }
}

impl fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sequencer").field("next", &self.0.lock().next).finish_non_exhaustive()
    }
}

/// The future of [`Sequencer::at`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Stepping {
    sequence: Sequencer,
    step: usize,
    called: Called,
    taken: bool,
}

impl Future for Stepping {
    type Output = Step;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Step> {
        let step = self.step;
        let polled = leaf(true, self.called, cx, |cx| {
            let new = cx.waker().clone();
            let mut state = self.sequence.0.lock();
            if let Some(broken) = state.broken {
                drop(state);
                panic!(
                    "step {step} of the sequence never comes: step {broken} was cancelled before its turn"
                );
            }
            if state.next == step {
                return Poll::Ready(());
            }
            let old = state.waiting.insert(step, new);
            drop(state);
            drop(old);
            Poll::Pending
        });
        polled.map(|()| {
            self.taken = true;
            Step { sequence: self.sequence.clone() }
        })
    }
}

impl Drop for Stepping {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut wakes = WakeList::default();
        {
            let mut state = self.sequence.0.lock();
            state.broken.get_or_insert(self.step);
            for (_, waker) in std::mem::take(&mut state.waiting) {
                wakes.push(waker);
            }
        }
        wakes.wake();
    }
}

/// A step that is being taken; dropped, it is done.
#[derive(Debug)]
pub struct Step {
    sequence: Sequencer,
}

impl Drop for Step {
    fn drop(&mut self) {
        let next = {
            let mut state = self.sequence.0.lock();
            state.next += 1;
            let next = state.next;
            state.waiting.remove(&next)
        };
        if let Some(next) = next {
            next.wake();
        }
    }
}
