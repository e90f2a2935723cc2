//! The scope tree: what is cancelled, what holds, and who is woken. See the README beside this file.

use std::fmt;
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::cause::Cancelled;
use crate::context::{self, Lazy};
use crate::group::GroupState;
use crate::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex};
use crate::wake::WakeList;

/// The deadline of a scope that has none.
pub(crate) const NEVER: u64 = u64::MAX;

/// It was cancelled itself: by `cancel()` or by its own deadline. Never taken back.
const OWN: u8 = 1;
/// The scope around it is cancelled. Kept also under a shield, so that a shield can be taken off.
const INHERITED: u8 = 1 << 1;
/// What is inherited does not count here.
const SHIELD: u8 = 1 << 2;
/// Something inside was already cut short by an inherited cancellation: a shield put up now comes
/// too late, the cancellation goes on to the scope it belongs to.
const UNWINDING: u8 = 1 << 3;
/// Its future is gone: nothing changes it any more.
const ENDED: u8 = 1 << 4;
/// The root of a task: holds are not told any further up.
const TASK_ROOT: u8 = 1 << 5;
/// Its timer has fired and was not looked at yet.
const TIMER: u8 = 1 << 6;
/// The last hold inside was ended by somebody else since the current poll began, or before it.
const RELEASED: u8 = 1 << 7;

/// Whatever has a place in the tree: a scope, a task, a group.
pub(crate) trait HasNode: Send + Sync {
    fn node(&self) -> &Node;

    /// What the timer of its own deadline wakes. Only what has deadlines needs one.
    fn timer_waker(self: Arc<Self>) -> Waker {
        Waker::noop().clone()
    }

    /// The group whose scope this is, for finding the nearest one around an orphan.
    fn as_group(self: Arc<Self>) -> Option<Arc<GroupState>> {
        None
    }
}

/// A link in the tree. Parents own their children until these are unlinked, children their parent.
pub(crate) type NodeRef = Arc<dyn HasNode>;

/// A node of the scope tree.
///
/// `bits` and `deadline` are written under the lock of `state` and read without it.
pub(crate) struct Node {
    bits: AtomicU8,
    /// The earliest deadline in sight: its own, and its parents' up to a shield.
    deadline: AtomicU64,
    /// The address of the parent's node, to see cheaply whether a poll comes from elsewhere. 0: none.
    parent: AtomicUsize,
    /// Where it was opened, for messages. None for tasks.
    opened: Option<&'static Location<'static>>,
    state: Mutex<State>,
}

struct State {
    parent: Option<NodeRef>,
    /// Its key among the parent's children.
    slot: usize,
    children: Children,
    /// How many things inside hold.
    holds: i32,
    /// Whether it holds its parent whatever is inside (a group with children, a clean-up to come).
    holds_parent: bool,
    /// Whether it is counted among the holds of its parent, or would be if it had one.
    told: bool,
    /// It was kept for one more poll because the last hold went away during the one before.
    kept_once: bool,
    own_deadline: u64,
    /// The time that was asked for, if the deadline was given as one.
    after: Option<Duration>,
    waker: Option<Waker>,
    rare: Option<Box<Rare>>,
}

/// What only few scopes need, most of them cancelled ones.
#[derive(Default)]
struct Rare {
    cause: Option<Cancelled>,
    reason: Option<Box<str>>,
    /// Where the deadline was moved.
    moved: Option<&'static Location<'static>>,
    /// Woken when a hold begins after all: those who wait to be dropped.
    parked: Vec<Waker>,
    /// Woken when the cancellation is taken back by a shield: those who left their queue.
    shut: Vec<Waker>,
    /// Woken when the cancellation arrives: those who wait for it.
    watchers: Vec<Waker>,
}

/// The children of a node: mostly none or one, so that a chain of scopes allocates no table.
enum Children {
    One(Option<NodeRef>),
    Many(Box<Slab<NodeRef>>),
}

