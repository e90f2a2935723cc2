//! Where a child leaves its result for the handle that observes it.

use std::task::{Context, Poll, Waker};

use super::ended::TaskEnded;
use super::status::TaskStatus;
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
    Taken(TaskStatus),
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
            State::Unobserved | State::Ended(_) | State::Taken(_) => {
                *state = State::Taken(TaskStatus::of(&result));
                drop(state);
                Err(result)
            }
        }
    }

    /// The handle is gone. The result, if it was there and nobody had taken it.
    pub(crate) fn abandon(&self) -> Option<Result<T, TaskEnded>> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Unobserved) {
            State::Running(waker) => {
                drop(state);
                drop(waker);
                None
            }
            State::Ended(result) => Some(result),
            State::Unobserved | State::Taken(_) => None,
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
            State::Ended(result) => {
                let status = TaskStatus::of(result);
                match std::mem::replace(&mut *state, State::Taken(status)) {
                    State::Ended(result) => Some(result),
                    _ => None,
                }
            }
            State::Taken(_) => {
                drop(state);
                panic!("a task's handle was polled again after it was ready")
            }
            State::Running(_) | State::Unobserved => None,
        }
    }

    /// Takes the result, or remembers whom to wake when it comes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskEnded>> {
        let new = cx.waker().clone();
        let mut state = self.0.lock();
        if let State::Running(waker) = &mut *state {
            let old = waker.replace(new);
            drop(state);
            drop(old);
            return Poll::Pending;
        }
        drop(state);
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Leaves the result where it is; remembers whom to wake when it comes.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<TaskStatus> {
        let new = cx.waker().clone();
        let mut state = self.0.lock();
        let (old, polled) = match &mut *state {
            State::Running(waker) => (waker.replace(new), Poll::Pending),
            State::Ended(result) => (Some(new), Poll::Ready(TaskStatus::of(result))),
            State::Taken(status) => (Some(new), Poll::Ready(*status)),
            State::Unobserved => (Some(new), Poll::Pending),
        };
        drop(state);
        drop(old);
        polled
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<TaskStatus> {
        match &*self.0.lock() {
            State::Ended(result) => Some(TaskStatus::of(result)),
            State::Taken(status) => Some(*status),
            State::Running(_) | State::Unobserved => None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.status().is_some()
    }
}
