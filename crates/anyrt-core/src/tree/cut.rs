//! Cutting a future short: that it happens and why is decided, and marked up the tree, in one step that no
//! shield can come between.

use super::node::{CAUGHT, INHERITED, Node, NodeRef, NodeState, OWN, SHIELD, UNWINDING, inherited, shielded};
use super::{Cancelled, Cause};
use crate::base::sync::{EmptyRwLock, MutexGuard};
use crate::current::context;

crate::base::sync::global! {
    /// Held shared by an owner that decides that something is cut short, until that is marked up to the scope
    /// that the cancellation came from. Held alone by a shield that goes up, until all nodes below know of it.
    /// So a cancellation is taken back before it has cut something short, or not at all.
    pub(super) static SHIELDS: EmptyRwLock = EmptyRwLock::new();
}

/// Makes the globals before a model starts its threads.
#[cfg(all(test, anyrt_loom))]
pub(crate) fn touch_globals() {
    drop(SHIELDS.shared());
    let _ = crate::tree::moment::Moment::now();
}

/// Why a future is cut short: its node is cancelled.
pub(crate) struct Cut {
    /// The node's own cause, or the one that its inner future was dropped for before.
    own: Option<Cancelled>,
    /// The parent, if the cancellation is inherited.
    above: Option<NodeRef>,
}

impl Cut {
    /// The cause: that of the outermost scope around the node that was cancelled, else the node's own.
    pub(crate) fn story(self, of: &Node) -> Cancelled {
        // There is none any more when all that was around has ended meanwhile and has taken its cause along.
        self.known_story().unwrap_or_else(|| Cancelled::of(of, Cause::Dropped))
    }

    /// Whether the cancellation came from a scope around the node.
    pub(crate) fn is_from_outside(&self) -> bool {
        self.above.is_some()
    }

    /// As [`story`](Cut::story); none if the node was not cancelled at all.
    pub(crate) fn known_story(self) -> Option<Cancelled> {
        self.above.and_then(|above| above.node().cause()).or(self.own)
    }
}

impl Node {
    /// Why it is cut short, or would be, according to its state.
    pub(super) fn why(&self, state: &NodeState) -> Cut {
        let rare = state.rare.as_ref();
        let own = rare.and_then(|rare| rare.cause.as_ref().or(rare.cut.as_ref()).cloned());
        Cut { own, above: if inherited(self.bits()) { state.parent.clone() } else { None } }
    }

    /// Marks, under the lock of the node, that it is cut short; and, if the cancellation was inherited, the
    /// nodes above.
    pub(super) fn cut(&self, state: MutexGuard<'_, NodeState>) -> Cut {
        let why = self.why(&state);
        if why.above.is_some() {
            self.set_bits(&state, UNWINDING, CAUGHT);
        }
        drop(state);
        if let Some(above) = &why.above {
            mark(above.node());
        }
        why
    }
}

/// Marks the nodes from one in which an inherited cancellation cut something short up to the scope that it came
/// from: a shield is too late there from now on.
fn mark(from: &Node) {
    let mut next = mark_one(from);
    while let Some(node) = next {
        next = mark_one(node.node());
    }
}

/// Marks one node. Returns its parent if that is to be marked too. Of many siblings the first marks the nodes
/// above.
fn mark_one(node: &Node) -> Option<NodeRef> {
    let to_be_marked = |bits| inherited(bits) && bits & UNWINDING == 0;
    if !to_be_marked(node.bits()) {
        return None;
    }
    let state = node.state.lock();
    if !to_be_marked(node.bits()) {
        return None;
    }
    node.set_bits(&state, UNWINDING, 0);
    state.parent.as_ref().filter(|parent| to_be_marked(parent.node().bits())).cloned()
}

/// A shield is about to go up. It is too late if something below waited when the cancellation came and has not
/// been polled since: that this will be cut short is certain, whichever task is polled first.
pub(super) fn mark_what_was_caught(target: &NodeRef) {
    let bits = target.node().bits();
    if bits & (INHERITED | OWN | SHIELD) != INHERITED {
        return;
    }
    let mut work = vec![target.clone()];
    while let Some(node) = work.pop() {
        let caught = {
            let node = node.node();
            let state = node.state.lock();
            let bits = node.bits();
            if !inherited(bits) || shielded(bits) {
                continue;
            }
            state.children.for_each(|child| work.push(child.clone()));
            bits & CAUGHT != 0 && state.holds <= 0
        };
        // Code that runs on this thread has been handed something, and has not waited since.
        if caught && !context::is_around(node.node()) {
            mark(node.node());
            return;
        }
    }
}
