//! A node of the scope tree: its state, and the questions that need no other node.

use std::fmt;
use std::panic::Location;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use super::children::Children;
use super::kind::ScopeKind;
use super::moment::Moment;
use super::{Cancelled, Cause, TaskInfo};
use crate::base::clock::NEVER;
use crate::base::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::WakeList;
use crate::blocking::InJob;
use crate::current::handle::Handle;
use crate::group::GroupState;
use crate::observe::Track;
use crate::scope::exit::Hook;
use crate::tree::lazy::Lazy;
use crate::tree::site::{self, Called, Holder, Note, WaitsFor};

/// How many levels apart an inherited cause is noted in the tree.
const MARK_EVERY: usize = 64;

/// It was cancelled itself, not through its parent.
///
/// Set by `cancel`, from any thread: a call, its own deadline, a failed child of a group, the end of the run.
/// Never cleared. Not set after [`ENDED`]: `cancel` looks at both under the lock. Independent of the shield: a
/// shield does not keep it away.
pub(super) const OWN: u32 = 1;
/// Its parent was cancelled when this node was last refreshed.
///
/// Set and cleared by `refresh_locked` alone, from what the parent passes down, and by `link_fresh` and
/// `inherit_first` for a node that takes its first place. Kept under a [`SHIELD`], where it has no effect, so
/// that it counts at once when the shield is taken down. Never set without [`STOP_INHERITED`]: what is
/// cancelled is stopping too. A node that is between two places keeps it until it is linked again.
pub(super) const INHERITED: u32 = 1 << 1;
/// What is inherited has no effect here.
///
/// Set and cleared by `set_shield`, from any thread; set from the start in the node of a `shield`. Beside
/// [`UNWINDING`] it has no effect: it came too late.
pub(super) const SHIELD: u32 = 1 << 2;
/// Something inside was already cut short by an inherited cancellation. A shield that is put up now comes too
/// late: the cancellation goes on to the scope that it belongs to.
///
/// Set by the owner of a cut node (`cut`), then node by node up to the scope that the cancellation came from
/// (`mark`); also by `set_shield`, for what is [`CAUGHT`]. Only while an inherited cancellation is in effect,
/// so never while an effective shield is up. Never cleared.
pub(super) const UNWINDING: u32 = 1 << 3;
/// Its future is gone, and the node is out of the tree.
///
/// Set once, by `end`: its owner is ready or was dropped. [`COUNTED`], the parent and the children are taken
/// away in the same step. From then on it can neither be cancelled nor told to stop, and takes no clean-up.
pub(super) const ENDED: u32 = 1 << 4;
/// Its holds are not passed further up.
///
/// Set from the start for the root of a task (its group holds in its place) and for a blocking call that may be
/// abandoned; later, by `hold_no_parent`, for a group whose host was dropped: the group that waits for its
/// children holds instead. Never cleared. Never together with [`COUNTED`]; [`HOLDS_PARENT`] has no effect
/// beside it.
pub(super) const TASK_ROOT: u32 = 1 << 5;
/// The timer of its deadline has fired, and its owner has not looked yet.
///
/// Set by the timer's waker, which also takes the owner's waker; cleared by the owner, before its next poll
/// (`take_timer_fired`) or when it leaves its waker (`attend`). It says that there is something to look at, not
/// that the deadline has passed: that is asked of the clock.
pub(super) const TIMER: u32 = 1 << 6;
/// The last hold inside was released by code that runs outside of this node.
///
/// Set by `update_locked`; cleared when a poll begins. So a verdict that sees it knows that its poll may not
/// have seen what the release brought, and keeps the future for one more poll ([`KEPT_ONCE`]). A hold that the
/// poll itself has ended does not set it.
pub(super) const RELEASED: u32 = 1 << 7;
/// It was told to stop itself, and is to be cancelled when a grace is over.
///
/// Set by `stop`, from any thread. Never cleared, and not set any more once [`OWN`] or [`ENDED`] is.
pub(super) const STOPPING: u32 = 1 << 8;
/// Its parent was stopping, or cancelled, when this node was last refreshed.
///
/// Set, cleared and kept under a shield together with [`INHERITED`], which never stands without it.
pub(super) const STOP_INHERITED: u32 = 1 << 9;
/// Its grace has no end yet: there was no clock where it was told to stop.
///
/// Set by `stop` without a time; cleared by the owner's next poll (`begin_grace`), and by a `stop` with a time.
/// Never without [`STOPPING`].
pub(super) const UNTIMED: u32 = 1 << 10;
/// Clean-ups were registered for its end: it is a drop point, and holds its parent until they have run.
///
/// Set by `add_exit`; cleared by `close_exits`, or left when the node ends. Never together with [`EXITED`].
pub(super) const EXITS: u32 = 1 << 11;
/// Its clean-ups have run, and the node lives on for a while: registering one more fails.
///
/// Set by `close_exits`, for a group that was cut short from outside and waits to be dropped. Never cleared.
pub(super) const EXITED: u32 = 1 << 12;
/// It is in the tree, or was.
///
/// Set when it takes its first place (`link`, `link_fresh`, `inherit_first`). Never cleared. Without it no
/// other node has ever seen this one: there is nothing to take out at its end, and its shield goes up without
/// `SHIELDS`.
pub(super) const LINKED: u32 = 1 << 13;
/// Something stands below it, or has.
///
/// Set under the lock when the first child is inserted. Never cleared. Without it the node cannot be inside
/// itself, so `link` need not walk up to find out.
pub(super) const HAD_CHILDREN: u32 = 1 << 14;
/// It is counted among the holds of its parent, or would be if it had one.
///
/// Equal to `counts_as_hold` after each step under the lock: written by `update_locked` and wherever the node
/// is linked; cleared when it is taken out (`unlink`, `let_go`, `end`). The parent's count follows after the
/// lock is released. Never together with [`TASK_ROOT`].
pub(super) const COUNTED: u32 = 1 << 15;
/// It holds its parent, whatever is inside.
///
/// Set and cleared by `hold_parent`: a group with living children, a `finally` whose clean-up is still to come,
/// a `start` whose child is not ready, a blocking call whose closure has not returned.
pub(super) const HOLDS_PARENT: u32 = 1 << 16;
/// It was kept for one more poll, because the one before may not have seen what it was handed.
///
/// Set by a verdict that finds it cancelled and free while [`RELEASED`] is set or a leaf was pending at an open
/// gate; cleared by the next verdict that finds it cancelled. So it is kept once, and not for ever where each
/// poll begins and ends a hold.
pub(super) const KEPT_ONCE: u32 = 1 << 17;
/// Its parent was cancelled, and it has not been polled since.
///
/// Set by `refresh_locked` together with [`INHERITED`], cleared with it, and by the next pending poll
/// (`attend`). No decision hangs on it: only messages and the task view read it.
pub(super) const UNSEEN: u32 = 1 << 18;
/// It waited when an inherited cancellation arrived, and no poll since has kept it: a shield that is put up now
/// comes too late.
///
/// Set where that cancellation comes into effect while the owner's future is pending (`waits`); cleared by a
/// verdict that keeps the future, by `cut`, and with [`INHERITED`], without which it is never set.
pub(super) const CAUGHT: u32 = 1 << 19;

