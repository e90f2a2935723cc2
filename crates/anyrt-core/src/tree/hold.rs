//! Holds: what delays the drop of a cancelled future. Counted in each node, and passed up.

use super::node::{COUNTED, HOLDS_PARENT, Node, NodeRef, NodeState, RELEASED, TASK_ROOT, counted_bit};
use crate::base::wake_list::WakeList;
use crate::current::context;

/// Changes the count of holds inside `node`, and passes that up as far as it matters.
///
/// A hold is passed all the way up before any thread can release it. So no count reads too low while the
/// futures that it keeps are being polled.
pub(crate) fn hold(node: NodeRef, delta: i32) {
    update_holds(node, |state| state.holds += delta);
}

/// Makes a node hold its parent, whatever is inside it.
///
/// `holds` is asked under the lock of the node: of two threads that change the answer at once, the later one
/// sets the last state.
pub(crate) fn hold_parent(node: NodeRef, holds: impl FnOnce() -> bool) {
    let mut wakes = WakeList::default();
    let above = {
        let state = &mut node.node().state.lock();
        let (set, clear) = if holds() { (HOLDS_PARENT, 0) } else { (0, HOLDS_PARENT) };
        node.node().set_bits(state, set, clear);
        update_locked(node.node(), state, |_| (), &mut wakes)
    };
    pass_up(above, &mut wakes);
    wakes.wake();
}

/// From now on the node passes no holds up, like the root of a task. Only for a node without a parent.
pub(crate) fn hold_no_parent(node: &NodeRef) {
    let state = node.node().state.lock();
    node.node().set_bits(&state, TASK_ROOT, 0);
}

pub(super) fn update_holds(node: NodeRef, change: impl FnOnce(&mut NodeState)) {
    let mut wakes = WakeList::default();
    update_holds_into(node.node(), change, &mut wakes);
    wakes.wake();
}

pub(super) fn update_holds_into(node: &Node, change: impl FnOnce(&mut NodeState), wakes: &mut WakeList) {
    let above = update_locked(node, &mut node.state.lock(), change, wakes);
    pass_up(above, wakes);
}

/// The change of a parent's holds that follows from a change in its child.
pub(super) type Above = Option<(NodeRef, i32)>;

/// Passes a change of holds up, as far as it changes something.
#[inline]
pub(super) fn pass_up(above: Above, wakes: &mut WakeList) {
    if above.is_some() {
        pass_up_all(above, wakes);
    }
}

fn pass_up_all(mut above: Above, wakes: &mut WakeList) {
    while let Some((parent, delta)) = above {
        let node = parent.node();
        above = update_locked(node, &mut node.state.lock(), |state| state.holds += delta, wakes);
    }
}

/// Changes the holds of one node, under its lock. Returns what follows for its parent.
pub(super) fn update_locked(
    node: &Node,
    state: &mut NodeState,
    change: impl FnOnce(&mut NodeState),
    wakes: &mut WakeList,
) -> Above {
    let held = state.holds > 0;
    change(state);
    if held && state.holds <= 0 {
        // Code that runs inside the node and ends a hold has seen what that brought. Others may come too late
        // for this poll.
        if !context::is_around(node) {
            node.set_bits(state, RELEASED, 0);
        }
        if node.is_cancelled() {
            wakes.take(&mut state.waker);
        }
    }
    let bits = node.bits();
    let counts = state.counts_as_hold(bits);
    if counted_bit(counts) == bits & COUNTED {
        return None;
    }
    node.set_bits(state, counted_bit(counts), COUNTED);
    state.parent.clone().map(|parent| (parent, if counts { 1 } else { -1 }))
}

/// What holds a node, as text: where its innermost holds were opened, and whether they were polled since the
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
        if node.bits() & COUNTED != 0 && work.len() == before {
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
