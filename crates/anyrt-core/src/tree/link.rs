//! How a node gets its place in the tree, moves, and leaves.

use std::task::Waker;

use super::cancel::pass_down;
use super::children::Children;
use super::hold::{hold, pass_up, update_locked};
use super::node::{COUNTED, ENDED, LINKED, Node, NodeRef, Passed, counted_bit};
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::base::wake_list::WakeList;
use crate::scope::exit::run_dropped;
use crate::tree::lazy::{Lazy, ScopeNode};

/// Links a node that has no parent below `parent`.
pub(crate) fn link(child: &NodeRef, parent: NodeRef) {
    if is_inside(&parent, child) {
        tracing::warn!("a future is polled inside itself: it does not inherit cancellation from there");
        return;
    }
    let mut wakes = WakeList::default();
    let (held, spread) = {
        let mut above = parent.node().state.lock();
        let slot = above.insert(parent.node(), child.clone());
        let passed = parent.node().passes();
        let mut state = child.node().state.lock();
        // A newer state that is passed down from here waits for the child's lock, and is applied after this
        // one.
        drop(above);
        state.slot = slot;
        let counts = state.counts_as_hold(child.node().bits());
        child.node().set_bits(&state, LINKED | counted_bit(counts), COUNTED);
        child.node().parent.store(parent.node().address(), Ordering::Relaxed);
        let held = counts.then(|| parent.clone());
        state.parent = Some(parent);
        (held, child.node().refresh_locked(&mut state, passed, &mut wakes))
    };
    if spread {
        pass_down(child.clone(), &mut wakes);
    }
    wakes.wake();
    if let Some(parent) = held {
        hold(parent, 1);
    }
}

/// Whether `inner` stands below `outer`: a future may have been handed to one of its own children.
fn is_inside(inner: &NodeRef, outer: &NodeRef) -> bool {
    if !outer.node().had_children() {
        return std::ptr::eq(inner.node(), outer.node());
    }
    let mut next = Some(inner.clone());
    while let Some(node) = next {
        if std::ptr::eq(node.node(), outer.node()) {
            return true;
        }
        next = node.node().parent();
    }
    false
}

/// Links a new node: nothing waits in it and nothing is below it, so nothing is woken.
pub(crate) fn link_new(child: &NodeRef, parent: &NodeRef) {
    link_owned((child.node(), child.clone()), (parent.node(), parent.clone()), None);
}

/// As [`link_new`], for callers that have the nodes and the references that go into the tree: each reference is
/// counted once. `waker` is left in the child as [`attend`](Node::attend) does it.
pub(crate) fn link_owned(
    (child, owned): (&Node, NodeRef),
    (parent, owner): (&Node, NodeRef),
    waker: Option<Waker>,
) {
    let mut wakes = WakeList::default();
    let above = {
        let mut above = parent.state.lock();
        let slot = above.insert(parent, owned);
        let passed = parent.passes();
        let counts = {
            let mut state = child.state.lock();
            state.parent = Some(owner);
            state.slot = slot;
            if waker.is_some() {
                state.note();
                state.waker = waker;
                child.waits.store(true, Ordering::Relaxed);
            }
            child.parent.store(parent.address(), Ordering::Relaxed);
            child.inherit_first(&mut state, passed)
        };
        if counts { update_locked(parent, &mut above, |state| state.holds += 1, &mut wakes) } else { None }
    };
    pass_up(above, &mut wakes);
}

/// Makes the node of a scope, linked from the start: no other thread can see it yet, so its lock is not needed
/// and nothing is woken. `above` is the node of `parent`.
pub(crate) fn new_linked(above: &Node, parent: NodeRef, lazy: Lazy, waker: Option<Waker>) -> NodeRef {
    let mut wakes = WakeList::default();
    let (child, above) = {
        let mut state = above.state.lock();
        let mut node = Node::from_lazy(lazy, waker);
        let counts = node.link_fresh(parent, state.children.next_key(), above.passes());
        let child: NodeRef = Arc::new(ScopeNode(node));
        state.insert(above, child.clone());
        let above = if counts {
            update_locked(above, &mut state, |state| state.holds += 1, &mut wakes)
        } else {
            None
        };
        (child, above)
    };
    pass_up(above, &mut wakes);
    child
}

