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
use crate::tree::site::{self, Called, Holder, Note, Whom};

/// So many levels apart the cause that is inherited is noted.
const MARK_EVERY: usize = 64;

/// It was cancelled itself: by `cancel()` or by its own deadline. Never taken back.
pub(super) const OWN: u32 = 1;
/// The scope around it is cancelled. Kept also under a shield, so that a shield can be taken off.
pub(super) const INHERITED: u32 = 1 << 1;
/// What is inherited does not count here.
pub(super) const SHIELD: u32 = 1 << 2;
/// Something inside was already cut short by an inherited cancellation: a shield put up now comes
/// too late, the cancellation goes on to the scope it belongs to.
pub(super) const UNWINDING: u32 = 1 << 3;
/// Its future is gone: nothing changes it any more.
pub(super) const ENDED: u32 = 1 << 4;
/// The root of a task: holds are not told any further up.
pub(super) const TASK_ROOT: u32 = 1 << 5;
/// Its timer has fired and was not looked at yet.
pub(super) const TIMER: u32 = 1 << 6;
/// The last hold inside was ended by somebody else since the current poll began, or before it.
pub(super) const RELEASED: u32 = 1 << 7;
/// It was told to stop itself, and to be cancelled when a grace is over. Never taken back.
pub(super) const STOPPING: u32 = 1 << 8;
/// The scope around it is stopping. Kept also under a shield, as [`INHERITED`].
pub(super) const STOP_INHERITED: u32 = 1 << 9;
/// Its grace counts from the next poll: no clock was at hand when it was told to stop.
pub(super) const UNTIMED: u32 = 1 << 10;
/// Clean-ups were registered for its end: it is a drop point, and holds its parent until they have run.
pub(super) const EXITS: u32 = 1 << 11;
/// They have run: what is registered now comes too late.
pub(super) const EXITED: u32 = 1 << 12;
/// It has been in the tree.
pub(super) const LINKED: u32 = 1 << 13;
/// Something has stood below it.
pub(super) const PARENT: u32 = 1 << 14;
/// It is counted among the holds of its parent, or would be if it had one.
pub(super) const TOLD: u32 = 1 << 15;
/// It holds its parent whatever is inside (a group with children, a clean-up to come).
pub(super) const HOLDS_PARENT: u32 = 1 << 16;
/// It was kept for one more poll because the last hold went away during the one before.
pub(super) const KEPT_ONCE: u32 = 1 << 17;
/// What is around it was cancelled, and it was not polled since.
pub(super) const UNSEEN: u32 = 1 << 18;
/// It waited when what is around it was cancelled, and no poll since has ended with its being kept: a
/// shield put up now comes too late.
pub(super) const CAUGHT: u32 = 1 << 19;

/// Whatever has a place in the tree: a scope, a task, a group.
pub(crate) trait HasNode: Send + Sync {
    fn node(&self) -> &Node;

    /// What the timer of its own deadline wakes. Only what has deadlines needs one.
    fn timer_waker(self: Arc<Self>) -> Waker {
        Waker::noop().clone()
    }

    /// Whether it is the place of a blocking job.
    fn is_job(&self) -> bool {
        false
    }

    /// The blocking job whose place this is.
    fn as_job(self: Arc<Self>) -> Option<Arc<dyn InJob>> {
        None
    }

    /// Who the task is whose root this is.
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

    /// The address of the node of the group that counts it among its living; 0: none does.
    fn counted_in(&self) -> usize {
        0
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
    pub(super) bits: AtomicU32,
    /// The earliest deadline in sight: its own, and its parents' up to a shield.
    pub(super) deadline: AtomicU64,
    /// The address of the parent's node, to see cheaply whether a poll comes from elsewhere. 0: none.
    pub(super) parent: AtomicUsize,
    /// Where it was opened, for messages. None for tasks.
    pub(super) opened: Option<&'static Location<'static>>,
    pub(super) kind: ScopeKind,
    /// Its future is pending, and is not being polled: if it is cancelled now, it is cut short where it is.
    pub(super) waits: AtomicBool,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) parent: Option<NodeRef>,
    /// Its key among the parent's children.
    pub(super) slot: u32,
    pub(super) children: Children,
    /// How many things inside hold.
    pub(super) holds: i32,
    /// When it was cancelled, if it is.
    pub(super) cancelled: Moment,
    pub(super) own_deadline: u64,
    /// The time that was asked for, in nanoseconds, if the deadline was given as one; else [`NEVER`].
    pub(super) after: u64,
    pub(super) waker: Option<Waker>,
    /// Where what runs inside waits, as of its last pending poll.
    pub(super) waits: Option<Note>,
    /// What it waits for, where the note says so.
    pub(super) holder: Option<Holder>,
    pub(super) rare: Option<Box<Rare>>,
}

