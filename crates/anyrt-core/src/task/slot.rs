//! Where a child leaves its result for the handle that observes it.

use std::task::{Context, Poll, Waker};

use super::ended::TaskEnded;
use super::status::TaskStatus;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU8, Ordering};
use crate::tree::moment::Moment;

/// The result of a child, from whichever thread, for at most one waiter.
pub(crate) struct Slot<T> {
    /// How far it is: written under the lock, but for `RUNNING` to `UNOBSERVED`, so that a handle that
    /// nobody keeps costs one exchange, and the end of its child none.
    stage: AtomicU8,
    state: Mutex<State<T>>,
}

/// That nobody has the handle any more: without it each result is filled in.
pub(crate) struct Unobserved(());

/// No result yet, and nobody has asked.
const RUNNING: u8 = 0;
/// No result yet; somebody has asked, and left a waker.
const AWAITED: u8 = 1;
/// Nobody will ask.
const UNOBSERVED: u8 = 2;
/// The result is there.
const ENDED: u8 = 3;
/// The handle has it.
const TAKEN: u8 = 4;

enum State<T> {
    /// Not there yet; the waiter's waker.
    Running(Option<Waker>),
    Ended(Result<T, TaskEnded>, Moment),
    /// The handle has it.
    Taken(TaskStatus, Moment),
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Slot<T> {
        Slot { stage: AtomicU8::new(RUNNING), state: Mutex::new(State::Running(None)) }
    }

    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire)
    }

    /// Goes from one stage to another without the lock.
    fn step(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// That nobody will ask for the result, if it is so.
    pub(crate) fn unobserved(&self) -> Option<Unobserved> {
        (!self.is_observed()).then_some(Unobserved(()))
    }

    /// Whether somebody may ask for the result.
    pub(crate) fn is_observed(&self) -> bool {
        self.stage() != UNOBSERVED
    }

    /// Leaves the result. Given back when nobody will ask for it; else the waker of who waits.
    pub(crate) fn fill(&self, result: Result<T, TaskEnded>) -> Result<Option<Waker>, Result<T, TaskEnded>> {
        if !self.is_observed() {
            return Err(result);
        }
        let mut state = self.state.lock();
        match &mut *state {
            State::Running(waker) if self.end() => {
                let waker = waker.take();
                *state = State::Ended(result, Moment::now());
                Ok(waker)
            }
            _ => {
                drop(state);
                Err(result)
            }
        }
    }

    /// Under the lock; whether somebody may ask.
    fn end(&self) -> bool {
        // A handle that has asked has left a waker, and lets go of it under the lock too.
        let awaited = self.stage() == AWAITED;
        if awaited {
            self.stage.store(ENDED, Ordering::Release);
        }
        awaited || self.step(RUNNING, ENDED)
    }

    /// The handle is gone. The result, if it was there and nobody had taken it.
    pub(crate) fn abandon(&self) -> Option<Result<T, TaskEnded>> {
        if self.stage() == TAKEN || self.step(RUNNING, UNOBSERVED) {
            return None;
        }
        let mut state = self.state.lock();
        self.stage.store(UNOBSERVED, Ordering::Release);
        match std::mem::replace(&mut *state, State::Running(None)) {
            State::Running(waker) => {
                drop(state);
                drop(waker);
                None
            }
            State::Ended(result, _) => Some(result),
            State::Taken(..) => None,
        }
    }

    /// Takes the result, if it is there.
    ///
    /// # Panics
    ///
    /// When it was taken before.
    pub(crate) fn take(&self) -> Option<Result<T, TaskEnded>> {
        if self.stage() < ENDED {
            return None;
        }
        let mut state = self.state.lock();
        match &mut *state {
            State::Ended(result, at) => {
                let (status, at) = (TaskStatus::of(result), *at);
                self.stage.store(TAKEN, Ordering::Release);
                match std::mem::replace(&mut *state, State::Taken(status, at)) {
                    State::Ended(result, _) => Some(result),
                    _ => None,
                }
            }
            State::Taken(..) => {
                drop(state);
                panic!("a task's handle was polled again after it was ready")
            }
            State::Running(_) => None,
        }
    }

    /// Takes the result, or remembers whom to wake when it comes.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskEnded>> {
        if self.register(cx.waker()) { Poll::Pending } else { self.take().map_or(Poll::Pending, Poll::Ready) }
    }

    /// Leaves the result where it is; remembers whom to wake when it comes.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<TaskStatus> {
        if self.register(cx.waker()) {
            Poll::Pending
        } else {
            self.status().map_or(Poll::Pending, Poll::Ready)
        }
    }

    /// Remembers whom to wake, unless it has ended.
    fn register(&self, waker: &Waker) -> bool {
        if self.stage() >= ENDED {
            return false;
        }
        let new = waker.clone();
        let mut state = self.state.lock();
        let (old, registered) = match &mut *state {
            State::Running(waker) => {
                self.stage.store(AWAITED, Ordering::Release);
                (waker.replace(new), true)
            }
            State::Ended(..) | State::Taken(..) => (Some(new), false),
        };
        drop(state);
        drop(old);
        registered
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<TaskStatus> {
        if self.stage() < ENDED {
            return None;
        }
        match &*self.state.lock() {
            State::Ended(result, _) => Some(TaskStatus::of(result)),
            State::Taken(status, _) => Some(*status),
            State::Running(_) => None,
        }
    }

    /// When it ended, if it has.
    pub(crate) fn ended_at(&self) -> Option<Moment> {
        match &*self.state.lock() {
            State::Ended(_, at) | State::Taken(_, at) => Some(*at),
            State::Running(_) => None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.stage() >= ENDED
    }
}
