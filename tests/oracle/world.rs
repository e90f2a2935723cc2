//! What the tasks of a program share, and what they have told.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

use anyrt::blocking::CapacityLimiter;
use anyrt::channel::{Receiver, Sender, bounded};
use anyrt::group::{LocalHandle, Ready};
use anyrt::markers::SendChild;
use anyrt::sync::{Condition, Event, Mutex, Semaphore};
use anyrt::{CancelScope, GroupError, LocalGroup, RunError, ScopeHandle, TaskEnded, TaskGroup, TaskHandle};
use serde::Serialize;

use crate::program::{Limit, Program};
use crate::time::Clock;

pub(crate) struct World {
    pub(crate) program: &'static Program,
    pub(crate) clock: Arc<Clock>,
    /// Those that were not entered yet.
    pub(crate) scopes: Vec<StdMutex<Option<CancelScope>>>,
    pub(crate) handles: Vec<ScopeHandle>,
    /// Those that were opened.
    pub(crate) groups: Vec<StdMutex<Option<Group>>>,
    /// Handles that nobody has taken, by the statement that spawned.
    pub(crate) children: StdMutex<HashMap<u64, Child>>,
    pub(crate) events: Vec<Event>,
    pub(crate) locks: Vec<Mutex<()>>,
    pub(crate) conditions: Vec<Condition<()>>,
    pub(crate) semaphores: Vec<Semaphore>,
    pub(crate) limiters: Vec<CapacityLimiter>,
    pub(crate) channels: Vec<(Sender<u64>, Receiver<u64>)>,
    log: StdMutex<Vec<Entry>>,
}

/// A group of tasks, or of children that are polled in place.
#[derive(Clone)]
pub(crate) enum Group {
    Tasks(TaskGroup),
    Local(LocalGroup<'static, SendChild<'static>>),
}

/// The handle of a child.
pub(crate) enum Child {
    Task(TaskHandle<()>),
    Local(LocalHandle<()>),
}

/// Whose doing it is: a task, or a branch of a `join` or `race`.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) task: Arc<str>,
    /// What the child of a `start` says that it is ready with.
    pub(crate) ready: Arc<StdMutex<Option<Ready<u64>>>>,
}

/// Task, tick, statement, what happened, with which fault.
#[derive(Debug, Serialize)]
pub(crate) struct Entry(String, u64, u64, String, Option<Fault>);

impl Entry {
    /// What the run itself said.
    pub(crate) fn of_the_run(error: &RunError) -> Entry {
        Entry("run".into(), 0, 0, error.to_string(), None)
    }
}

/// The errors of programs.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Fault {
    One(String),
    Many(Vec<Fault>),
}

impl World {
    pub(crate) fn new(program: &'static Program, clock: Arc<Clock>) -> World {
        let scopes: Vec<_> =
            program.scopes.iter().map(|scope| CancelScope::new().shield(scope.shield)).collect();
        let locks: Vec<_> = (0..program.locks).map(|_| Mutex::new(())).collect();
        let guarded: Vec<_> = (0..program.conditions).map(|_| Mutex::new(())).collect();
        World {
            program,
            clock,
            handles: scopes.iter().map(CancelScope::handle).collect(),
            scopes: scopes.into_iter().map(|scope| StdMutex::new(Some(scope))).collect(),
            groups: (0..program.groups).map(|_| StdMutex::new(None)).collect(),
            children: StdMutex::default(),
            events: (0..program.events).map(|_| Event::new()).collect(),
            locks,
            conditions: guarded.iter().map(Condition::new).collect(),
            semaphores: program.semaphores.iter().map(|&permits| Semaphore::new(permits)).collect(),
            limiters: program.limiters.iter().map(|&total| CapacityLimiter::new(total)).collect(),
            channels: program.channels.iter().map(|&capacity| bounded(capacity)).collect(),
            log: StdMutex::default(),
        }
    }

    pub(crate) fn tell(&self, place: &Place, id: u64, what: impl Into<String>) {
        self.tell_fault(place, id, what, None);
    }

    pub(crate) fn tell_fault(&self, place: &Place, id: u64, what: impl Into<String>, fault: Option<Fault>) {
        let entry = Entry(place.task.to_string(), self.clock.tick(), id, what.into(), fault);
        lock(&self.log).push(entry);
    }

    pub(crate) fn take_log(&self) -> Vec<Entry> {
        std::mem::take(&mut lock(&self.log))
    }

    /// The tick that a limit means now: always in the future.
    pub(crate) fn tick_of(&self, limit: Limit) -> u64 {
        let (now, round) = (self.clock.tick(), self.program.round);
        let ahead = (limit.tick + round - now % round) % round;
        now + if ahead == 0 { round } else { ahead } + limit.rounds * round
    }

    pub(crate) fn group(&self, group: usize) -> Option<Group> {
        lock(&self.groups[group]).clone()
    }
}

impl Child {
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Child::Task(handle) => handle.is_finished(),
            Child::Local(handle) => handle.is_finished(),
        }
    }

    pub(crate) fn cancel(&self, reason: &str) {
        match self {
            Child::Task(handle) => handle.cancel_with(reason),
            Child::Local(handle) => handle.cancel_with(reason),
        }
    }

    pub(crate) async fn ended(self) -> Result<(), TaskEnded> {
        match self {
            Child::Task(handle) => handle.await,
            Child::Local(handle) => handle.await,
        }
    }
}

impl Place {
    pub(crate) fn new(task: String, ready: Option<Ready<u64>>) -> Place {
        Place { task: task.into(), ready: Arc::new(StdMutex::new(ready)) }
    }
}

impl Fault {
    pub(crate) fn of(error: &GroupError) -> Fault {
        let mut faults: Vec<Fault> = error.iter().map(|child| Fault::from_error(child.error())).collect();
        match faults.pop() {
            Some(only) if faults.is_empty() => only,
            last => Fault::Many(faults.into_iter().chain(last).collect()),
        }
    }

    pub(crate) fn from_error(error: &(dyn Error + Send + Sync + 'static)) -> Fault {
        error.downcast_ref().cloned().unwrap_or_else(|| Fault::One(format!("foreign: {error}")))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::One(name) => f.write_str(name),
            Fault::Many(faults) => f.debug_list().entries(faults).finish(),
        }
    }
}

impl Error for Fault {}

pub(crate) fn lock<T>(mutex: &StdMutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
