//! Timers: those of async-io, the reactor.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// A timer.
#[derive(Debug)]
pub(crate) struct Timer {
    timer: async_io::Timer,
    // async-io's timer tells once, and is pending after that.
    elapsed: bool,
}

impl Timer {
    /// A timer for `deadline`.
    pub(crate) fn new(deadline: Instant) -> Timer {
        Timer { timer: async_io::Timer::at(deadline), elapsed: false }
    }
}

impl anyrt_core::Timer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.elapsed = false;
        self.timer.set_at(deadline);
    }

    fn poll_elapsed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.elapsed {
            ready!(Pin::new(&mut self.timer).poll(cx));
            self.elapsed = true;
        }
        Poll::Ready(())
    }
}
