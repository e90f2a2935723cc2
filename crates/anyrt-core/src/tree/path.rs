//! A task and its parents, for messages.

use std::fmt;

use super::NodeRef;
use super::task_info::Label;
use crate::current::context::{self, TaskRef};
use crate::current::handle::Handle;

/// How many parents are named.
const PARENTS: usize = 4;
/// How many nodes of the tree are looked at to find them: a tree may be deep, and a message must stay cheap.
const STEPS: usize = 32;

/// A task and the tasks around it, as they were when something happened: `server/conn#3`.
///
/// The main task of a run is left out of the parents, because it would stand in front of every path.
#[derive(Clone)]
pub(crate) struct Path {
    /// The nearest first. Empty boxes allocate nothing.
    parents: Box<[Label]>,
    /// There are more.
    cut: bool,
    task: Label,
}

impl Path {
    /// The path of the current task.
    pub(crate) fn current() -> Option<Path> {
        let task = context::current_task()?;
        Some(Path::from(task.info().label(), above(&task)))
    }

    /// The path of the task whose scope this is, or around it.
    pub(crate) fn around(node: &NodeRef) -> Option<Path> {
        let task = super::task_around(node)?;
        task.as_task().map(|info| Path::from(info.label(), task.node().parent()))
    }

    /// The run of the task whose scope this is, or around it.
    pub(crate) fn handle_around(node: &NodeRef) -> Option<Handle> {
        super::task_around(node)?.runs_on().cloned()
    }

    fn from(task: Label, above: Option<NodeRef>) -> Path {
        let mut parents = Vec::new();
        let mut next = above;
        let mut steps = 0;
        while let Some(node) = next {
            next = node.node().parent();
            steps += 1;
            if let Some(parent) = node.as_task()
                && !parent.is_main()
            {
                parents.push(parent.label());
            }
            if parents.len() == PARENTS || steps == STEPS {
                return Path { parents: parents.into(), cut: next.is_some(), task };
            }
        }
        Path { parents: parents.into(), cut: false, task }
    }

    /// The name of the task itself.
    pub(crate) fn name(&self) -> &str {
        self.task.name()
    }
}

/// What is around a task: where it is linked, or would be.
fn above(task: &TaskRef) -> Option<NodeRef> {
    task.node().parent().or_else(|| task.home().map(|group| group.as_node()))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.cut {
            f.write_str("../")?;
        }
        for parent in self.parents.iter().rev() {
            write!(f, "{}/", parent.name())?;
        }
        self.task.fmt(f)
    }
}
