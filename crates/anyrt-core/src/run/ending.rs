//! The end of a run: the root is told to stop, then cancelled, then waited for, each for as long as was asked for.

use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::unfinished::Unfinished;
use crate::base::sync::Arc;
use crate::current::handle::Handle;
use crate::current::runtime::Timer;
use crate::group::{Failures, GroupState};
use crate::tree::{self, Cancelled, Cause};

/// How long the phases of the end may take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EndsWithin {
    /// From the end of the main future to the cancellation.
    pub(crate) grace: Option<Duration>,
    /// From the cancellation to the end of the last task.
    pub(crate) timeout: Option<Duration>,
}

/// The end of a run on its way.
pub(super) struct Ending {
    timeout: Option<Duration>,
    /// Of the phase that it is in; none where that takes as long as it takes.
    timer: Option<Pin<Box<dyn Timer>>>,
    /// The cancellation to come, while the root is only told to stop.
    told: Option<Cancelled>,
    late: Late,
}

/// What tells that the end takes long, once.
enum Late {
    NotYet,
    Waits(Pin<Box<dyn Timer>>),
    Told,
}

impl Ending {
    /// The main future has ended.
    #[track_caller]
    pub(super) fn begin(handle: &Handle, root: &Arc<GroupState>) -> Ending {
        let EndsWithin { grace, timeout } = handle.0.shared.ends_within;
        let mut ending = Ending { timeout, timer: None, told: None, late: Late::NotYet };
        match grace.filter(|grace| !grace.is_zero()) {
            Some(grace) => {
                let story = Cancelled::when_over(Cause::Shutdown, grace, None, Location::caller());
                tree::stop(&root.as_node(), grace, Some(handle.now()), story.clone());
                ending.told = Some(story);
                ending.timer = timer(handle, grace);
            }
            None => {
                root.cancel_for(Cause::Shutdown);
                ending.wait(handle);
            }
        }
        ending
    }

    /// What came of the root: all of it, or, when the time is over, so far.
    pub(super) fn poll(
        &mut self,
        handle: &Handle,
        root: &Arc<GroupState>,
        cx: &mut Context<'_>,
    ) -> Poll<(Failures, Option<Unfinished>)> {
        loop {
            if let Some(failures) = root.close_or_wait(cx.waker()) {
                return Poll::Ready((failures, None));
            }
            if self.told.is_none() {
                self.watch(handle, cx);
            }
            let Some(timer) = &mut self.timer else { return Poll::Pending };
            if timer.as_mut().poll_elapsed(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if let Some(story) = self.told.take() {
                tree::cancel(&root.as_node(), || story);
                self.wait(handle);
            } else if let Some(timeout) = self.timeout {
                let unfinished = Unfinished::at(root, timeout);
                tracing::warn!(
                    target: "anyrt::unfinished",
                    "the run has not ended {timeout:?} after it was cancelled, and goes without:\n{}", handle.tasks()
                );
                return Poll::Ready((root.failures_so_far(), Some(unfinished)));
            }
        }
    }

    /// Tells of an end that takes as long as a scope may be held without a warning.
    fn watch(&mut self, handle: &Handle, cx: &mut Context<'_>) {
        let after = handle.0.shared.held_warning;
        if let Late::NotYet = self.late {
            self.late = timer(handle, after).map_or(Late::Told, Late::Waits);
        }
        if let Late::Waits(timer) = &mut self.late
            && timer.as_mut().poll_elapsed(cx).is_ready()
        {
            self.late = Late::Told;
            tracing::warn!(
                target: "anyrt::unfinished",
                "the run has not ended {after:?} after it was cancelled, and waits for:\n{}", handle.tasks()
            );
        }
    }

    /// All is cancelled: what is left has this long.
    fn wait(&mut self, handle: &Handle) {
        self.timer = self.timeout.and_then(|timeout| timer(handle, timeout));
    }
}

/// None where no clock gets that far.
fn timer(handle: &Handle, after: Duration) -> Option<Pin<Box<dyn Timer>>> {
    handle.now().checked_add(after).map(|at| handle.runtime().timer(at))
}
