//! [`tasks`]: the live tree of a run. The README beside its modules says how it is read, what a snapshot
//! promises, and what it costs.

use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::time::Duration;

#[cfg(feature = "serde")]
mod json;
#[cfg(all(unix, feature = "sigusr1"))]
mod on_signal;
mod text;
mod walk;

#[cfg(all(unix, feature = "sigusr1"))]
pub use on_signal::{PrintsTasks, print_tasks_on_sigusr1};
pub(crate) use walk::places;

use super::Measured;
use crate::current::handle::Handle;
use crate::tree::{Cancelled, ScopeKind, TaskId};

/// The tree of the current run as it is now: groups, tasks, scopes, and where each waits.
///
/// Printed, it is a tree for people: siblings that look alike become one line, with their number; `{:#}` prints
/// each task. With the feature `serde` it becomes JSON, too. A look takes time in proportion to the tree, and
/// locks each node shortly, one after the other: what moves meanwhile may be seen twice or not at all.
///
/// ```
/// # async fn demo() {
/// println!("{}", anyrt_core::tasks());
/// # }
/// ```
///
/// # Panics
///
/// Outside of any runtime, naming the caller and the cure.
#[track_caller]
pub fn tasks() -> TaskTree {
    Handle::current().tasks()
}

/// The tree of a run at one moment; see [`tasks`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TaskTree {
    /// The name of the run.
    pub run: String,
    /// The name of its runtime.
    pub runtime: String,
    /// All places of the tree, each before those inside it. A list and not a tree, because it may be a hundred
    /// thousand levels deep.
    pub entries: Vec<TreeEntry>,
    /// The limiters of the run, and the tasks that wait for them.
    pub limiters: Vec<LimiterView>,
    /// How many threads the pool of blocking jobs has.
    pub blocking_threads: usize,
}

/// One place in the tree: a task, a group, a scope.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TreeEntry {
    /// What it is.
    pub kind: ScopeKind,
    /// How many places are around it.
    pub depth: usize,
    /// The index of the place around it in [`TaskTree::entries`]; none for the root.
    pub parent: Option<usize>,
    /// The task, if it is one.
    pub task: Option<TaskView>,
    /// The name that a blocking call was given.
    pub name: Option<String>,
    /// Where it was opened; none for tasks, and for branches.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::place"))]
    pub opened: Option<&'static Location<'static>>,
    /// Where the code inside it waited when it was last pending: the call of the leaf. None if it waits for
    /// something that is not part of anyrt.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::place"))]
    pub waits: Option<&'static Location<'static>>,
    /// The task that it waits for: the one whose end it awaits, or that has the lock that it wants.
    pub waits_for: Option<TaskId>,
    /// How long until its own deadline; zero when that has passed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::seconds"))]
    pub expires_in: Option<Duration>,
    /// It is cancelled, by itself or by a scope around it.
    pub cancelled: bool,
    /// Why, if it was cancelled itself.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::cancelled"))]
    pub cause: Option<Cancelled>,
    /// Its shield is up.
    pub shielded: bool,
    /// It keeps the scopes around it from ending, even if these are cancelled.
    pub holds: bool,
    /// Something inside it holds it.
    pub held: bool,
    /// How long it has been cancelled and held, as far as its owner has noticed.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::seconds"))]
    pub held_for: Option<Duration>,
    /// It holds a cancelled scope, and has not been polled since the cancellation: its owner has forgotten it,
    /// or is busy with something else.
    pub unpolled_since_cancelled: bool,
    /// Of a group: how many of its children no poll has brought into the tree so far.
    pub unpolled: usize,
}

/// A task in a [`TaskTree`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    pub name: String,
    /// The task that hosts its group.
    pub parent: Option<TaskId>,
    /// Its state.
    pub state: TaskState,
    /// It is being polled now.
    pub running: bool,
    /// How often it was polled, since the run is [measured](crate::Run::measure).
    pub polls: Option<u64>,
    /// How long it was polled in all, since the run is measured.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::seconds"))]
    pub busy: Option<Duration>,
    /// How long ago its last poll ended, if the run is measured.
    #[cfg_attr(feature = "serde", serde(serialize_with = "json::seconds"))]
    pub since: Option<Duration>,
}

impl TaskView {
    fn measured(&mut self, measured: &Measured, now: u64) {
        self.polls = Some(measured.polls);
        self.busy = Some(measured.busy);
        if !self.running && measured.pending_since > 0 {
            self.since = Some(Duration::from_nanos(now.saturating_sub(measured.pending_since)));
        }
    }
}

/// The state of a task in a [`TaskTree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum TaskState {
    /// It is being polled.
    Running,
    /// It waits, or is about to be polled.
    Waiting,
    /// It is cancelled, and has not ended.
    Cancelling,
    /// Something in it runs in a shield.
    InShield,
    /// Something in it cleans up: the second half of a `finally`.
    InCleanUp,
}

/// A limiter of the run in a [`TaskTree`].
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LimiterView {
    /// Which one: `blocking` or `cpu`.
    pub name: String,
    /// How many tokens there are; none means no limit.
    pub total: Option<usize>,
    /// How many are borrowed.
    pub borrowed: usize,
    /// How many wait.
    pub waiting: usize,
    /// The tasks that wait, in the order in which they are served.
    pub waiting_tasks: Vec<TaskId>,
}

impl TaskTree {
    /// Tasks that wait for each other in a circle, so that none of them ever goes on. For each circle its
    /// tasks, each before the one that it waits for.
    pub fn deadlocks(&self) -> Vec<Vec<TaskId>> {
        let next: HashMap<TaskId, TaskId> = self
            .entries
            .iter()
            .filter_map(|entry| Some((entry.task.as_ref()?, entry.waits_for?)))
            .filter(|(task, _)| !task.running)
            .map(|(task, other)| (task.id, other))
            .collect();
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for entry in &self.entries {
            let Some(task) = &entry.task else { continue };
            let (mut path, mut at) = (Vec::new(), Some(task.id));
            while let Some(id) = at.filter(|id| seen.insert(*id)) {
                path.push(id);
                at = next.get(&id).copied();
            }
            if let Some(start) = path.iter().position(|id| Some(*id) == at) {
                found.push(path.split_off(start));
            }
        }
        found
    }

    /// The tasks, outer ones first.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskView> {
        self.entries.iter().filter_map(|entry| entry.task.as_ref())
    }

    /// The places directly inside the one with this index.
    pub fn inside(&self, index: usize) -> impl Iterator<Item = &TreeEntry> {
        self.entries.iter().filter(move |entry| entry.parent == Some(index))
    }
}

impl Handle {
    /// The tree of the run as it is now; see [`tasks`].
    pub fn tasks(&self) -> TaskTree {
        walk::walk(self)
    }
}
