//! What changes a node and is passed down: cancellation, deadlines, shields.

use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use super::cut::{SHIELDS, mark_what_was_caught};
use super::hold::update_holds_into;
use super::moment::Moment;
use super::node::{
    CAUGHT, COUNTED, ENDED, INHERITED, LINKED, Node, NodeRef, NodeState, OWN, Passed, SHIELD, STOP_INHERITED,
    UNSEEN, counted_bit, effective, inherited, shielded, stops,
};
use super::{Cancelled, Cause};
use crate::base::clock::NEVER;
use crate::base::sync::atomic::Ordering;
use crate::base::wake_list::WakeList;

/// Cancels a node itself. False when it was cancelled before, or has ended.
pub(crate) fn cancel(target: &NodeRef, cause: impl FnOnce() -> Cancelled) -> bool {
    let node = target.node();
    if node.bits() & (OWN | ENDED) != 0 {
        return false;
    }
    let cause = cause();
    // Copied while it is still ours: a subscriber is user code, and must not run under the lock.
    let logged = tracing::enabled!(target: "anyrt::cancel", tracing::Level::DEBUG).then(|| cause.clone());
    let mut wakes = WakeList::default();
    Moment::begin_cancelling();
    let spread = {
        let mut state = node.state.lock();
        let before = node.bits();
        if before & (OWN | ENDED) != 0 {
            return false;
        }
        node.set_bits(&state, OWN, 0);
        state.rare().cause = Some(cause);
        state.rare().wake_watchers(&mut wakes);
        wakes.take(&mut state.waker);
        if !effective(before) {
            state.cancelled = Moment::now();
        }
        !effective(before)
    };
    if spread {
        pass_down(target.clone(), &mut wakes);
    }
    wakes.wake();
    if let Some(cause) = logged {
        tracing::debug!(target: "anyrt::cancel", opened = node.opened.map(tracing::field::display), %cause);
    }
    true
}

/// What each `cancel` of a handle does: the story tells where it was called.
#[track_caller]
pub(crate) fn cancel_by_call(node: &NodeRef, reason: Option<&str>) {
    let location = Location::caller();
    cancel(node, || Cancelled::new(Cause::Explicit, reason.map(Into::into), location));
}

/// Passes down what has changed at the top of a subtree. Iterative: a tree may be deep.
///
/// Each node is refreshed under its parent's lock, from what the parent is at that moment. So of two changes
/// that go down at once, neither can leave an old state behind.
pub(super) fn pass_down(top: NodeRef, wakes: &mut WakeList) {
    let mut work = vec![top];
    while let Some(parent) = work.pop() {
        let node = parent.node();
        let state = node.state.lock();
        let passed = node.passes();
        state.children.for_each(|child| {
            if child.node().refresh(passed, wakes) {
                work.push(child.clone());
            }
        });
    }
}

/// Looks at the scopes in sight of `from` whose deadline has passed, and cancels the one with the earliest; of
/// several with the same one, the outermost.
///
/// Only one: when that has ended, what goes on around it comes to the next by itself. So which scope is
/// cancelled does not depend on how late the clock is looked at.
pub(crate) fn expire(from: &NodeRef, now: u64) {
    let mut first: Option<(u64, NodeRef)> = None;
    let mut next = Some(from.clone());
    while let Some(node) = next {
        let above = {
            let state = node.node().state.lock();
            let (bits, due) = (node.node().bits(), state.due());
            let passed = due <= now && bits & (OWN | ENDED) == 0;
            if passed && first.as_ref().is_none_or(|(earliest, _)| due <= *earliest) {
                first = Some((due, node.clone()));
            }
            if shielded(bits) { None } else { state.parent.clone() }
        };
        next = above;
    }
    if let Some((_, node)) = first {
        time_out(&node);
    }
}

/// Which scope is to be cancelled when the deadline of one has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The scope itself: it is cancelled.
    Now,
    /// A scope around it, which was due no later: its owner looks next.
    AfterThoseAround,
    /// Scopes inside, which were due earlier and had not looked: they are cancelled.
    AfterThoseInside,
}