impl Children {
    fn insert(&mut self, child: NodeRef) -> usize {
        match self {
            Children::One(place @ None) => {
                *place = Some(child);
                0
            }
            Children::One(first) => {
                // The first keeps the key 0 that it was told.
                let mut table: Slab<NodeRef> = first.take().map(|first| (0, first)).into_iter().collect();
                let key = table.insert(child);
                *self = Children::Many(Box::new(table));
                key
            }
            Children::Many(table) => table.insert(child),
        }
    }

    fn remove(&mut self, key: usize) -> Option<NodeRef> {
        match self {
            Children::One(place) => place.take(),
            Children::Many(table) => table.try_remove(key),
        }
    }

    fn for_each(&self, mut visit: impl FnMut(&NodeRef)) {
        match self {
            Children::One(place) => place.iter().for_each(visit),
            Children::Many(table) => table.iter().for_each(|(_, child)| visit(child)),
        }
    }
}

/// What a future that was pending has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Stay pending, inner future and all.
    Stay,
    /// Drop the inner future, stay pending: the scope around resolves.
    Drop,
    /// Drop the inner future and end as cancelled.
    Resolve,
}

fn effective(bits: u8) -> bool {
    bits & OWN != 0 || inherited(bits)
}

fn inherited(bits: u8) -> bool {
    bits & INHERITED != 0 && !shielded(bits)
}

fn shielded(bits: u8) -> bool {
    bits & SHIELD != 0 && bits & UNWINDING == 0
}

impl Node {
    /// The node of a scope that was opened at `opened`.
    pub(crate) fn new(opened: &'static Location<'static>) -> Node {
        Node::with(0, NEVER, None, Some(opened))
    }

    pub(crate) fn from_lazy(lazy: Lazy) -> Node {
        let bits = if lazy.shield { SHIELD } else { 0 };
        Node::with(bits, lazy.deadline, lazy.after, lazy.opened)
    }

    pub(crate) fn task_root() -> Node {
        Node::with(TASK_ROOT, NEVER, None, None)
    }

    fn with(
        bits: u8,
        own_deadline: u64,
        after: Option<Duration>,
        opened: Option<&'static Location<'static>>,
    ) -> Node {
        Node {
            bits: AtomicU8::new(bits),
            deadline: AtomicU64::new(own_deadline),
            parent: AtomicUsize::new(0),
            opened,
            state: Mutex::new(State {
                parent: None,
                slot: 0,
                children: Children::One(None),
                holds: 0,
                holds_parent: false,
                told: false,
                kept_once: false,
                own_deadline,
                after,
                waker: None,
                rare: None,
            }),
        }
    }

    fn bits(&self) -> u8 {
        self.bits.load(Ordering::Acquire)
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Cancelled, by itself or by what is around it and not shielded off.
    pub(crate) fn is_cancelled(&self) -> bool {
        effective(self.bits())
    }

    /// Cancelled by something around it. Goes before its own: the outermost scope returns.
    pub(crate) fn is_inherited(&self) -> bool {
        inherited(self.bits())
    }

    pub(crate) fn is_own_cancelled(&self) -> bool {
        self.bits() & OWN != 0
    }

    pub(crate) fn is_shielded(&self) -> bool {
        self.bits() & SHIELD != 0
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.bits() & ENDED != 0
    }

    /// Something inside was cut short by a cancellation from outside, which still stands.
    pub(crate) fn is_cut_from_outside(&self) -> bool {
        let bits = self.bits();
        bits & UNWINDING != 0 && inherited(bits)
    }

    /// The earliest deadline in sight.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    pub(crate) fn own_deadline(&self) -> u64 {
        self.state.lock().own_deadline
    }

    /// Whether something inside holds.
    pub(crate) fn holds(&self) -> bool {
        self.state.lock().holds > 0
    }