/// What has a node of the tree: a scope, a task, a group.
pub(crate) trait HasNode: Send + Sync {
    fn node(&self) -> &Node;

    /// What the timer of its own deadline wakes. Needed by nodes with a deadline only.
    fn timer_waker(self: Arc<Self>) -> Waker {
        Waker::noop().clone()
    }

    /// Whether it is the node of a blocking job.
    fn is_job(&self) -> bool {
        false
    }

    /// The blocking job whose node this is.
    fn as_job(self: Arc<Self>) -> Option<Arc<dyn InJob>> {
        None
    }

    /// Name and id of the task whose root this is.
    fn as_task(&self) -> Option<&TaskInfo> {
        None
    }

    /// The run of that task.
    fn runs_on(&self) -> Option<&Handle> {
        None
    }

    /// Whether it is the root of a task that is being polled now.
    fn is_polled(&self) -> bool {
        false
    }

    /// The address of the node of the group that counts it as a living child; 0 if none does.
    fn counted_in(&self) -> usize {
        0
    }

    /// The group whose scope this is: asked when an orphaned group looks for the nearest one around it.
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
    pub(super) bits: AtomicU32,
    /// The earliest deadline in sight: its own, and those of the nodes around it up to a shield.
    pub(super) deadline: AtomicU64,
    /// The address of the parent's node, or 0: a cheap way to see that a poll comes from another scope.
    pub(super) parent: AtomicUsize,
    /// Where it was opened, for messages. None for tasks.
    pub(super) opened: Option<&'static Location<'static>>,
    pub(super) kind: ScopeKind,
    /// Its future is pending and is not being polled. If it is cancelled now, it is cut short where it waits.
    /// Written by the owner only.
    pub(super) waits: AtomicBool,
    pub(super) state: Mutex<NodeState>,
}

