//! Where a child leaves its result for the handle that observes it.

use std::task::{Context, Poll, Waker};

use super::ended::TaskEnded;
use super::status::TaskStatus;
use crate::base::sync::Mutex;
use crate::base::sync::atomic::{AtomicU8, Ordering};
use crate::tree::moment::Moment;

/// The result of a child, written by any thread, read by at most one waiter.
pub(crate) struct Slot<T> {
    /// Written under the lock, except from `RUNNING` to `UNOBSERVED`: so a handle that is not kept costs one
    /// exchange, and the end of its child none.
    stage: AtomicU8,
    state: Mutex<SlotState<T>>,
}

/// Proof that there is no handle any more. Without it, every result must be filled in.
pub(crate) struct Unobserved(());

/// No result yet, and the handle has not asked.
const RUNNING: u8 = 0;
/// No result yet; the handle has asked, and left a waker.
const AWAITED: u8 = 1;
/// There is no handle any more.
const UNOBSERVED: u8 = 2;
/// The result is there.
const ENDED: u8 = 3;
/// The handle has it.
const TAKEN: u8 = 4;

enum SlotState<T> {
    /// Not there yet; the waiter's waker.
    Running(Option<Waker>),
    Ended(Result<T, TaskEnded>, Moment),
    /// The handle has it.
    Taken(TaskStatus, Moment),
}

impl<T> Slot<T> {
    pub(crate) fn new() -> Slot<T> {
        Slot { stage: AtomicU8::new(RUNNING), state: Mutex::new(SlotState::Running(None)) }
    }

    fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire)
    }

    /// Goes from one stage to another without the lock.
    fn step(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Proof that the result will not be asked for, if so.
    pub(crate) fn unobserved(&self) -> Option<Unobserved> {
        (!self.is_observed()).then_some(Unobserved(()))
    }

    /// Whether the result may be asked for.
    pub(crate) fn is_observed(&self) -> bool {
        self.stage() != UNOBSERVED
    }

    /// Leaves the result, and returns the waiter's waker; or returns the result, if it will not be asked for.
    pub(crate) fn fill(&self, result: Result<T, TaskEnded>) -> Result<Option<Waker>, Result<T, TaskEnded>> {
        if !self.is_observed() {
            return Err(result);
        }
        let mut state = self.state.lock();
        match &mut *state {
            SlotState::Running(waker) if self.end() => {
                let waker = waker.take();
                *state = SlotState::Ended(result, Moment::now());
                Ok(waker)
            }
            _ => {
                drop(state);
                Err(result)
            }
        }
    }

    /// Called under the lock. Returns whether the result may be asked for.
    fn end(&self) -> bool {
        // A handle that has asked has left a waker, and is dropped under the lock too: so the stage cannot
        // change here.
        let awaited = self.stage() == AWAITED;
        if awaited {
            self.stage.store(ENDED, Ordering::Release);
        }
        awaited || self.step(RUNNING, ENDED)
    }

    /// The handle is gone. Returns the result, if it was there and had not been taken.
    pub(crate) fn abandon(&self) -> Option<Result<T, TaskEnded>> {
        if self.stage() == TAKEN || self.step(RUNNING, UNOBSERVED) {
            return None;
        }
        let mut state = self.state.lock();
        self.stage.store(UNOBSERVED, Ordering::Release);
        match std::mem::replace(&mut *state, SlotState::Running(None)) {
            SlotState::Running(waker) => {
                drop(state);
                drop(waker);
                None
            }
            SlotState::Ended(result, _) => Some(result),
            SlotState::Taken(..) => None,
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
            SlotState::Ended(result, at) => {
                let (status, at) = (TaskStatus::of(result), *at);
                self.stage.store(TAKEN, Ordering::Release);
                match std::mem::replace(&mut *state, SlotState::Taken(status, at)) {
                    SlotState::Ended(result, _) => Some(result),
                    _ => None,
                }
            }
            SlotState::Taken(..) => {
                drop(state);
                panic!("a task's handle was polled again after it was ready")
            }
            SlotState::Running(_) => None,
        }
    }

    /// Takes the result, or leaves a waker for it.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, TaskEnded>> {
        if self.register(cx.waker()) { Poll::Pending } else { self.take().map_or(Poll::Pending, Poll::Ready) }
    }

    /// Leaves the result where it is, or leaves a waker for it.
    pub(crate) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<TaskStatus> {
        if self.register(cx.waker()) {
            Poll::Pending
        } else {
            self.status().map_or(Poll::Pending, Poll::Ready)
        }
    }

    /// Leaves a waker, unless the task has ended.
    fn register(&self, waker: &Waker) -> bool {
        if self.stage() >= ENDED {
            return false;
        }
        let new = waker.clone();
        let mut state = self.state.lock();
        let (old, registered) = match &mut *state {
            SlotState::Running(waker) => {
                self.stage.store(AWAITED, Ordering::Release);
                (waker.replace(new), true)
            }
            SlotState::Ended(..) | SlotState::Taken(..) => (Some(new), false),
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
            SlotState::Ended(result, _) => Some(TaskStatus::of(result)),
            SlotState::Taken(status, _) => Some(*status),
            SlotState::Running(_) => None,
        }
    }

    /// When it ended, if it has.
    pub(crate) fn ended_at(&self) -> Option<Moment> {
        match &*self.state.lock() {
            SlotState::Ended(_, at) | SlotState::Taken(_, at) => Some(*at),
            SlotState::Running(_) => None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.stage() >= ENDED
    }
}