    pub(crate) fn is_under(&self, parent: Option<&NodeRef>) -> bool {
        self.parent.load(Ordering::Relaxed) == parent.map_or(0, |parent| parent.node().address())
    }

    pub(crate) fn parent(&self) -> Option<NodeRef> {
        self.state.lock().parent.clone()
    }

    /// Its own cause, or that of the outermost scope around it that cancelled it.
    pub(crate) fn cause(self: &Node) -> Option<Cancelled> {
        let mut found = self.own_cause();
        let mut next = if self.is_inherited() { self.parent() } else { None };
        while let Some(node) = next {
            found = node.node().own_cause().or(found);
            next = if node.node().is_inherited() { node.node().parent() } else { None };
        }
        found
    }

    pub(crate) fn own_cause(&self) -> Option<Cancelled> {
        self.state.lock().rare.as_ref().and_then(|rare| rare.cause.clone())
    }

    pub(crate) fn set_reason(&self, reason: &str) {
        self.state.lock().rare().reason = Some(reason.into());
    }

    /// Remembers whom to wake when something changes here. True when it was already remembered.
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        if self.state.lock().waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return true;
        }
        let new = waker.clone();
        let old = self.state.lock().waker.replace(new);
        drop(old);
        false
    }

    /// Waits to be dropped with the scope; woken if a hold begins in it after all.
    pub(crate) fn park(&self, waker: &Waker) {
        self.keep(waker, |rare| &mut rare.parked);
    }

    /// Waits to be dropped with the scope; woken only if the cancellation is taken back.
    pub(crate) fn shut(&self, waker: &Waker) {
        self.keep(waker, |rare| &mut rare.shut);
    }

    /// Waits for the cancellation itself.
    pub(crate) fn watch(&self, waker: &Waker) {
        self.keep(waker, |rare| &mut rare.watchers);
    }

    fn keep(&self, waker: &Waker, list: fn(&mut Rare) -> &mut Vec<Waker>) {
        const LOOK_BACK: usize = 64;
        let new = waker.clone();
        let mut state = self.state.lock();
        let list = list(state.rare());
        if !list.iter().rev().take(LOOK_BACK).any(|known| known.will_wake(&new)) {
            list.push(new);
        }
    }

    /// Notes that the timer fired; the scope looks at it when it is polled.
    pub(crate) fn timer_fired(&self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.state.lock();
            self.bits.fetch_or(TIMER, Ordering::AcqRel);
            wakes.take(&mut state.waker);
        }
        wakes.wake();
    }

    pub(crate) fn take_timer_fired(&self) -> bool {
        self.bits() & TIMER != 0 && {
            let _state = self.state.lock();
            self.bits.fetch_and(!TIMER, Ordering::AcqRel) & TIMER != 0
        }
    }

    /// A poll begins: what was released before it, the future will see.
    pub(crate) fn begin_poll(&self) {
        if self.bits() & RELEASED != 0 {
            self.bits.fetch_and(!RELEASED, Ordering::AcqRel);
        }
    }

    /// Decides about a future of this node that was just polled and is pending.
    ///
    /// `resolves`: a drop point that ends when it is cancelled from outside (a branch, a child)
    /// instead of leaving that to the scope around it. `gone`: its inner future was dropped before.
    pub(crate) fn verdict(&self, waker: &Waker, resolves: bool, gone: bool) -> Verdict {
        self.register(waker);
        let bits = self.bits();
        if !effective(bits) {
            return if gone { Verdict::Resolve } else { Verdict::Stay };
        }
        let mut wakes = WakeList::default();
        let (held, released, parent) = {
            let mut state = self.state.lock();
            let held = state.holds > 0;
            if held && let Some(rare) = &mut state.rare {
                wakes.append(&mut rare.parked);
            }
            let released = !held && self.bits() & RELEASED != 0 && !state.kept_once;
            state.kept_once = released;
            (held, released, state.parent.clone())
        };
        if held {
            wakes.wake();
            return Verdict::Stay;
        }
        if released {
            // Another thread has ended a hold after the future was polled. What that brought (a
            // result, the errors of a group) must be seen before anything is dropped. Once: what
            // begins and ends a hold in each poll would stay for ever.
            waker.wake_by_ref();
            return Verdict::Stay;
        }
        if !inherited(bits) || resolves {
            return Verdict::Resolve;
        }
        match parent {
            Some(parent) if !parent.node().holds() => {
                parent.node().park(waker);
                Verdict::Stay
            }
            _ if gone => Verdict::Stay,
            _ => Verdict::Drop,
        }
    }

    fn refresh(&self, parent_cancelled: bool, parent_deadline: u64, wakes: &mut WakeList) -> bool {
        let mut state = self.state.lock();
        self.refresh_locked(&mut state, parent_cancelled, parent_deadline, wakes)
    }

    /// Takes over what the parent passes down; whether the children must hear of it.
    fn refresh_locked(
        &self,
        state: &mut State,
        parent_cancelled: bool,
        parent_deadline: u64,
        wakes: &mut WakeList,
    ) -> bool {
        let before = self.bits();
        let after = if parent_cancelled { before | INHERITED } else { before & !INHERITED };
        if parent_cancelled {
            self.bits.fetch_or(INHERITED, Ordering::AcqRel);
        } else {
            self.bits.fetch_and(!INHERITED, Ordering::AcqRel);
        }
        let in_sight =
            if shielded(after) { state.own_deadline } else { state.own_deadline.min(parent_deadline) };
        let moved = self.deadline.swap(in_sight, Ordering::AcqRel) != in_sight;
        let turned = effective(before) != effective(after);
        if turned {
            state.turned(effective(after), wakes);
        }
        turned || moved
    }
}

