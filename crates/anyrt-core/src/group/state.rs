//! What a group knows: who is alive, what failed, who waits for the end.

use std::fmt;
use std::iter::successors;
use std::panic::Location;
use std::task::Waker;

use super::error::ChildError;
use super::service::Services;
use crate::base::payload::Payload;
use crate::base::sync::atomic::{AtomicUsize, Ordering};
use crate::base::sync::{Arc, Mutex};
use crate::base::wake_list::{WakeList, attempt};
use crate::current::context;
use crate::current::handle::Handle;
use crate::run::left_below;
use crate::task::panic_message;
use crate::tree::{self, Cancelled, Cause, HasNode, Node, NodeRef, ScopeKind, TaskId};

/// What a group makes of a child that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// A failure cancels the siblings; panics are resumed in the host.
    OneForAll,
    /// The same for children that are polled in place: they hold by what is inside them, not by
    /// being alive, because they are dropped with their owner.
    InPlace,
    /// The root of a run: a failure is nobody else's matter; a panic belongs to the handle.
    EachForItself,
    /// The root of a runtime that was adopted: the same, and nobody asks at the end.
    Detached,
}

/// The shared part of a group. It is a node of the scope tree: the scope that its children and its
/// body run in.
pub(crate) struct GroupState {
    node: Node,
    policy: Policy,
    host: Option<TaskId>,
    /// The run that its tasks belong to. None for those that have none: roots, and groups whose children
    /// are polled in place.
    handle: Option<Handle>,
    /// How many are alive (children, the bodies of orphaned groups taken in, and nothing else), in units
    /// of [`ONE`], and the flags below. Most children come and go with one addition each; whoever
    /// brings it to zero goes on under the lock, as does everybody who closes the group.
    alive: AtomicUsize,
    core: Mutex<Core>,
}

/// The body has ended and no child was left: none is alive, and never will be again.
const CLOSED: usize = 1;
/// Some children are services: each end may leave nobody else.
const SERVED: usize = 1 << 1;
/// It is being dropped with all that is polled in place inside it: it takes nobody in any more.
const DYING: usize = 1 << 2;
/// A child was cut short by a cancellation from outside of the group.
const CUT: usize = 1 << 3;
/// One more alive.
const ONE: usize = 1 << 4;

struct Core {
    /// The body has ended.
    ending: bool,
    /// Those of the children that are services. Few groups have any.
    services: Option<Box<Services>>,
    errors: Vec<ChildError>,
    panics: Vec<Payload>,
    /// The host, waiting for the last child.
    waiting: Option<Waker>,
    /// Who waits for this one's children since its own host has dropped it.
    guardian: Option<Guardian>,
    /// Of a group without a run that has taken somebody in: the root that waits for them at last.
    root: Option<Arc<GroupState>>,
}

/// The group that an orphan belongs to.
#[derive(Clone)]
struct Guardian {
    group: Arc<GroupState>,
    /// It has made room, and waits. Else it is a root that is closed, and only tells what comes of the orphan.
    waits: bool,
}

/// All that a group has to tell at its end.
pub(crate) struct Failures {
    pub(crate) errors: Vec<ChildError>,
    pub(crate) panics: Vec<Payload>,
}

impl GroupState {
    pub(crate) fn new(
        policy: Policy,
        host: Option<TaskId>,
        handle: Option<Handle>,
        opened: &'static Location<'static>,
    ) -> Arc<GroupState> {
        let core = Core {
            ending: false,
            services: None,
            errors: Vec::new(),
            panics: Vec::new(),
            waiting: None,
            guardian: None,
            root: None,
        };
        let kind = match policy {
            Policy::OneForAll => ScopeKind::Group,
            Policy::InPlace => ScopeKind::Borrowing,
            Policy::EachForItself | Policy::Detached => ScopeKind::Root,
        };
        let (node, alive, core) = (Node::new(kind, opened), AtomicUsize::new(0), Mutex::new(core));
        Arc::new(GroupState { node, policy, host, handle, alive, core })
    }

    /// The run that its tasks belong to.
    ///
    /// # Panics
    ///
    /// In a root group, whose handle owns it ([`Home::Root`](crate::task::Home)).
    pub(crate) fn handle(&self) -> &Handle {
        match &self.handle {
            Some(handle) => handle,
            None => unreachable!("a task was spawned into a group that belongs to no run"),
        }
    }

