//! Where a child leaves its result for the handle that observes it.

use std::task::{Context, Poll, Waker};

use super::ended::TaskEnded;
use crate::sync::Mutex;

/// The result of a child, from whichever thread, for at most one waiter.
pub(crate) struct Slot<T>(Mutex<State<T>>);

enum State<T> {
    /// Not there yet; the waiter's waker.
    Running(Option<Waker>),
    /// Not there yet, and nobody will ask.
    Unobserved,
    Ended(Result<T, TaskEnded>),
    /// The handle has it, or nobody wanted it.
    Taken,
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Slot<T> {
        Slot(Mutex::new(State::Running(None)))
    }

    /// Leaves the result. Given back when nobody will ask for it; else the waker of who waits.
    pub(crate) fn fill(&self, result: Result<T, TaskEnded>) -> Result<Option<Waker>, Result<T, TaskEnded>> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Running(waker) => {
                let waker = waker.take();
                *state = State::Ended(result);
                Ok(waker)
            }
            State::Unobserved | State::Ended(_) | State::Taken => {
                *state = State::Taken;
                drop(state);
                Err(result)
            }
        }
    }

    /// The handle is gone. The result, if it was there and nobody had taken it.
    pub(crate) fn abandon(&self) -> Option<Result<T, TaskEnded>> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Running(waker) => {
                *state = State::Unobserved;
                drop(state);
                drop(waker);
                None
            }
            State::Ended(result) => Some(result),
            State::Unobserved | State::Taken => None,
        }
    }

    /// Takes the result, if it is there.
    ///
    /// # Panics
    ///
    /// When it was taken before.
    pub(crate) fn take(&self) -> Option<Result<T, TaskEnded>> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Ended(_) => match std::mem::replace(&mut *state, State::Taken) {
                State::Ended(result) => Some(result),
                _ => None,
            },
            State::Taken => {
                drop(state);
                panic!("a task's handle was polled again after it was ready")
            }
            State::Running(_) | State::Unobserved => None,
        }
    }

    /// Takes the result, or remembers whom to wake when it comes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskEnded>> {
        let new = cx.waker().clone();
        if let Some(result) = self.take() {
            return Poll::Ready(result);
        }
        let old = match &mut *self.0.lock() {
            State::Running(waker) => waker.replace(new),
            _ => Some(new),
        };
        drop(old);
        // It may have come in between.
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(&*self.0.lock(), State::Ended(_) | State::Taken)
    }
}