impl State {
    /// Whether it is a hold for its parent. The root of a task is none: its group holds instead.
    fn tells(&self, bits: u8) -> bool {
        (self.holds > 0 || self.holds_parent || shielded(bits)) && bits & TASK_ROOT == 0
    }

    /// Collects whom it concerns that the node is cancelled now, or is not any more.
    fn turned(&mut self, cancelled: bool, wakes: &mut WakeList) {
        wakes.take(&mut self.waker);
        if let Some(rare) = &mut self.rare {
            if cancelled {
                wakes.append(&mut rare.watchers);
            } else {
                wakes.append(&mut rare.parked);
                wakes.append(&mut rare.shut);
            }
        }
    }

    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// Cancels a node itself; false when it was cancelled before, or has ended.
pub(crate) fn cancel(target: &NodeRef, cause: impl FnOnce() -> Cancelled) -> bool {
    let node = target.node();
    if node.bits() & (OWN | ENDED) != 0 {
        return false;
    }
    let cause = cause();
    let mut wakes = WakeList::default();
    let spread = {
        let mut state = node.state.lock();
        let before = node.bits();
        if before & (OWN | ENDED) != 0 {
            return false;
        }
        node.bits.fetch_or(OWN, Ordering::AcqRel);
        state.rare().cause = Some(cause);
        wakes.append(&mut state.rare().watchers);
        wakes.take(&mut state.waker);
        !effective(before)
    };
    if spread {
        pass_down(target.clone(), &mut wakes);
    }
    wakes.wake();
    true
}

/// Tells the subtree what has changed at its top. Iterative: a tree may be deep.
///
/// Each node is refreshed under its parent's lock from what the parent is at that moment, so that
/// two changes on their way down at once cannot leave an old state behind.
fn pass_down(top: NodeRef, wakes: &mut WakeList) {
    let mut work = vec![top];
    while let Some(parent) = work.pop() {
        let node = parent.node();
        let state = node.state.lock();
        let cancelled = node.is_cancelled();
        let deadline = node.deadline();
        state.children.for_each(|child| {
            if child.node().refresh(cancelled, deadline, wakes) {
                work.push(child.clone());
            }
        });
    }
}

/// Cancels every scope in sight of `from` whose deadline has passed, outermost first.
pub(crate) fn expire(from: &NodeRef, now: u64) {
    let mut late = Vec::new();
    let mut next = Some(from.clone());
    while let Some(node) = next {
        let above = {
            let state = node.node().state.lock();
            if state.own_deadline <= now {
                late.push(node.clone());
            }
            if shielded(node.node().bits()) { None } else { state.parent.clone() }
        };
        next = above;
    }
    for node in late.into_iter().rev() {
        cancel(&node, || {
            let node = node.node();
            let state = node.state.lock();
            let rare = state.rare.as_ref();
            let location = rare.and_then(|rare| rare.moved).or(node.opened);
            let reason = rare.and_then(|rare| rare.reason.clone());
            let after = state.after;
            drop(state);
            Cancelled::deadline(reason, after, location.unwrap_or_else(Location::caller))
        });
    }
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
        state.after = after;
        if moved.is_some() {
            state.rare().moved = moved;
        }
        // The owner arms its timer anew.
        state.waker.take()
    });
}