    /// The task that hosts the group.
    pub(crate) fn host(&self) -> Option<TaskId> {
        self.host
    }

    /// How many children are alive, those included that no poll has brought into the tree.
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::Acquire) / ONE
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.alive.load(Ordering::Acquire) & (CLOSED | DYING) != 0
    }

    /// Closes the group, unless somebody is alive. Under the lock, so that who sees the last one go
    /// can tell whether it is closed already.
    fn close(&self, _core: &mut Core) -> bool {
        self.alive
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |alive| {
                (alive < ONE).then_some(alive | CLOSED)
            })
            .is_ok()
    }

    /// Makes room for one more child; false when the group is closed.
    ///
    /// While a child lives the group holds the scope around it. That is told before the child can
    /// run, so it is never released before it was told.
    pub(crate) fn admit(self: &Arc<Self>) -> bool {
        let one_more = |alive: usize| (alive & (CLOSED | DYING) == 0).then_some(alive + ONE);
        match self.alive.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(before) => {
                if before < ONE {
                    self.recount();
                }
                true
            }
            Err(_) => false,
        }
    }

    /// A child, already reported, is gone. Never panics: it is not its fault when a waker does.
    pub(crate) fn release(self: &Arc<Self>) {
        let before = self.alive.fetch_sub(ONE, Ordering::AcqRel);
        if before < ONE + ONE || before & SERVED != 0 {
            self.check_for_end();
        }
    }

    /// Nobody is alive, or perhaps only services. Meanwhile somebody may have come, or gone and been here.
    #[cold]
    fn check_for_end(self: &Arc<Self>) {
        let mut wakes = WakeList::default();
        let (last, guardian, idle) = {
            let mut core = self.core.lock();
            let last = self.alive() == 0;
            let mut guardian = None;
            if last {
                wakes.take(&mut core.waiting);
                if core.guardian.is_some() && self.close(&mut core) {
                    guardian = core.guardian.take();
                }
            }
            (last, guardian, self.idle_services(&core))
        };
        if last {
            attempt(|| self.recount());
        }
        if let Some(guardian) = guardian {
            self.hand_over(&guardian);
        }
        self.cancel_services(idle);
        attempt(|| wakes.wake());
    }

    /// A place for one more service, which is no child yet.
    pub(super) fn reserve_service(&self) -> usize {
        self.alive.fetch_or(SERVED, Ordering::AcqRel);
        self.core.lock().services.get_or_insert_default().reserve()
    }

    /// A service has become a child.
    pub(super) fn enlist_service(&self, key: usize, node: NodeRef) {
        let idle = {
            let mut core = self.core.lock();
            core.services.get_or_insert_default().enlist(key, node);
            self.idle_services(&core)
        };
        self.cancel_services(idle);
    }

    /// The future of a service is gone; it is released as a child after this.
    pub(super) fn dismiss_service(&self, key: usize) {
        let gone = self.core.lock().services.as_mut().and_then(|services| services.dismiss(key));
        drop(gone);
    }

    /// Tells the scope around whether children are alive. The question is asked under the lock of
    /// the node, so that of two threads that count at once the later one tells the last state.
    fn recount(self: &Arc<Self>) {
        if self.policy != Policy::InPlace {
            tree::hold_parent(self.as_node(), || self.alive() > 0);
        }
    }

    /// A child, whose own node this is, was cut short: from outside, if that is where the cancellation came from.
    pub(crate) fn child_cut(&self, child: &Node) {
        if self.node.is_inherited() && !child.is_no_longer_needed() {
            self.alive.fetch_or(CUT, Ordering::AcqRel);
        }
    }

    /// Whether a child was cut short from outside.
    pub(super) fn has_cut_child(&self) -> bool {
        self.alive.load(Ordering::Acquire) & CUT != 0
    }

    /// Records an error and, if that is the policy, cancels the siblings and the body.
    pub(crate) fn fail(self: &Arc<Self>, mut error: ChildError) {
        if error.is_told_elsewhere() {
            return;
        }
        error.note_echo(self.node.is_cancelled());
        if self.is_root() {
            tracing::error!(%error, "a task at the root failed");
        }
        if self.policy != Policy::Detached {
            self.core.lock().errors.push(error);
        }
        self.cancel_siblings();
    }

    /// Records a panic, or gives it back for the handle, as the policy says.
    pub(crate) fn panicked(self: &Arc<Self>, payload: Payload) -> Option<Payload> {
        match self.policy {
            Policy::OneForAll | Policy::InPlace => {
                self.panicked_unheard(payload);
                None
            }
            Policy::EachForItself | Policy::Detached => Some(payload),
        }
    }

    /// Records a panic that nobody else will hear of.
    pub(crate) fn panicked_unheard(self: &Arc<Self>, payload: Payload) {
        if self.is_root() {
            let panic = panic_message(&*payload);
            tracing::error!(panic, "a task at the root panicked, and nobody has its handle");
        }
        if self.policy != Policy::Detached {
            self.core.lock().panics.push(payload);
        }
        self.cancel_siblings();
    }

    fn cancel_siblings(self: &Arc<Self>) {
        if !self.is_root() {
            self.cancel_for(Cause::SiblingFailed);
        }
    }

    /// Whether nobody's block stands around it, so that failures are each task's own matter.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.policy, Policy::EachForItself | Policy::Detached)
    }

    pub(crate) fn cancel_for(self: &Arc<Self>, cause: Cause) {
        tree::cancel(&self.as_node(), || Cancelled::of(&self.node, cause));
    }

    /// Closes the group if no child is left; else remembers whom to wake when it is so.
    pub(crate) fn close_or_wait(&self, waker: &Waker) -> Option<Failures> {
        let new = waker.clone();
        let mut core = self.core.lock();
        if self.close(&mut core) {
            return Some(core.failures());
        }
        core.ending = true;
        let idle = self.idle_services(&core);
        let old = core.waiting.replace(new);
        drop(core);
        drop(old);
        self.cancel_services(idle);
        None
    }

    /// What it has to tell while children are alive: nobody waits for them any longer.
    pub(crate) fn failures_so_far(&self) -> Failures {
        self.core.lock().failures()
    }

    /// Takes back what it has told: its host does not pass it on.
    pub(super) fn give_back(&self, failures: Failures) {
        let mut core = self.core.lock();
        core.errors.extend(failures.errors);
        core.panics.extend(failures.panics);
    }

    /// Its future, which polls body and children in place, is being dropped: from now on it takes nobody in. The
    /// root for those that it has taken in before.
    pub(super) fn refuse(&self) -> Option<Arc<GroupState>> {
        let core = self.core.lock();
        self.alive.fetch_or(DYING, Ordering::AcqRel);
        core.root.clone()
    }

    /// Makes room for an orphan, and keeps its root where this one has none of its own. In one step: who is
    /// [refused](GroupState::refuse) here asks elsewhere, and who is not is passed on.
    fn take_in(self: &Arc<Self>, root: Option<&Arc<GroupState>>) -> bool {
        if self.policy != Policy::InPlace {
            return self.admit();
        }
        let mut core = self.core.lock();
        let admitted = self.admit();
        if admitted && core.root.is_none() {
            core.root = root.cloned();
        }
        admitted
    }

    /// The host has dropped the group: its children, cancelled, find somebody to wait for them, at last the `root` of
    /// the run. Without a run there are none: it has taken nobody in.
    pub(crate) fn orphan(self: &Arc<Self>, root: Option<&Arc<GroupState>>) {
        self.cancel_for(Cause::Dropped);
        let node = self.as_node();
        if self.close_in_silence() {
            tree::end(node.node());
            return;
        }
        let guardian = match (self.nearest_open(root), root) {
            (Some(group), _) => Some(Guardian { group, waits: true }),
            (None, Some(root)) => Some(Guardian { group: root.clone(), waits: root.admit() }),
            (None, None) => None,
        };
        let now = {
            let mut core = self.core.lock();
            let now = self.close(&mut core);
            if !now {
                core.guardian.clone_from(&guardian);
            }
            now
        };
        if now {
            match guardian {
                Some(guardian) => self.hand_over(&guardian),
                None => self.tell_nobody(),
            }
            tree::end(node.node());
            return;
        }
        tree::unlink(&node);
        match guardian {
            Some(Guardian { group, waits: true }) => {
                if group.policy != Policy::InPlace {
                    // It is one of the guardian's children now: these hold what is around the guardian,
                    // not the guardian's own body.
                    tree::hold_no_parent(&node);
                }
                tree::link(&node, group.as_node());
                if self.is_over() {
                    // Its last child ended meanwhile: nobody else takes it out of its new place.
                    tree::unlink(&node);
                }
            }
            _ => self.lost(),
        }
    }

    /// Whether it has closed, and not only takes nobody in.
    fn is_over(&self) -> bool {
        self.alive.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Its run has ended, and its children have nobody to wait for them.
    #[cold]
    fn lost(self: &Arc<Self>) {
        if let Some(handle) = &self.handle {
            let mut tasks = left_below(self.as_node());
            if tasks.is_empty() {
                tasks.push("a task that has never been pending".to_owned());
            }
            handle.0.shared.lost.note(tasks);
        }
    }

    /// Closes the group if there is nothing to wait for and nothing to tell.
    fn close_in_silence(&self) -> bool {
        let mut core = self.core.lock();
        core.errors.is_empty() && core.panics.is_empty() && self.close(&mut core)
    }

    /// The nearest group around that is open; it has made room for this one. What was around it may have ended
    /// before its future was dropped: then it is around who drops it.
    fn nearest_open(&self, root: Option<&Arc<GroupState>>) -> Option<Arc<GroupState>> {
        let around = |from: Option<NodeRef>| successors(from, |node| node.node().parent());
        let open = |node: NodeRef| node.as_group().filter(|group| group.take_in(root));
        around(self.node.parent()).find_map(open).or_else(|| {
            context::handle()
                .filter(|here| root.is_some_and(|root| Arc::ptr_eq(&here.0.shared.root, root)))?;
            let here = context::all_around();
            let all = || here.iter().flat_map(|node| around(Some(node.clone())));
            // One of its own children waits for it already.
            let is_inside = all().any(|node| node.node().address() == self.node.address());
            if is_inside { None } else { all().find_map(open) }
        })
    }

    fn hand_over(self: &Arc<Self>, guardian: &Guardian) {
        let failures = self.core.lock().failures();
        let group = &guardian.group;
        for error in failures.errors {
            attempt(|| group.fail(error));
        }
        for payload in failures.panics {
            attempt(|| group.panicked_unheard(payload));
        }
        attempt(|| tree::end(self.as_node().node()));
        if guardian.waits {
            group.release();
        }
    }

    /// What it has to tell outside of any run.
    fn tell_nobody(&self) {
        let Failures { errors, panics } = self.core.lock().failures();
        for error in errors {
            tracing::error!(%error, "a child of a scope that was dropped had failed");
        }
        for payload in panics {
            let panic = panic_message(&*payload);
            tracing::error!(panic, "a child of a scope that was dropped had panicked");
        }
    }

    /// The services, if they are all that is left.
    fn idle_services(&self, core: &Core) -> Vec<NodeRef> {
        match &core.services {
            Some(services) if core.ending && services.alive() == self.alive() => services.nodes(),
            _ => Vec::new(),
        }
    }

    /// Cancels services because all else in the group is done.
    fn cancel_services(&self, services: Vec<NodeRef>) {
        for service in services {
            attempt(|| {
                tree::cancel(&service, || Cancelled::of(&self.node, Cause::NoLongerNeeded));
            });
        }
    }

    pub(crate) fn as_node(self: &Arc<Self>) -> NodeRef {
        self.clone()
    }
}

impl Core {
    fn failures(&mut self) -> Failures {
        Failures { errors: std::mem::take(&mut self.errors), panics: std::mem::take(&mut self.panics) }
    }
}

impl HasNode for GroupState {
    fn node(&self) -> &Node {
        &self.node
    }

    fn counted_in(&self) -> usize {
        self.core.lock().guardian.as_ref().map_or(0, |guardian| guardian.group.node.address())
    }

    fn timer_waker(self: Arc<Self>) -> Waker {
        Waker::from(self)
    }

    fn as_group(self: Arc<Self>) -> Option<Arc<GroupState>> {
        Some(self)
    }
}

impl std::task::Wake for GroupState {
    fn wake(self: Arc<Self>) {
        self.node.timer_fired();
    }
}

impl fmt::Debug for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let core = self.core.lock();
        f.debug_struct("GroupState")
            .field("alive", &self.alive())
            .field("closed", &self.is_closed())
            .field("errors", &core.errors)
            .finish_non_exhaustive()
    }
}
