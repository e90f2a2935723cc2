//! That something is cut short, and why: decided, noted above and told in one step, which no shield comes between.

use super::node::{CAUGHT, INHERITED, Node, NodeRef, OWN, SHIELD, State, UNWINDING, inherited, shielded};
use super::{Cancelled, Cause};
use crate::base::sync::{MutexGuard, Turns};
use crate::current::context;

crate::base::sync::global! {
    /// Shared by those who decide that something is cut short, until it is noted up to the scope that it came from;
    /// alone for a shield that goes up, until all below know of it. So a cancellation is taken back before
    /// it has cut something short, or not at all.
    pub(super) static SHIELDS: Turns = Turns::new();
}

/// So that a model has them before its threads.
#[cfg(all(test, anyrt_loom))]
pub(crate) fn touch_globals() {
    drop(SHIELDS.shared());
    let _ = crate::tree::moment::Moment::now();
}

/// That a future ends because its node is cancelled.
pub(crate) struct Cut {
    /// The node's own cause, or what it was cut short by before.
    own: Option<Cancelled>,
    /// Where what it inherits comes from.
    above: Option<NodeRef>,
}

impl Cut {
    /// The story: the node's own, or that of the outermost scope around it that cancelled it.
    pub(crate) fn story(self, of: &Node) -> Cancelled {
        // None is left when all that was around has ended meanwhile, and has taken its story along.
        self.known_story().unwrap_or_else(|| Cancelled::of(of, Cause::Dropped))
    }

    /// Whether it was by what is around the node.
    pub(crate) fn is_from_outside(&self) -> bool {
        self.above.is_some()
    }

    /// The same; none if it was not cancelled at all.
    pub(crate) fn known_story(self) -> Option<Cancelled> {
        self.above.and_then(|above| above.node().cause()).or(self.own)
    }
}

impl Node {
    /// Why it is cut short, or would be, as its state says.
    pub(super) fn why(&self, state: &State) -> Cut {
        let rare = state.rare.as_ref();
        let own = rare.and_then(|rare| rare.cause.as_ref().or(rare.cut.as_ref()).cloned());
        Cut { own, above: if inherited(self.bits()) { state.parent.clone() } else { None } }
    }

    /// Notes, under the lock of the node, that it is cut short, and above, that it was by what came from there.
    pub(super) fn cut(&self, state: MutexGuard<'_, State>) -> Cut {
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

/// Notes, from a node in which an inherited cancellation cut something short up to the scope it came from, that
/// it can no longer be shielded off.
fn mark(from: &Node) {
    let mut next = mark_one(from);
    while let Some(node) = next {
        next = mark_one(node.node());
    }
}

/// Marks one node; its parent, if that is to be marked too. Of many siblings the first marks those above.
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

/// A shield is about to go up: too late, if something below waited when the cancellation came and was not
/// polled since. That it is cut short is certain, whoever is polled first.
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
        // What runs has been handed something, and has not waited since.
        if caught && !context::is_around(node.node()) {
            mark(node.node());
            return;
        }
    }
}
