//! The notifier of a pool: a task of the runtime that wakes the threads when a burst of jobs is complete.

use std::fmt;
use std::task::{Context, Poll, Waker};

use crate::base::sync::Arc;
use crate::current::context::Tasked;
use crate::current::handle::Handle;
use crate::task::{Exclusive, Task};
use crate::tree::{HasNode, Node, TaskInfo};

/// The state of the notifier, guarded by the lock of its pool.
#[derive(Default)]
pub(super) enum Notifier {
    /// It has not been needed yet.
    #[default]
    None,
    /// It was spawned, and has not been polled yet.
    Starts,
    /// It waits for jobs that are left to it.
    Rests(Waker),
    /// It was woken, and has not been polled since.
    Woken,
    /// It was polled, and yields once, so that the tasks that were ready then run first: a runtime may poll
    /// first what was woken last.
    Yields,
    /// The run ends, or the runtime has dropped it.
    Gone,
}

/// The task. It is in no group, so no group waits for it; the end of the pool ends it.
struct NotifierTask {
    handle: Handle,
    info: TaskInfo,
    node: Node,
}

/// Spawns the notifier for the pool of a run.
pub(super) fn spawn(handle: &Handle) {
    let info = TaskInfo::new(None, || "anyrt::blocking::notifier", None);
    let task = NotifierTask { handle: handle.clone(), info, node: Node::task_root() };
    handle.runtime().spawn(Task::of(Arc::new(task)));
}

impl Tasked for NotifierTask {
    fn info(&self) -> &TaskInfo {
        &self.info
    }

    fn handle(&self) -> &Handle {
        &self.handle
    }

    fn poll(&self, _exclusive: Exclusive, cx: &mut Context<'_>) -> Poll<()> {
        self.handle.0.shared.pool.poll_notifier(cx.waker())
    }

    fn lost(&self, _exclusive: Exclusive) {
        self.handle.0.shared.pool.lose_notifier();
    }
}

impl HasNode for NotifierTask {
    fn node(&self) -> &Node {
        &self.node
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Notifier::None => "none",
            Notifier::Starts => "starts",
            Notifier::Rests(_) => "rests",
            Notifier::Woken => "woken",
            Notifier::Yields => "yields",
            Notifier::Gone => "gone",
        })
    }
}
