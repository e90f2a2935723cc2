//! What changes a node and is passed down: cancellation, deadlines, shields.

use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use super::cut::{SHIELDS, mark_what_was_caught};
use super::hold::update_holds_into;
use super::moment::Moment;
use super::node::{
    CAUGHT, ENDED, INHERITED, LINKED, Node, NodeRef, OWN, Passed, SHIELD, STOP_INHERITED, State, TOLD,
    UNSEEN, effective, inherited, shielded, stops, told_bit,
};
use super::{Cancelled, Cause};
use crate::base::clock::NEVER;
use crate::base::sync::atomic::Ordering;
use crate::base::wake_list::WakeList;

/// Cancels a node itself; false when it was cancelled before, or has ended.
pub(crate) fn cancel(target: &NodeRef, cause: impl FnOnce() -> Cancelled) -> bool {
    let node = target.node();
    if node.bits() & (OWN | ENDED) != 0 {
        return false;
    }
    let cause = cause();
    // Before it is anybody's: a subscriber is user code.
    let told = tracing::enabled!(target: "anyrt::cancel", tracing::Level::DEBUG).then(|| cause.clone());
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
    if let Some(cause) = told {
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

/// Tells the subtree what has changed at its top. Iterative: a tree may be deep.
///
/// Each node is refreshed under its parent's lock from what the parent is at that moment, so that
/// two changes on their way down at once cannot leave an old state behind.
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

/// Of the scopes in sight of `from` whose deadline has passed, cancels the one whose deadline is the earliest;
/// of several with the same one the outermost.
///
/// Only one: when it has answered, what goes on around it comes to the next one by itself. So which scope answers
/// does not depend on how late somebody looks.
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

/// Whose turn it is, when a scope's deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Its own: it is cancelled.
    Now,
    /// That of a scope around it, which looks next.
    AfterThoseAround,
    /// That of scopes inside, which were due earlier and had not looked: they are cancelled.
    AfterThoseInside,
}

/// The owner of a scope sees, after a pending poll, that its deadline has passed: it is cancelled, if it is its turn.
///
/// The order is that of the deadlines, and of the same ones from outside to inside. Those inside have looked in the same
/// poll, but the clock went on since.
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

/// The scopes in sight below `top` that are due before `due` and not cancelled, the earliest first. Iterative: a tree
/// may be deep.
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

/// Moves a node's own deadline. Does not cancel: the caller knows the time.
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
        // The owner arms its timer anew.
        state.waker.take()
    });
}

/// Puts the shield up or takes it down.
///
/// Too late is a shield that goes up when something inside was cut short, or waited when the cancellation
/// came and will be; in time for what is running and has not waited since.
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
        // Before somebody who was told of the shield can ask whether it holds.
        update_holds_into(target.node(), |_| (), &mut wakes);
    }
    wakes.wake();
}

/// A node has no parent any more: it inherits nothing.
pub(crate) fn orphaned(target: &NodeRef) {
    change(target, |_, _| None);
}

/// Changes what a node makes of what it inherits, then tells it and its subtree.
pub(super) fn change(target: &NodeRef, apply: impl FnOnce(&Node, &mut State) -> Option<Waker>) {
    let mut wakes = WakeList::default();
    change_into(target, &mut wakes, apply);
    wakes.wake();
}

fn change_into(
    target: &NodeRef,
    wakes: &mut WakeList,
    apply: impl FnOnce(&Node, &mut State) -> Option<Waker>,
) {
    let node = target.node();
    let mut apply = Some(apply);
    loop {
        // Downwards only: the parent's lock is taken first, then it must still be the parent.
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
            state.told_to_stop(wakes);
            spread = true;
        }
        let after = node.bits();
        if effective(before) != effective(after) {
            // The flag itself did not move, what is made of it did.
            state.turned(effective(after), wakes);
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
    /// Takes its first place. Whether it is a hold there.
    #[inline]
    pub(super) fn be_born(&mut self, parent: NodeRef, slot: u32, passed: Passed) -> bool {
        let bits = self.bits();
        let address = parent.node().address();
        let state = self.state.get_mut();
        state.parent = Some(parent);
        state.slot = slot;
        let told = state.tells(bits);
        self.parent.store(address, Ordering::Relaxed);
        self.bits.store(bits | LINKED | told_bit(told) | inherits(passed), Ordering::Relaxed);
        if !shielded(bits) && passed.deadline < state.own_deadline {
            self.deadline.store(passed.deadline, Ordering::Relaxed);
        }
        if passed.cancelled {
            state.cancelled = Moment::now();
        }
        told
    }

    /// What a new node makes of its parent: nobody has read it, nobody is to be told. Whether it is a hold there.
    pub(super) fn inherit_first(&self, state: &mut State, passed: Passed) -> bool {
        let bits = self.bits();
        let told = state.tells(bits);
        self.set_bits(state, LINKED | told_bit(told) | inherits(passed), TOLD);
        if !shielded(bits) && passed.deadline < state.own_deadline {
            self.deadline.store(passed.deadline, Ordering::Release);
        }
        if passed.cancelled {
            state.cancelled = Moment::now();
        }
        told
    }

    pub(super) fn refresh(&self, passed: Passed, wakes: &mut WakeList) -> bool {
        let mut state = self.state.lock();
        self.refresh_locked(&mut state, passed, wakes)
    }

    /// Takes over what the parent passes down; whether the children must hear of it.
    pub(super) fn refresh_locked(&self, state: &mut State, passed: Passed, wakes: &mut WakeList) -> bool {
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
            state.turned(effective(after), wakes);
        }
        let stopped = stops(before) != stops(after);
        if stopped {
            state.told_to_stop(wakes);
        }
        (turned || stopped || moved) && !state.children.is_empty()
    }
}

/// The flags of what a parent passes down.
fn inherits(passed: Passed) -> u32 {
    let cancelled = if passed.cancelled { INHERITED } else { 0 };
    let stopping = if passed.stopping { STOP_INHERITED } else { 0 };
    cancelled | stopping
}
