//! Name, id and parent of a task.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::sync::Arc;

/// The id of a task: unique in the process, in the order of spawning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    fn next() -> TaskId {
        // Not from `sync`: ids are no part of what is modelled.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        TaskId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MAX))
    }
}

impl TaskId {
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }

    /// 0 is none.
    pub(crate) fn from_number(number: u64) -> Option<TaskId> {
        NonZeroU64::new(number).map(TaskId)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of the task that a run's main future is.
pub(crate) const MAIN: &str = "main";

/// Name, id and parent of a task, as they are when it is asked for.
pub struct TaskInfo {
    id: TaskId,
    /// 0 is none. It changes once, for a child that its starter hands over to its group.
    parent: AtomicU64,
    name: Name,
}

/// A name that was given in the code.
// Boxed, so that a name does not take three words in each task.
#[derive(Debug, Clone)]
pub(crate) struct GivenName(Arc<Box<str>>);

impl<N: Into<Box<str>>> From<N> for GivenName {
    fn from(name: N) -> GivenName {
        GivenName(Arc::new(name.into()))
    }
}

/// A name that is cheap to copy: given in the code, or that of a function.
#[derive(Clone)]
enum Name {
    Given(GivenName),
    /// Made when it is asked for.
    Default(fn() -> &'static str),
}

impl Name {
    fn get(&self) -> &str {
        match self {
            Name::Given(name) => &name.0,
            Name::Default(name) => name(),
        }
    }
}

/// Name and id of a task, for errors that outlive it: making one costs no allocation.
#[derive(Clone)]
pub(crate) struct Label {
    name: Name,
    /// None for the children of a local group: they are no tasks.
    id: Option<TaskId>,
}

impl Label {
    /// The label of a child of a local group.
    pub(crate) fn of_child(name: fn() -> &'static str) -> Label {
        Label { name: Name::Default(name), id: None }
    }

    pub(crate) fn name(&self) -> &str {
        self.name.get()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "{}#{id}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TaskInfo {
    pub(crate) fn new(
        name: Option<GivenName>,
        default: fn() -> &'static str,
        parent: Option<TaskId>,
    ) -> TaskInfo {
        let name = name.map_or(Name::Default(default), Name::Given);
        TaskInfo { id: TaskId::next(), parent: AtomicU64::new(number(parent)), name }
    }

    pub(crate) fn set_parent(&self, parent: Option<TaskId>) {
        self.parent.store(number(parent), Ordering::Relaxed);
    }

    /// Its id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The name it was given, else that of the function whose future it is.
    pub fn name(&self) -> &str {
        self.name.get()
    }

    /// The task that hosts its group, not the one that spawned it; none for root tasks. That of a child
    /// of [`start`](crate::TaskGroup::start) is its starter until it is ready.
    pub fn parent(&self) -> Option<TaskId> {
        NonZeroU64::new(self.parent.load(Ordering::Relaxed)).map(TaskId)
    }

    /// Whether it is the main task of a run.
    pub(crate) fn is_main(&self) -> bool {
        self.parent().is_none() && self.name() == MAIN
    }

    /// Name and id, for messages.
    pub(crate) fn label(&self) -> Label {
        Label { name: self.name.clone(), id: Some(self.id) }
    }
}

fn number(id: Option<TaskId>) -> u64 {
    id.map_or(0, |id| id.0.get())
}

impl Clone for TaskInfo {
    fn clone(&self) -> TaskInfo {
        let parent = AtomicU64::new(self.parent.load(Ordering::Relaxed));
        TaskInfo { id: self.id, parent, name: self.name.clone() }
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("id", &self.id.0)
            .field("name", &self.name())
            .field("parent", &self.parent().map(|id| id.0))
            .finish_non_exhaustive()
    }
}

/// The name of the function that a future comes from.
pub(crate) fn default_name<F>() -> &'static str {
    let mut name = std::any::type_name::<F>();
    while let Some(outer) = name.strip_suffix("::{{closure}}") {
        name = outer;
    }
    name
}