pub(super) struct NodeState {
    pub(super) parent: Option<NodeRef>,
    /// Its key among the parent's children.
    pub(super) slot: u32,
    pub(super) children: Children,
    /// How many things inside hold.
    pub(super) holds: i32,
    /// When it was cancelled, in the order of all cancellations; meaningless while it is not.
    pub(super) cancelled: Moment,
    pub(super) own_deadline: u64,
    /// The time that was asked for, in nanoseconds, if the deadline was given as one; else [`NEVER`].
    pub(super) after: u64,
    pub(super) waker: Option<Waker>,
    /// Where what runs inside waits, as of its last pending poll.
    pub(super) waits: Option<Note>,
    /// The holder of what it waits for, where the note says [`WaitsFor::Holder`].
    pub(super) holder: Option<Holder>,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few scopes need, most of them cancelled ones.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) cause: Option<Cancelled>,
    /// The cancellation that follows when its grace is over.
    pub(super) stop: Option<Stop>,
    /// The cause that it inherits, noted here and there in a deep tree, so that a chain of a million
    /// scopes that end one by one is not walked up a million times.
    pub(super) inherited: Option<Cancelled>,
    /// Why its inner future was dropped before its end.
    pub(super) cut: Option<Cancelled>,
    pub(super) reason: Option<Box<str>>,
    /// The clean-ups to run at its end, the last one first.
    pub(super) exits: Vec<Hook>,
    /// Where the deadline was moved.
    pub(super) moved: Option<&'static Location<'static>>,
    /// Since when it is cancelled and held, as far as its owner has noticed.
    pub(super) held_since: Option<u64>,
    /// The record of a task that is being observed.
    pub(super) track: Option<Arc<Track>>,
    /// Leaves and scopes that wait to be dropped with this one. Woken when a hold begins after all, or the
    /// cancellation is taken back.
    pub(super) parked: Vec<Waker>,
    /// Leaves that have left their queue. Woken only when a shield takes the cancellation back.
    pub(super) shut: Vec<Waker>,
    /// Tasks that wait for the cancellation or for the word to stop, and are woken by it. An entry stays until
    /// its owner gives it back.
    pub(super) watchers: Slab<Option<Waker>>,
}

/// What a node answers its owner, which waits from now on.
pub(crate) struct Attended {
    /// When it is to be cancelled.
    pub(crate) due: u64,
    /// Its timer has fired and found no waker.
    pub(crate) fired: bool,
}

/// A cancellation to come, when a grace is over.
#[derive(Clone)]
pub(super) struct Stop {
    /// [`NEVER`] while it is [`UNTIMED`].
    pub(super) at: u64,
    pub(super) grace: Duration,
    pub(super) story: Cancelled,
}

/// What a node passes down to its children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed {
    pub(super) cancelled: bool,
    pub(super) stopping: bool,
    pub(super) deadline: u64,
}

impl Passed {
    /// What a node without a parent inherits.
    pub(super) const NOTHING: Passed = Passed { cancelled: false, stopping: false, deadline: NEVER };
}

/// [`COUNTED`] or nothing.
pub(super) fn counted_bit(counts: bool) -> u32 {
    if counts { COUNTED } else { 0 }
}

pub(super) fn effective(bits: u32) -> bool {
    bits & OWN != 0 || inherited(bits)
}

pub(super) fn inherited(bits: u32) -> bool {
    bits & INHERITED != 0 && !shielded(bits)
}

pub(super) fn shielded(bits: u32) -> bool {
    bits & SHIELD != 0 && bits & UNWINDING == 0
}

/// Whether it was told to stop, or is cancelled: itself or by what it inherits.
pub(super) fn stops(bits: u32) -> bool {
    bits & STOPPING != 0 || bits & STOP_INHERITED != 0 && !shielded(bits) || effective(bits)
}

impl Node {
    /// Where it was opened; none for tasks.
    pub(crate) fn opened(&self) -> Option<&'static Location<'static>> {
        self.opened
    }

    /// The node of a scope that was opened at `opened`.
    pub(crate) fn new(kind: ScopeKind, opened: &'static Location<'static>) -> Node {
        Node::with(kind, 0, NEVER, NEVER, Some(opened))
    }