/// Called by the owner of a scope that sees, after a pending poll, that its deadline has passed: cancels it, if
/// no other scope goes first.
///
/// Deadlines are answered in their order, equal ones from outside to inside. The scopes inside have looked in
/// the same poll, but the clock has gone on since.
pub(crate) fn come_due(owner: &NodeRef) -> Due {
    let (due, above) = {
        let state = owner.node().state.lock();
        let above = if shielded(owner.node().bits()) { None } else { state.parent.clone() };
        (state.due(), above)
    };
    if above.is_some_and(|above| above.node().deadline() <= due) {
        return Due::AfterThoseAround;
    }
    let earlier = due_below(owner, due);
    if earlier.is_empty() {
        time_out(owner);
        return Due::Now;
    }
    for (_, inside) in earlier {
        time_out(&inside);
    }
    Due::AfterThoseInside
}

/// The scopes in sight below `top` that are due before `due` and are not cancelled, earliest first. Iterative:
/// a tree may be deep.
fn due_below(top: &NodeRef, due: u64) -> Vec<(u64, NodeRef)> {
    let mut found = Vec::new();
    let mut work = vec![top.clone()];
    while let Some(parent) = work.pop() {
        parent.node().state.lock().children.for_each(|child| {
            let bits = child.node().bits();
            if effective(bits) || shielded(bits) {
                return;
            }
            let own = child.node().state.lock().due();
            if own < due {
                found.push((own, child.clone()));
            }
            work.push(child.clone());
        });
    }
    found.sort_by_key(|(due, _)| *due);
    found
}

/// Cancels a node because its own deadline, or the end of its grace, has come.
pub(crate) fn time_out(owner: &NodeRef) {
    cancel(owner, || {
        let node = owner.node();
        let state = node.state.lock();
        if let Some(stop) = state.stop().filter(|stop| stop.at < state.own_deadline) {
            return stop.story.clone();
        }
        let rare = state.rare.as_ref();
        let location = rare.and_then(|rare| rare.moved).or(node.opened);
        let reason = rare.and_then(|rare| rare.reason.clone());
        let after = (state.after != NEVER).then(|| Duration::from_nanos(state.after));
        drop(state);
        Cancelled::deadline(reason, after, location.unwrap_or_else(Location::caller), owner)
    });
}

/// Moves a node's own deadline. Does not cancel it: the clock is the caller's to read.
pub(crate) fn set_deadline(
    target: &NodeRef,
    deadline: u64,
    after: Option<Duration>,
    moved: Option<&'static Location<'static>>,
) {
    change(target, |_, state| {
        state.own_deadline = deadline;
        state.after = after.and_then(|after| u64::try_from(after.as_nanos()).ok()).unwrap_or(NEVER);
        if moved.is_some() {
            state.rare().moved = moved;
        }
        // The owner is woken to arm its timer anew.
        state.waker.take()
    });
}

/// Puts the shield up or takes it down.
///
/// A shield that goes up is too late for what was cut short inside, or waited there when the cancellation came
/// and so will be; it is in time for what is running and has not waited since.
pub(crate) fn set_shield(target: &NodeRef, shield: bool) {
    let mut wakes = WakeList::default();
    {
        let _alone = (shield && target.node().was_linked()).then(|| SHIELDS.alone());
        if shield {
            mark_what_was_caught(target);
        } else {
            Moment::begin_cancelling();
        }
        let (set, clear) = if shield { (SHIELD, 0) } else { (0, SHIELD) };
        change_into(target, &mut wakes, |node, state| {
            node.set_bits(state, set, clear);
            None
        });
        // The hold is passed up before `SHIELDS` is free: code that sees the shield must not find a count
        // without its hold.
        update_holds_into(target.node(), |_| (), &mut wakes);
    }
    wakes.wake();
}

/// The node has no parent any more: it inherits nothing.
pub(crate) fn orphaned(target: &NodeRef) {
    change(target, |_, _| None);
}

/// Applies a change to a node, then refreshes it and, where that matters there, its subtree.
pub(super) fn change(target: &NodeRef, apply: impl FnOnce(&Node, &mut NodeState) -> Option<Waker>) {
    let mut wakes = WakeList::default();
    change_into(target, &mut wakes, apply);
    wakes.wake();
}

