//! Holds: counted inside a node, told to those above.

use super::node::{NodeRef, RELEASED, State};
use crate::context;
use crate::sync::atomic::Ordering;
use crate::wake::WakeList;

/// Adds to, or takes from, the holds inside `node`, and tells those above while it matters.
///
/// A hold is told all the way up before anybody can release it, so a count never reads too low
/// while the futures that it keeps are being polled.
pub(crate) fn hold(node: NodeRef, delta: i32) {
    update_holds(node, |state| state.holds += delta);
}

/// Makes a node hold its parent, whatever is inside it.
///
/// `holds` is asked under the lock of the node.
pub(crate) fn hold_parent(node: NodeRef, holds: impl FnOnce() -> bool) {
    update_holds(node, |state| state.holds_parent = holds());
}

pub(super) fn update_holds(node: NodeRef, first: impl FnOnce(&mut State)) {
    let mut wakes = WakeList::default();
    let mut above = update_one(&node, first, &mut wakes);
    while let Some((parent, delta)) = above {
        above = update_one(&parent, |state| state.holds += delta, &mut wakes);
    }
    wakes.wake();
}

/// Changes the holds of one node; its parent with the change that this means for it.
fn update_one(
    target: &NodeRef,
    apply: impl FnOnce(&mut State),
    wakes: &mut WakeList,
) -> Option<(NodeRef, i32)> {
    let node = target.node();
    let mut state = node.state.lock();
    let held = state.holds > 0;
    apply(&mut state);
    if held && state.holds <= 0 {
        // A poll that ends a hold itself has seen what that brought.
        if !context::is_around(node) {
            node.bits.fetch_or(RELEASED, Ordering::AcqRel);
        }
        if node.is_cancelled() {
            wakes.take(&mut state.waker);
        }
    }
    let tells = state.tells(node.bits());
    if tells == state.told {
        return None;
    }
    state.told = tells;
    state.parent.clone().map(|parent| (parent, if tells { 1 } else { -1 }))
}

/// What holds a node, as a text: where its innermost holds were opened. Iterative.
pub(crate) fn holders(top: &NodeRef) -> String {
    let mut found = Vec::new();
    let mut work = vec![top.clone()];
    while let Some(node) = work.pop() {
        let node = node.node();
        let state = node.state.lock();
        let before = work.len();
        state.children.for_each(|child| work.push(child.clone()));
        if state.told && work.len() == before {
            found.extend(node.opened.map(ToString::to_string));
        }
    }
    if found.is_empty() {
        "a blocking call, or a group whose tasks do not end".to_owned()
    } else {
        found.join(", ")
    }
}