    /// Makes a lazy scope's node. `waker` is left there as [`attend`](Node::attend) does it.
    #[inline]
    pub(crate) fn from_lazy(lazy: Lazy, waker: Option<Waker>) -> Node {
        let bits = if lazy.shield { SHIELD } else { 0 };
        let after = if lazy.after > 0 { lazy.after } else { NEVER };
        let mut node = Node::with(lazy.kind, bits, lazy.deadline, after, lazy.opened);
        let state = node.state.get_mut();
        if waker.is_some() {
            state.note();
        }
        let waits = waker.is_some();
        state.waker = waker;
        node.waits = AtomicBool::new(waits);
        node
    }

    /// The node of something that does not hold what is around it, whatever holds inside.
    pub(crate) fn without_hold(kind: ScopeKind, opened: &'static Location<'static>) -> Node {
        Node::with(kind, TASK_ROOT, NEVER, NEVER, Some(opened))
    }

    pub(crate) fn task_root() -> Node {
        Node::with(ScopeKind::Task, TASK_ROOT, NEVER, NEVER, None)
    }

    #[inline]
    fn with(
        kind: ScopeKind,
        bits: u32,
        own_deadline: u64,
        after: u64,
        opened: Option<&'static Location<'static>>,
    ) -> Node {
        Node {
            bits: AtomicU32::new(bits),
            deadline: AtomicU64::new(own_deadline),
            parent: AtomicUsize::new(0),
            opened,
            kind,
            waits: AtomicBool::new(false),
            state: Mutex::new(NodeState {
                parent: None,
                slot: 0,
                children: Children::One(None),
                holds: 0,
                cancelled: Moment::FIRST,
                own_deadline,
                after,
                waker: None,
                waits: None,
                holder: None,
                rare: None,
            }),
        }
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits.load(Ordering::Acquire)
    }

    /// Sets and clears bits; returns what they were before. The lock of the state makes the caller the only
    /// writer.
    pub(super) fn set_bits(&self, _locked: &NodeState, set: u32, clear: u32) -> u32 {
        let before = self.bits();
        self.bits.store(before & !clear | set, Ordering::Release);
        before
    }

    /// Whether it has ever been in the tree.
    pub(crate) fn was_linked(&self) -> bool {
        self.bits() & LINKED != 0
    }

    /// Whether something has ever stood below it.
    pub(super) fn had_children(&self) -> bool {
        self.bits() & HAD_CHILDREN != 0
    }

    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Cancelled, by itself or by what is around it and not shielded off.
    pub(crate) fn is_cancelled(&self) -> bool {
        effective(self.bits())
    }

    /// Cancelled by a scope around it. That goes before its own cancellation: the outermost scope returns.
    pub(crate) fn is_inherited(&self) -> bool {
        inherited(self.bits())
    }

    pub(crate) fn is_own_cancelled(&self) -> bool {
        self.bits() & OWN != 0
    }

    /// Told to stop, itself or by a scope around it, and not shielded. What is cancelled is stopping too.
    pub(crate) fn is_stopping(&self) -> bool {
        stops(self.bits())
    }

    pub(super) fn passes(&self) -> Passed {
        let bits = self.bits();
        Passed { cancelled: effective(bits), stopping: stops(bits), deadline: self.deadline() }
    }

    pub(crate) fn is_shielded(&self) -> bool {
        self.bits() & SHIELD != 0
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.bits() & ENDED != 0
    }

    /// Whether it was cancelled as a service that is no longer needed, before any cancellation from outside.
    pub(crate) fn is_no_longer_needed(&self) -> bool {
        self.is_own_cancelled() && self.own_cause().is_some_and(|own| own.cause() == Cause::NoLongerNeeded)
    }

    /// How many nodes stand below it.
    #[cfg(all(test, anyrt_loom))]
    pub(crate) fn children(&self) -> usize {
        let mut count = 0;
        self.state.lock().children.for_each(|_| count += 1);
        count
    }

    /// The earliest deadline in sight.
    pub(crate) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    pub(crate) fn own_deadline(&self) -> u64 {
        self.state.lock().own_deadline
    }

    /// If it is cancelled: when, and the parent if it inherits that.
    fn cancelled_at(&self) -> Option<(Moment, Option<NodeRef>)> {
        let state = self.state.lock();
        let bits = self.bits();
        let above = if inherited(bits) { state.parent.clone() } else { None };
        effective(bits).then_some((state.cancelled, above))
    }

