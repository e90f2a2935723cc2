//! Timers: tokio's `Sleep`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};

pin_project! {
    /// A timer.
    #[derive(Debug)]
    pub(crate) struct Timer {
        #[pin]
        sleep: Sleep,
        elapsed: bool,
        // tokio panics when a timer is polled after its runtime has ended: such a timer stays pending.
        ended: Option<Arc<AtomicBool>>,
    }
}

impl Timer {
    /// A timer for `deadline` on the runtime of `handle`; `ended` is set when that runtime ends.
    pub(crate) fn new(handle: &Handle, deadline: Instant, ended: Option<Arc<AtomicBool>>) -> Timer {
        let _entered = handle.enter();
        Timer { sleep: sleep_until(roundable(deadline)), elapsed: false, ended }
    }
}

impl anyrt_core::Timer for Timer {
    fn reset(self: Pin<&mut Self>, deadline: Instant) {
        let this = self.project();
        *this.elapsed = false;
        this.sleep.reset(roundable(deadline));
    }

    fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if *this.elapsed {
            return Poll::Ready(());
        }
        if this.ended.as_ref().is_some_and(|ended| ended.load(Ordering::Acquire)) {
            return Poll::Pending;
        }
        // Unconstrained, or work that always uses the budget up would never see its deadline pass.
        ready!(pin!(coop::unconstrained(this.sleep)).poll(cx));
        *this.elapsed = true;
        Poll::Ready(())
    }
}

/// `deadline`, or the last instant that tokio can still round up to its next millisecond.
fn roundable(deadline: Instant) -> tokio::time::Instant {
    const TICK: Duration = Duration::from_millis(1);
    match deadline.checked_add(TICK) {
        Some(_) => deadline.into(),
        None => (deadline - TICK).into(),
    }
}
