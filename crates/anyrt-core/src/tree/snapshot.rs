//! A node as the task view sees it.

use super::kind::ScopeKind;
use super::node::{COUNTED, ENDED, Node, NodeRef, UNSEEN, effective};
use super::{Cancelled, TaskId};
use crate::base::clock::NEVER;
use crate::base::sync::atomic::Ordering;
use crate::tree::site::{Called, WaitsFor};

/// What a look at a node shows; its children are to be looked at next.
pub(crate) struct Snapshot {
    pub(crate) kind: ScopeKind,
    pub(crate) opened: Option<Called>,
    pub(crate) waits: Option<Called>,
    /// The task that it waits for.
    pub(crate) waits_for: Option<TaskId>,
    /// Its own deadline, if it has one.
    pub(crate) deadline: Option<u64>,
    pub(crate) cancelled: bool,
    pub(crate) shielded: bool,
    /// It holds the scopes around it.
    pub(crate) holds: bool,
    /// Something inside it holds it.
    pub(crate) held: bool,
    /// Since when its owner knows that it is cancelled and held.
    pub(crate) held_since: Option<u64>,
    /// It holds a cancelled scope, and has not been polled since the cancellation.
    pub(crate) unseen: bool,
    /// Why it was cancelled, if that was done to this node itself.
    pub(crate) cause: Option<Cancelled>,
    pub(crate) children: Vec<NodeRef>,
}

impl Node {
    /// Looks at a node, under its lock alone. None when it has ended.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state.lock();
        let bits = self.bits();
        if bits & ENDED != 0 {
            return None;
        }
        let mut children = Vec::new();
        state.children.for_each(|child| children.push(child.clone()));
        let rare = state.rare.as_ref();
        Some(Snapshot {
            kind: self.kind,
            opened: self.opened,
            waits: state.waits.map(|note| note.at),
            waits_for: state.waits.and_then(|note| match note.waits_for() {
                WaitsFor::NoTask => None,
                WaitsFor::Task(task) => Some(task),
                WaitsFor::Holder => {
                    let holder = state.holder.as_ref()?;
                    TaskId::from_number(holder.load(Ordering::Relaxed))
                }
            }),
            deadline: (state.own_deadline != NEVER).then_some(state.own_deadline),
            cancelled: effective(bits),
            shielded: self.is_shielded(),
            holds: bits & COUNTED != 0,
            held: state.holds > 0,
            held_since: rare.and_then(|rare| rare.held_since),
            unseen: self.is_unseen_hold(),
            cause: rare.and_then(|rare| rare.cause.clone()),
            children,
        })
    }
}

impl Node {
    /// Whether it holds a cancelled scope and has not been polled since the cancellation. Not for nodes that do
    /// not live by being polled.
    pub(super) fn is_unseen_hold(&self) -> bool {
        use ScopeKind::{Blocking, Group, Start, Task};
        let lives_by_polls = !matches!(self.kind, Blocking | Group | Start | Task);
        lives_by_polls && self.bits() & (COUNTED | UNSEEN) == COUNTED | UNSEEN
    }
}

/// The task that a node belongs to: the nearest one at it or around it.
pub(crate) fn task_around(node: &NodeRef) -> Option<NodeRef> {
    let mut next = Some(node.clone());
    while let Some(node) = next {
        if node.as_task().is_some() {
            return Some(node);
        }
        next = node.node().parent();
    }
    None
}