    /// Whether something given at the moment `given` counts as handed over here: the node is not cancelled, or
    /// was cancelled later, and no scope around it has lost a race.
    pub(crate) fn is_later(&self, given: Moment) -> bool {
        let Some((at, mut above)) = self.cancelled_at() else { return true };
        if given >= at {
            return false;
        }
        while let Some(node) = above
            && let Some((at, next)) = node.node().cancelled_at()
        {
            if at == Moment::FIRST {
                return false;
            }
            above = next;
        }
        true
    }

    /// It has lost a race: whatever it was handed goes back. Its cancellation is dated before everything that
    /// could have been given.
    pub(crate) fn forfeit(&self) {
        self.state.lock().cancelled = Moment::FIRST;
    }

    /// Whether something inside holds.
    #[cfg(all(test, anyrt_loom))]
    pub(crate) fn holds(&self) -> bool {
        self.state.lock().holds > 0
    }

    /// The address of its parent's node; 0 without one.
    pub(crate) fn parent_address(&self) -> usize {
        self.parent.load(Ordering::Relaxed)
    }

    pub(crate) fn parent(&self) -> Option<NodeRef> {
        self.state.lock().parent.clone()
    }

    /// Its own cause, or that of the outermost scope around it that has cancelled it.
    pub(crate) fn cause(self: &Node) -> Option<Cancelled> {
        let mut found = if self.is_own_cancelled() { self.own_cause() } else { None };
        let mut next = if self.is_inherited() { self.parent() } else { None };
        let mut steps = 0_usize;
        let mut marks = Vec::new();
        while let Some(node) = next {
            let inherits = node.node().is_inherited();
            let (own, known, above) = {
                let state = node.node().state.lock();
                let (own, known) = match &state.rare {
                    Some(rare) => (rare.cause.clone(), rare.inherited.clone()),
                    None => (None, None),
                };
                (own, known, if inherits { state.parent.clone() } else { None })
            };
            found = own.or(found);
            if inherits && known.is_some() {
                found = known;
                break;
            }
            steps += 1;
            if inherits && steps.is_multiple_of(MARK_EVERY) {
                marks.push(node);
            }
            next = above;
        }
        for mark in marks {
            let mut state = mark.node().state.lock();
            if mark.node().is_inherited() {
                state.rare().inherited.clone_from(&found);
            }
        }
        found
    }

    pub(crate) fn own_cause(&self) -> Option<Cancelled> {
        self.state.lock().rare.as_ref().and_then(|rare| rare.cause.clone())
    }

    pub(crate) fn set_reason(&self, reason: &str) {
        self.state.lock().rare().reason = Some(reason.into());
    }