fn change_into(
    target: &NodeRef,
    wakes: &mut WakeList,
    apply: impl FnOnce(&Node, &mut NodeState) -> Option<Waker>,
) {
    let node = target.node();
    let mut apply = Some(apply);
    loop {
        // Locks go downwards only: so the parent's is taken first, and then it must still be the parent.
        let parent = node.parent();
        let above = parent.as_ref().map(|parent| parent.node().state.lock());
        let mut state = node.state.lock();
        let same = match (&state.parent, &parent) {
            (Some(now), Some(then)) => std::ptr::eq(now.node(), then.node()),
            (None, None) => true,
            _ => false,
        };
        if !same {
            continue;
        }
        let (before, stopped) = (node.bits(), node.is_stopping());
        if let Some(apply) = apply.take()
            && let Some(waker) = apply(node, &mut state)
        {
            wakes.push(waker);
        }
        let passed = parent.as_ref().map_or(Passed::NOTHING, |parent| parent.node().passes());
        let mut spread = node.refresh_locked(&mut state, passed, wakes);
        if stopped != node.is_stopping() {
            state.stopping_changed(wakes);
            spread = true;
        }
        let after = node.bits();
        if effective(before) != effective(after) {
            // `INHERITED` itself did not change, but its effect did: a shield went up or down.
            state.cancellation_changed(effective(after), wakes);
            spread = true;
        }
        if !inherited(before) && inherited(after) && node.waits.load(Ordering::Relaxed) {
            node.set_bits(&state, CAUGHT, 0);
        }
        drop(state);
        drop(above);
        if spread {
            pass_down(target.clone(), wakes);
        }
        break;
    }
}

impl Node {
    /// Links a node that no other thread can see yet, so it takes no lock of its own. Returns whether it counts
    /// as a hold of its parent.
    #[inline]
    pub(super) fn link_fresh(&mut self, parent: NodeRef, slot: u32, passed: Passed) -> bool {
        let bits = self.bits();
        let address = parent.node().address();
        let state = self.state.get_mut();
        state.parent = Some(parent);
        state.slot = slot;
        let counts = state.counts_as_hold(bits);
        self.parent.store(address, Ordering::Relaxed);
        self.bits.store(bits | LINKED | counted_bit(counts) | inherits(passed), Ordering::Relaxed);
        if !shielded(bits) && passed.deadline < state.own_deadline {
            self.deadline.store(passed.deadline, Ordering::Relaxed);
        }
        if passed.cancelled {
            state.cancelled = Moment::now();
        }
        counts
    }

    /// The first refresh of a new node: it has no children and no waiting leaf, so there is nothing to wake.
    /// Returns whether it counts as a hold of its parent.
    pub(super) fn inherit_first(&self, state: &mut NodeState, passed: Passed) -> bool {
        let bits = self.bits();
        let counts = state.counts_as_hold(bits);
        self.set_bits(state, LINKED | counted_bit(counts) | inherits(passed), COUNTED);
        if !shielded(bits) && passed.deadline < state.own_deadline {
            self.deadline.store(passed.deadline, Ordering::Release);
        }
        if passed.cancelled {
            state.cancelled = Moment::now();
        }
        counts
    }

    pub(super) fn refresh(&self, passed: Passed, wakes: &mut WakeList) -> bool {
        let mut state = self.state.lock();
        self.refresh_locked(&mut state, passed, wakes)
    }

    /// Takes over what the parent passes down. Returns whether the children must be refreshed too.
    pub(super) fn refresh_locked(&self, state: &mut NodeState, passed: Passed, wakes: &mut WakeList) -> bool {
        let before = self.bits();
        let mut after = before & !(INHERITED | STOP_INHERITED) | inherits(passed);
        if after & INHERITED == 0 {
            after &= !(UNSEEN | CAUGHT);
        } else if before & INHERITED == 0 {
            after |= UNSEEN;
        }
        if !inherited(before) && inherited(after) && self.waits.load(Ordering::Relaxed) {
            after |= CAUGHT;
        }
        if before != after {
            self.set_bits(state, after, before);
        }
        let due = state.due();
        let in_sight = if shielded(after) { due } else { due.min(passed.deadline) };
        let moved = self.deadline() != in_sight;
        if moved {
            self.deadline.store(in_sight, Ordering::Release);
        }
        let turned = effective(before) != effective(after);
        if turned {
            state.cancellation_changed(effective(after), wakes);
        }
        let stopped = stops(before) != stops(after);
        if stopped {
            state.stopping_changed(wakes);
        }
        (turned || stopped || moved) && !state.children.is_empty()
    }
}

/// The bits that stand for what a parent passes down.
fn inherits(passed: Passed) -> u32 {
    let cancelled = if passed.cancelled { INHERITED } else { 0 };
    let stopping = if passed.stopping { STOP_INHERITED } else { 0 };
    cancelled | stopping
}