/// Puts the shield up or takes it down.
pub(crate) fn set_shield(target: &NodeRef, shield: bool) {
    change(target, |node, _| {
        if shield {
            node.bits.fetch_or(SHIELD, Ordering::AcqRel);
        } else {
            node.bits.fetch_and(!SHIELD, Ordering::AcqRel);
        }
        None
    });
    update_holds(target.clone(), |_| ());
}

/// A node has no parent any more: it inherits nothing.
pub(crate) fn orphaned(target: &NodeRef) {
    change(target, |_, _| None);
}

/// Changes what a node makes of what it inherits, then tells it and its subtree.
fn change(target: &NodeRef, apply: impl FnOnce(&Node, &mut State) -> Option<Waker>) {
    let node = target.node();
    let mut wakes = WakeList::default();
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
        let before = node.is_cancelled();
        if let Some(apply) = apply.take()
            && let Some(waker) = apply(node, &mut state)
        {
            wakes.push(waker);
        }
        let (cancelled, deadline) =
            parent.as_ref().map_or((false, NEVER), |p| (p.node().is_cancelled(), p.node().deadline()));
        let mut spread = node.refresh_locked(&mut state, cancelled, deadline, &mut wakes);
        if before != node.is_cancelled() {
            // The flag itself did not move, what is made of it did.
            state.turned(!before, &mut wakes);
            spread = true;
        }
        drop(state);
        drop(above);
        if spread {
            pass_down(target.clone(), &mut wakes);
        }
        break;
    }
    wakes.wake();
}

/// Notes, from a node that an inherited cancellation cut short up to the scope it came from, that
/// it can no longer be shielded off.
pub(crate) fn mark_unwinding(from: &NodeRef) {
    let mut next = Some(from.clone());
    while let Some(node) = next {
        let state = node.node().state.lock();
        let bits = node.node().bits();
        if !inherited(bits) || bits & UNWINDING != 0 {
            return;
        }
        node.node().bits.fetch_or(UNWINDING, Ordering::AcqRel);
        let above = state.parent.clone();
        drop(state);
        next = above;
    }
}

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

