//! A node's place in the tree: how it comes there, moves, and leaves.

use std::task::Waker;

use super::cancel::pass_down;
use super::children::Children;
use super::hold::{hold, tell, update_locked};
use super::node::{ENDED, LINKED, Node, NodeRef, Passed, TOLD, told_bit};
use crate::base::sync::Arc;
use crate::base::sync::atomic::Ordering;
use crate::base::wake_list::WakeList;
use crate::scope::exit::run_dropped;
use crate::tree::lazy::{Lazy, ScopeNode};

/// Gives a node without a parent its place in the tree.
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
        // Whoever passes down something newer waits for the child's lock.
        drop(above);
        state.slot = slot;
        let told = state.tells(child.node().bits());
        child.node().set_bits(&state, LINKED | told_bit(told), TOLD);
        child.node().parent.store(parent.node().address(), Ordering::Relaxed);
        let held = told.then(|| parent.clone());
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

/// Gives a new node its place: nobody waits in it yet, and nothing is below it. So nobody is woken.
pub(crate) fn link_new(child: &NodeRef, parent: &NodeRef) {
    link_owned((child.node(), child.clone()), (parent.node(), parent.clone()), None);
}

/// The same for nodes that are known beside the references that go into the tree: each reference is counted
/// once. `waker`: to be woken when something changes, as [`attend`](Node::attend) notes it.
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
        let told = {
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
        if told { update_locked(parent, &mut above, |state| state.holds += 1, &mut wakes) } else { None }
    };
    tell(above, &mut wakes);
}

/// Makes the node of a scope, in its place from the start: nobody else has it yet, so its lock is not needed
/// and nobody is woken. `above` is the node of `parent`.
pub(crate) fn born(above: &Node, parent: NodeRef, lazy: Lazy, waker: Option<Waker>) -> NodeRef {
    let mut wakes = WakeList::default();
    let (child, above) = {
        let mut state = above.state.lock();
        let mut node = Node::from_lazy(lazy, waker);
        let told = node.be_born(parent, state.children.next_key(), above.passes());
        let child: NodeRef = Arc::new(ScopeNode(node));
        state.insert(above, child.clone());
        let above =
            if told { update_locked(above, &mut state, |state| state.holds += 1, &mut wakes) } else { None };
        (child, above)
    };
    tell(above, &mut wakes);
    child
}

/// Takes a node out of its place; its holds there with it.
pub(crate) fn unlink(child: &NodeRef) {
    let (parent, slot, told) = {
        let mut state = child.node().state.lock();
        child.node().parent.store(0, Ordering::Relaxed);
        (state.parent.take(), state.slot, child.node().set_bits(&state, 0, TOLD) & TOLD != 0)
    };
    if let Some(parent) = parent {
        remove(parent, slot, told);
    }
}

fn remove(parent: NodeRef, slot: u32, told: bool) {
    let mut wakes = WakeList::default();
    let (removed, above) = {
        let mut state = parent.node().state.lock();
        let removed = state.children.remove(slot);
        let above = if told {
            update_locked(parent.node(), &mut state, |state| state.holds -= 1, &mut wakes)
        } else {
            None
        };
        (removed, above)
    };
    drop(removed);
    tell(above, &mut wakes);
    wakes.wake();
}

/// A future's node is at its end: out of the tree, and nothing changes it any more.
pub(crate) fn end(node: &Node) {
    let (parent, slot, told, own, left, rare, exits) = {
        let mut state = node.state.lock();
        let told = node.set_bits(&state, ENDED, TOLD) & TOLD != 0;
        node.parent.store(0, Ordering::Relaxed);
        let left = std::mem::replace(&mut state.children, Children::One(None));
        let rare = state.rare.as_mut().map(|rare| {
            let mut waiting = std::mem::take(&mut rare.parked);
            waiting.append(&mut rare.shut);
            waiting
        });
        let exits = state.rare.as_mut().map(|rare| std::mem::take(&mut rare.exits));
        (state.parent.take(), state.slot, told, state.waker.take(), left, rare, exits)
    };
    if let Some(parent) = parent {
        remove(parent, slot, told);
    }
    left.for_each(|child| let_go(child, node));
    if let Some(waiting) = rare.filter(|waiting| !waiting.is_empty()) {
        wake_elsewhere(own.as_ref(), waiting);
    }
    if let Some(exits) = exits.filter(|exits| !exits.is_empty()) {
        run_dropped(exits, node);
    }
}

/// Whoever waited in a node that has ended was dropped with its inner future, or is part of a future
/// that somebody else polls too and that must hear of it. Those who would only wake the owner are
/// the former.
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

/// A future that was polled here lives on elsewhere: shared, or kept for another poll.
///
/// It inherits nothing until it is polled again. What waited in it only because of a cancellation
/// here is woken: there may be somebody else to poll it.
fn let_go(child: &NodeRef, parent: &Node) {
    let mut wakes = WakeList::default();
    let (former, spread) = {
        let mut state = child.node().state.lock();
        if !state.parent.as_ref().is_some_and(|now| std::ptr::eq(now.node(), parent)) {
            return;
        }
        child.node().parent.store(0, Ordering::Relaxed);
        child.node().set_bits(&state, 0, TOLD);
        let former = state.parent.take();
        (former, child.node().refresh_locked(&mut state, Passed::NOTHING, &mut wakes))
    };
    drop(former);
    if spread {
        pass_down(child.clone(), &mut wakes);
    }
    wakes.wake();
}