/// Takes a node out of the tree, and its holds with it.
pub(crate) fn unlink(child: &NodeRef) {
    let (parent, slot, counts) = {
        let mut state = child.node().state.lock();
        child.node().parent.store(0, Ordering::Relaxed);
        (state.parent.take(), state.slot, child.node().set_bits(&state, 0, COUNTED) & COUNTED != 0)
    };
    if let Some(parent) = parent {
        remove(parent, slot, counts);
    }
}

fn remove(parent: NodeRef, slot: u32, counts: bool) {
    let mut wakes = WakeList::default();
    let (removed, above) = {
        let mut state = parent.node().state.lock();
        let removed = state.children.remove(slot);
        let above = if counts {
            update_locked(parent.node(), &mut state, |state| state.holds -= 1, &mut wakes)
        } else {
            None
        };
        (removed, above)
    };
    drop(removed);
    pass_up(above, &mut wakes);
    wakes.wake();
}

/// Ends the node of a future: takes it out of the tree, and nothing changes it any more.
pub(crate) fn end(node: &Node) {
    let (parent, slot, counts, own, left, rare, exits) = {
        let mut state = node.state.lock();
        let counts = node.set_bits(&state, ENDED, COUNTED) & COUNTED != 0;
        node.parent.store(0, Ordering::Relaxed);
        let left = std::mem::replace(&mut state.children, Children::One(None));
        let rare = state.rare.as_mut().map(|rare| {
            let mut waiting = std::mem::take(&mut rare.parked);
            waiting.append(&mut rare.shut);
            waiting
        });
        let exits = state.rare.as_mut().map(|rare| std::mem::take(&mut rare.exits));
        (state.parent.take(), state.slot, counts, state.waker.take(), left, rare, exits)
    };
    if let Some(parent) = parent {
        remove(parent, slot, counts);
    }
    left.for_each(|child| let_go(child, node));
    if let Some(waiting) = rare.filter(|waiting| !waiting.is_empty()) {
        wake_elsewhere(own.as_ref(), waiting);
    }
    if let Some(exits) = exits.filter(|exits| !exits.is_empty()) {
        run_dropped(exits, node);
    }
}

/// Wakes what waited in a node that has ended, unless it would only wake the owner. A waiter with the owner's
/// waker was dropped with the inner future; one with another waker may be part of a future that another task
/// polls too, and must go on there.
#[cold]
fn wake_elsewhere(own: Option<&Waker>, waiting: Vec<Waker>) {
    let mut wakes = WakeList::default();
    for waker in waiting {
        if !own.is_some_and(|own| own.will_wake(&waker)) {
            wakes.push(waker);
        }
    }
    wakes.wake();
}

/// Releases a child whose parent has ended: its future lives on elsewhere, shared or kept for another poll.
///
/// It inherits nothing until it is polled again. What waited in it only because of a cancellation here is
/// woken: another task may poll it.
fn let_go(child: &NodeRef, parent: &Node) {
    let mut wakes = WakeList::default();
    let (former, spread) = {
        let mut state = child.node().state.lock();
        if !state.parent.as_ref().is_some_and(|now| std::ptr::eq(now.node(), parent)) {
            return;
        }
        child.node().parent.store(0, Ordering::Relaxed);
        child.node().set_bits(&state, 0, COUNTED);
        let former = state.parent.take();
        (former, child.node().refresh_locked(&mut state, Passed::NOTHING, &mut wakes))
    };
    drop(former);
    if spread {
        pass_down(child.clone(), &mut wakes);
    }
    wakes.wake();
}