fn update_holds(node: NodeRef, first: impl FnOnce(&mut State)) {
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

/// Gives a node without a parent its place in the tree.
pub(crate) fn link(child: &NodeRef, parent: &NodeRef) {
    if is_inside(parent, child) {
        tracing::warn!("a future is polled inside itself: it does not inherit cancellation from there");
        return;
    }
    let mut wakes = WakeList::default();
    let (told, spread) = {
        let mut above = parent.node().state.lock();
        let slot = above.children.insert(child.clone());
        let cancelled = parent.node().is_cancelled();
        let deadline = parent.node().deadline();
        let mut state = child.node().state.lock();
        state.parent = Some(parent.clone());
        state.slot = slot;
        state.told = state.tells(child.node().bits());
        child.node().parent.store(parent.node().address(), Ordering::Relaxed);
        let spread = child.node().refresh_locked(&mut state, cancelled, deadline, &mut wakes);
        (state.told, spread)
    };
    if spread {
        pass_down(child.clone(), &mut wakes);
    }
    wakes.wake();
    if told {
        hold(parent.clone(), 1);
    }
}

/// Whether `inner` stands below `outer`: a future may have been handed to one of its own children.
fn is_inside(inner: &NodeRef, outer: &NodeRef) -> bool {
    if matches!(outer.node().state.lock().children, Children::One(None)) {
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

/// Takes a node out of its place; its holds there with it.
pub(crate) fn unlink(child: &NodeRef) {
    let (parent, slot, told) = {
        let mut state = child.node().state.lock();
        child.node().parent.store(0, Ordering::Relaxed);
        (state.parent.take(), state.slot, std::mem::take(&mut state.told))
    };
    let Some(parent) = parent else { return };
    let removed = parent.node().state.lock().children.remove(slot);
    drop(removed);
    if told {
        hold(parent, -1);
    }
}

/// A future's node is at its end: out of the tree, and nothing changes it any more.
pub(crate) fn end(target: &NodeRef) {
    unlink(target);
    let (own, waiting, left) = {
        let mut state = target.node().state.lock();
        target.node().bits.fetch_or(ENDED, Ordering::AcqRel);
        let mut waiting = Vec::new();
        if let Some(rare) = &mut state.rare {
            waiting.append(&mut rare.parked);
            waiting.append(&mut rare.shut);
        }
        let left = std::mem::replace(&mut state.children, Children::One(None));
        (state.waker.take(), waiting, left)
    };
    left.for_each(|child| let_go(child, target));
    // Whoever waited in here was dropped with the inner future, or is part of a future that
    // somebody else polls too and that must hear of it. Those who would only wake the owner are the
    // former.
    let mut wakes = WakeList::default();
    let (gone, elsewhere): (Vec<_>, Vec<_>) =
        waiting.into_iter().partition(|waker| own.as_ref().is_some_and(|own| own.will_wake(waker)));
    elsewhere.into_iter().for_each(|waker| wakes.push(waker));
    drop((own, gone, left));
    wakes.wake();
}

/// A future that was polled here lives on elsewhere: shared, or kept for another poll.
///
/// It inherits nothing until it is polled again. What waited in it only because of a cancellation
/// here is woken: there may be somebody else to poll it.
fn let_go(child: &NodeRef, parent: &NodeRef) {
    let mut wakes = WakeList::default();
    let (former, spread) = {
        let mut state = child.node().state.lock();
        if !state.parent.as_ref().is_some_and(|now| std::ptr::eq(now.node(), parent.node())) {
            return;
        }
        child.node().parent.store(0, Ordering::Relaxed);
        state.told = false;
        let former = state.parent.take();
        (former, child.node().refresh_locked(&mut state, false, NEVER, &mut wakes))
    };
    drop(former);
    if spread {
        pass_down(child.clone(), &mut wakes);
    }
    wakes.wake();
}

impl Drop for Node {
    /// Lets go of the chain of parents one by one: it may be a million long.
    fn drop(&mut self) {
        let mut next = self.state.lock().parent.take();
        while let Some(parent) = next {
            next =
                if Arc::strong_count(&parent) == 1 { parent.node().state.lock().parent.take() } else { None };
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        f.debug_struct("Node")
            .field("cancelled", &effective(bits))
            .field("own", &(bits & OWN != 0))
            .field("shield", &(bits & SHIELD != 0))
            .field("ended", &(bits & ENDED != 0))
            .finish_non_exhaustive()
    }
}