/// What only few scopes need, most of them cancelled ones.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) cause: Option<Cancelled>,
    /// What becomes of it when its grace is over.
    pub(super) stop: Option<Stop>,
    /// The cause that it inherits, noted here and there in a deep tree, so that a chain of a million
    /// scopes that end one by one is not walked up a million times.
    pub(super) inherited: Option<Cancelled>,
    /// Why its inner future was dropped before its end.
    pub(super) cut: Option<Cancelled>,
    pub(super) reason: Option<Box<str>>,
    /// To be run at its end, the last one first.
    pub(super) exits: Vec<Hook>,
    /// Where the deadline was moved.
    pub(super) moved: Option<&'static Location<'static>>,
    /// Since when it is cancelled and held, as its owner has noticed.
    pub(super) held_since: Option<u64>,
    /// Of a task that somebody looks at.
    pub(super) track: Option<Arc<Track>>,
    /// Woken when a hold begins after all: those who wait to be dropped.
    pub(super) parked: Vec<Waker>,
    /// Woken when the cancellation is taken back by a shield: those who left their queue.
    pub(super) shut: Vec<Waker>,
    /// Woken when the cancellation arrives, or the word to stop: those who wait for it. A place is its
    /// owner's until that gives it back.
    pub(super) watchers: Slab<Option<Waker>>,
}

/// What a node tells its owner, who waits from now on.
pub(crate) struct Attended {
    /// When it is to be cancelled.
    pub(crate) due: u64,
    /// Its timer has fired, and found nobody to wake.
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
    /// What comes down where nothing is above.
    pub(super) const NOTHING: Passed = Passed { cancelled: false, stopping: false, deadline: NEVER };
}

/// As a bit: whether it is counted among the holds of its parent.
pub(super) fn told_bit(told: bool) -> u32 {
    if told { TOLD } else { 0 }
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

/// Whether it was told to stop, by whatever way it would be told to end.
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

    /// `waker` and where it waits, as [`attend`](Node::attend) notes them.
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
            state: Mutex::new(State {
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

    /// Sets and clears bits; what they were before. Under the lock of the state, so nobody else writes.
    pub(super) fn set_bits(&self, _locked: &State, set: u32, clear: u32) -> u32 {
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
        self.bits() & PARENT != 0
    }

    pub(crate) fn address(&self) -> usize {
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

    /// Told to stop, here or around it and not shielded off. What is cancelled is stopping too.
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

    /// Whether it was cancelled because all else in its group was done: before anything from outside.
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

    /// When it was cancelled, if it is, and what is around it where that was cancelled too.
    fn cancelled_at(&self) -> Option<(Moment, Option<NodeRef>)> {
        let state = self.state.lock();
        let bits = self.bits();
        let above = if inherited(bits) { state.parent.clone() } else { None };
        effective(bits).then_some((state.cancelled, above))
    }

    /// Whether what was given then is handed over: it is not cancelled, or was later, and stands in nothing that has lost.
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

    /// It has lost, and whatever it was handed goes back: nothing was given before its cancellation.
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

    /// Its own cause, or that of the outermost scope around it that cancelled it.
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

    /// Remembers whom to wake when something changes here, and where it waits; what its owner must look at.
    /// `cut`: a cancellation cuts it short where it waits.
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

    /// Under the lock under which the waker was left: what came before it found none, and is told here.
    fn attended(&self, state: &State) -> Attended {
        let fired = self.bits() & TIMER != 0;
        if fired {
            self.set_bits(state, 0, TIMER);
        }
        Attended { due: state.due(), fired }
    }

    /// Its owner has noticed that it is cancelled and held.
    pub(crate) fn note_held(&self, since: u64) {
        self.state.lock().rare().held_since = Some(since);
    }

    /// The track of a task, made by `make` if there is none; and where it waited last.
    pub(crate) fn track(&self, make: impl FnOnce() -> Arc<Track>) -> (Arc<Track>, Option<Called>) {
        let mut state = self.state.lock();
        let waits = state.waits.map(|note| note.at);
        (state.rare().track.get_or_insert_with(make).clone(), waits)
    }

    /// The track of a task, if somebody looks at it.
    pub(crate) fn tracked(&self) -> Option<Arc<Track>> {
        self.state.lock().rare.as_ref().and_then(|rare| rare.track.clone())
    }

    /// The waker of who owns it, as of its last pending poll.
    pub(crate) fn owner(&self) -> Option<Waker> {
        self.state.lock().waker.clone()
    }

    /// Waits for the cancellation, or for the word to stop, in a place of its own.
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

    /// Gives such a place back.
    pub(crate) fn unwatch(&self, key: usize) {
        let removed = {
            let mut state = self.state.lock();
            state.rare.as_mut().and_then(|rare| rare.watchers.try_remove(key))
        };
        drop(removed);
    }

    /// Notes that the timer fired; the scope looks at it when it is polled.
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

impl State {
    /// Takes a child in; its key. `node`: whose state this is.
    pub(super) fn insert(&mut self, node: &Node, child: NodeRef) -> u32 {
        node.set_bits(self, PARENT, 0);
        self.children.insert(child)
    }

    /// Keeps where what was polled waits.
    pub(super) fn note(&mut self) {
        self.waits = site::noted();
        if self.waits.is_some_and(|note| note.whom() == Whom::Holder) {
            self.holder = site::holder();
        }
    }

    /// Whether it is a hold for its parent. The root of a task is none: its group holds instead.
    pub(super) fn tells(&self, bits: u32) -> bool {
        (self.holds > 0 || bits & (HOLDS_PARENT | EXITS) != 0 || shielded(bits)) && bits & TASK_ROOT == 0
    }

    /// Collects whom it concerns that the node is cancelled now, or is not any more.
    pub(super) fn turned(&mut self, cancelled: bool, wakes: &mut WakeList) {
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

    /// Collects those who wait for the word to stop.
    pub(super) fn told_to_stop(&mut self, wakes: &mut WakeList) {
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
    /// Lets go of the chain of parents one by one: it may be a million long.
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
