//! Holds: counted inside a node, told to those above.

use super::node::{HOLDS_PARENT, Node, NodeRef, RELEASED, State, TASK_ROOT, TOLD, told_bit};
use crate::base::wake_list::WakeList;
use crate::current::context;

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
    let mut wakes = WakeList::default();
    let above = {
        let state = &mut node.node().state.lock();
        let (set, clear) = if holds() { (HOLDS_PARENT, 0) } else { (0, HOLDS_PARENT) };
        node.node().set_bits(state, set, clear);
        update_locked(node.node(), state, |_| (), &mut wakes)
    };
    tell(above, &mut wakes);
    wakes.wake();
}

/// From now on a node without a parent tells its holds to none, as the root of a task.
pub(crate) fn hold_no_parent(node: &NodeRef) {
    let state = node.node().state.lock();
    node.node().set_bits(&state, TASK_ROOT, 0);
}

pub(super) fn update_holds(node: NodeRef, change: impl FnOnce(&mut State)) {
    let mut wakes = WakeList::default();
    update_holds_into(node.node(), change, &mut wakes);
    wakes.wake();
}

pub(super) fn update_holds_into(node: &Node, change: impl FnOnce(&mut State), wakes: &mut WakeList) {
    let above = update_locked(node, &mut node.state.lock(), change, wakes);
    tell(above, wakes);
}

/// A change of the holds of a node's parent that follows from one of its own.
pub(super) type Above = Option<(NodeRef, i32)>;

/// Tells those above, as far as it changes something there.
#[inline]
pub(super) fn tell(above: Above, wakes: &mut WakeList) {
    if above.is_some() {
        tell_up(above, wakes);
    }
}

fn tell_up(mut above: Above, wakes: &mut WakeList) {
    while let Some((parent, delta)) = above {
        let node = parent.node();
        above = update_locked(node, &mut node.state.lock(), |state| state.holds += delta, wakes);
    }
}

/// Changes the holds of one node, under its lock; what this means for its parent.
pub(super) fn update_locked(
    node: &Node,
    state: &mut State,
    change: impl FnOnce(&mut State),
    wakes: &mut WakeList,
) -> Above {
    let held = state.holds > 0;
    change(state);
    if held && state.holds <= 0 {
        // A poll that ends a hold itself has seen what that brought.
        if !context::is_around(node) {
            node.set_bits(state, RELEASED, 0);
        }
        if node.is_cancelled() {
            wakes.take(&mut state.waker);
        }
    }
    let bits = node.bits();
    let tells = state.tells(bits);
    if told_bit(tells) == bits & TOLD {
        return None;
    }
    node.set_bits(state, told_bit(tells), TOLD);
    state.parent.clone().map(|parent| (parent, if tells { 1 } else { -1 }))
}

/// What holds a node, as a text: where its innermost holds were opened, and whether somebody has polled them since the
/// cancellation. Iterative.
pub(crate) fn holders(top: &NodeRef) -> String {
    let mut found = Vec::new();
    let mut work = vec![(top.clone(), false)];
    while let Some((node, unseen)) = work.pop() {
        let node = node.node();
        let state = node.state.lock();
        let before = work.len();
        let unseen = unseen || node.is_unseen_hold();
        state.children.for_each(|child| work.push((child.clone(), unseen)));
        if node.bits() & TOLD != 0 && work.len() == before {
            let since = if unseen { " (not polled since)" } else { "" };
            found.extend(node.opened.map(|opened| format!("{opened}{since}")));
        }
    }
    if found.is_empty() {
        "a blocking call, or a group whose tasks do not end".to_owned()
    } else {
        found.join(", ")
    }
}