    /// Leaves the owner's waker and where it waits; returns what the owner must look at.
    ///
    /// `cut`: a cancellation cuts short what it waits for.
    pub(crate) fn attend(&self, waker: &Waker, cut: bool) -> Attended {
        {
            let mut state = self.state.lock();
            state.note();
            self.waits.store(cut, Ordering::Relaxed);
            if self.bits() & UNSEEN != 0 {
                self.set_bits(&state, 0, UNSEEN);
            }
            if state.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return self.attended(&state);
            }
        }
        let new = waker.clone();
        let mut state = self.state.lock();
        let old = state.waker.replace(new);
        let attended = self.attended(&state);
        drop(state);
        drop(old);
        attended
    }

    /// Asked under the lock under which the waker was left: a timer that fired before found no waker, and is
    /// reported here.
    fn attended(&self, state: &NodeState) -> Attended {
        let fired = self.bits() & TIMER != 0;
        if fired {
            self.set_bits(state, 0, TIMER);
        }
        Attended { due: state.due(), fired }
    }

    /// The owner has noticed that the node is cancelled and held.
    pub(crate) fn note_held(&self, since: u64) {
        self.state.lock().rare().held_since = Some(since);
    }

    /// The record of a task, made by `make` if there is none, and where the task waited last.
    pub(crate) fn track(&self, make: impl FnOnce() -> Arc<Track>) -> (Arc<Track>, Option<Called>) {
        let mut state = self.state.lock();
        let waits = state.waits.map(|note| note.at);
        (state.rare().track.get_or_insert_with(make).clone(), waits)
    }

    /// The record of a task, if it is being observed.
    pub(crate) fn tracked(&self) -> Option<Arc<Track>> {
        self.state.lock().rare.as_ref().and_then(|rare| rare.track.clone())
    }

    /// The owner's waker, as of its last pending poll.
    pub(crate) fn owner(&self) -> Option<Waker> {
        self.state.lock().waker.clone()
    }

    /// Leaves a waker that is woken by the cancellation or by the word to stop. `key` is the caller's entry,
    /// made by the first call.
    pub(crate) fn watch(&self, key: &mut Option<usize>, waker: &Waker) {
        let new = Some(waker.clone());
        let mut state = self.state.lock();
        let watchers = &mut state.rare().watchers;
        let old = match key.and_then(|key| watchers.get_mut(key)) {
            Some(place) => std::mem::replace(place, new),
            None => {
                *key = Some(watchers.insert(new));
                None
            }
        };
        drop(state);
        drop(old);
    }

    /// Gives the entry of [`watch`](Node::watch) back.
    pub(crate) fn unwatch(&self, key: usize) {
        let removed = {
            let mut state = self.state.lock();
            state.rare.as_mut().and_then(|rare| rare.watchers.try_remove(key))
        };
        drop(removed);
    }

    /// Notes that the timer has fired, and wakes the owner, which looks at it in its next poll.
    pub(crate) fn timer_fired(&self) {
        let mut wakes = WakeList::default();
        {
            let mut state = self.state.lock();
            self.set_bits(&state, TIMER, 0);
            wakes.take(&mut state.waker);
        }
        wakes.wake();
    }

    pub(crate) fn take_timer_fired(&self) -> bool {
        self.bits() & TIMER != 0 && {
            let state = self.state.lock();
            let fired = self.bits() & TIMER != 0;
            self.set_bits(&state, 0, TIMER);
            fired
        }
    }
}

impl NodeState {
    /// Inserts a child; returns its key. `node` is the node of this state.
    pub(super) fn insert(&mut self, node: &Node, child: NodeRef) -> u32 {
        node.set_bits(self, HAD_CHILDREN, 0);
        self.children.insert(child)
    }

    /// Keeps the note of where the code that was just polled waits.
    pub(super) fn note(&mut self) {
        self.waits = site::noted();
        if self.waits.is_some_and(|note| note.waits_for() == WaitsFor::Holder) {
            self.holder = site::holder();
        }
    }

    /// Whether it counts as a hold of its parent. The root of a task does not: its group holds in its place.
    pub(super) fn counts_as_hold(&self, bits: u32) -> bool {
        (self.holds > 0 || bits & (HOLDS_PARENT | EXITS) != 0 || shielded(bits)) && bits & TASK_ROOT == 0
    }

    /// The node is cancelled from now on, or not any more: collects the wakers of the owner and of what waits
    /// for that.
    pub(super) fn cancellation_changed(&mut self, cancelled: bool, wakes: &mut WakeList) {
        self.cancelled = Moment::now();
        wakes.take(&mut self.waker);
        if let Some(rare) = &mut self.rare {
            if cancelled {
                rare.wake_watchers(wakes);
            } else {
                rare.inherited = None;
                wakes.append(&mut rare.parked);
                wakes.append(&mut rare.shut);
            }
        }
    }

    /// The node is stopping from now on, or not any more: collects the wakers of what waits for that.
    pub(super) fn stopping_changed(&mut self, wakes: &mut WakeList) {
        if let Some(rare) = &mut self.rare {
            rare.wake_watchers(wakes);
        }
    }

    /// When it is to be cancelled: its own deadline, or the end of its grace.
    pub(super) fn due(&self) -> u64 {
        self.stop().map_or(self.own_deadline, |stop| self.own_deadline.min(stop.at))
    }

    pub(super) fn stop(&self) -> Option<&Stop> {
        self.rare.as_ref().and_then(|rare| rare.stop.as_ref())
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

impl Rare {
    pub(super) fn wake_watchers(&mut self, wakes: &mut WakeList) {
        for (_, watcher) in &mut self.watchers {
            wakes.take(watcher);
        }
    }
}

impl Drop for Node {
    /// Releases the chain of parents in a loop: it may be a million long, too deep for recursive drops.
    fn drop(&mut self) {
        let mut next = self.state.get_mut().parent.take();
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
            .field("stopping", &stops(bits))
            .field("shield", &(bits & SHIELD != 0))
            .field("ended", &(bits & ENDED != 0))
            .finish_non_exhaustive()
    }
}
