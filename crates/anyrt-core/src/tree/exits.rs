//! The clean-ups of a node: registered while it lives, taken at its end.

use super::cut::Cut;
use super::hold::update_holds;
use super::node::{ENDED, EXITED, EXITS, Node, NodeRef};
use crate::scope::exit::{Hook, run_dropped};

/// Registers a clean-up. From now on the node is a drop point, and holds its parent. When the node has ended,
/// the clean-up is given back, with why the node was cut short.
pub(crate) fn add_exit(target: &NodeRef, hook: Hook) -> Result<(), (Hook, Cut)> {
    let mut hook = Some(hook);
    let mut late = None;
    update_holds(target.clone(), |state| {
        let node = target.node();
        if node.bits() & (ENDED | EXITED) == 0
            && let Some(hook) = hook.take()
        {
            state.rare().exits.push(hook);
            node.set_bits(state, EXITS, 0);
        } else {
            late = Some(node.why(state));
        }
    });
    hook.zip(late).map_or(Ok(()), Err)
}

/// The clean-ups that were registered since the last call, the latest one last.
pub(crate) fn take_exits(node: &Node) -> Vec<Hook> {
    node.state.lock().rare.as_mut().map(|rare| std::mem::take(&mut rare.exits)).unwrap_or_default()
}

/// The clean-ups have run, and the node lives on for a while: it takes no more, and no longer holds its parent
/// for them.
pub(crate) fn close_exits(target: &NodeRef) {
    let mut late = Vec::new();
    update_holds(target.clone(), |state| {
        let node = target.node();
        node.set_bits(state, EXITED, EXITS);
        late = state.rare.as_mut().map(|rare| std::mem::take(&mut rare.exits)).unwrap_or_default();
    });
    run_dropped(late, target.node());
}

impl Node {
    /// Whether clean-ups were registered.
    pub(crate) fn has_exits(&self) -> bool {
        self.bits() & EXITS != 0
    }
}
