//! What a group knows: who is alive, what failed, who waits for the end.

use std::any::Any;
use std::fmt;
use std::panic::Location;
use std::task::Waker;

use super::error::ChildError;
use super::service::Services;
use crate::scope::tree::{self, HasNode, Node, NodeRef, ScopeKind};
use crate::scope::{Cancelled, Cause};
use crate::sync::{Arc, Mutex};
use crate::task::{TaskId, panic_message};
use crate::wake::{WakeList, attempt};

type Payload = Box<dyn Any + Send>;

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
    core: Mutex<Core>,
}

/// Invariant: `closed` implies `alive == 0`, and is never taken back.
struct Core {
    /// Children, the bodies of orphaned groups taken in, and nothing else.
    alive: usize,
    /// The body has ended and no child was left.
    closed: bool,
    /// The body has ended.
    ending: bool,
    /// Those of the children that are services. Few groups have any.
    services: Option<Box<Services>>,
    errors: Vec<ChildError>,
    panics: Vec<Payload>,
    /// The host, waiting for the last child.
    waiting: Option<Waker>,
    /// The group that waits for this one's children since its own host has dropped it.
    guardian: Option<Arc<GroupState>>,
}

/// All that a group has to tell at its end.
pub(crate) struct Toll {
    pub(crate) errors: Vec<ChildError>,
    pub(crate) panics: Vec<Payload>,
}

impl GroupState {
    pub(crate) fn new(
        policy: Policy,
        host: Option<TaskId>,
        opened: &'static Location<'static>,
    ) -> Arc<GroupState> {
        let core = Core {
            alive: 0,
            closed: false,
            ending: false,
            services: None,
            errors: Vec::new(),
            panics: Vec::new(),
            waiting: None,
            guardian: None,
        };
        let kind = match policy {
            Policy::OneForAll => ScopeKind::Group,
            Policy::InPlace => ScopeKind::Borrowing,
            Policy::EachForItself | Policy::Detached => ScopeKind::Root,
        };
        Arc::new(GroupState { node: Node::new(kind, opened), policy, host, core: Mutex::new(core) })
    }

    /// The task that hosts the group.
    pub(crate) fn host(&self) -> Option<TaskId> {
        self.host
    }

    /// How many children are alive, those included that no poll has brought into the tree.
    pub(crate) fn alive(&self) -> usize {
        self.core.lock().alive
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.core.lock().closed
    }

    /// Makes room for one more child; false when the group is closed.
    ///
    /// While a child lives the group holds the scope around it. That is told before the child can
    /// run, so it is never released before it was told.
    pub(crate) fn admit(self: &Arc<Self>) -> bool {
        let first = {
            let mut core = self.core.lock();
            if core.closed {
                return false;
            }
            core.alive += 1;
            core.alive == 1
        };
        if first {
            self.recount();
        }
        true
    }

    /// A child, already reported, is gone. Never panics: it is not its fault when a waker does.
    pub(crate) fn release(self: &Arc<Self>) {
        let mut wakes = WakeList::default();
        let (last, guardian, idle) = {
            let mut core = self.core.lock();
            core.alive -= 1;
            let idle = core.idle_services();
            let last = core.alive == 0;
            let mut guardian = None;
            if last {
                wakes.take(&mut core.waiting);
                guardian = core.guardian.take();
                core.closed |= guardian.is_some();
            }
            (last, guardian, idle)
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
        self.core.lock().services.get_or_insert_default().reserve()
    }

    /// A service has become a child.
    pub(super) fn enlist_service(&self, key: usize, node: NodeRef) {
        let idle = {
            let mut core = self.core.lock();
            core.services.get_or_insert_default().enlist(key, node);
            core.idle_services()
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
            tree::hold_parent(self.as_node(), || self.core.lock().alive > 0);
        }
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
    pub(crate) fn close_or_wait(&self, waker: &Waker) -> Option<Toll> {
        let new = waker.clone();
        let mut core = self.core.lock();
        if core.alive > 0 {
            core.ending = true;
            let idle = core.idle_services();
            let old = core.waiting.replace(new);
            drop(core);
            drop(old);
            self.cancel_services(idle);
            return None;
        }
        core.closed = true;
        Some(core.toll())
    }

    /// What it has to tell while children are alive: nobody waits for them any longer.
    pub(crate) fn toll_so_far(&self) -> Toll {
        self.core.lock().toll()
    }

    /// Takes back what it has told: its host does not pass it on.
    pub(super) fn give_back(&self, toll: Toll) {
        let mut core = self.core.lock();
        core.errors.extend(toll.errors);
        core.panics.extend(toll.panics);
    }

    /// The host has dropped the group: its children, cancelled, find somebody to wait for them.
    pub(crate) fn orphan(self: &Arc<Self>, root: &Arc<GroupState>) {
        self.cancel_for(Cause::Dropped);
        if self.close_in_silence() {
            tree::end(self.as_node().node());
            return;
        }
        let guardian = self.nearest_open().or_else(|| root.admit().then(|| root.clone()));
        let now = {
            let mut core = self.core.lock();
            if core.alive == 0 {
                core.closed = true;
                true
            } else {
                core.guardian.clone_from(&guardian);
                false
            }
        };
        let node = self.as_node();
        if now {
            if let Some(guardian) = guardian {
                self.hand_over(&guardian);
            }
            tree::end(node.node());
            return;
        }
        tree::unlink(&node);
        if let Some(guardian) = guardian {
            if guardian.policy != Policy::InPlace {
                // It is one of the guardian's children now: these hold what is around the guardian,
                // not the guardian's own body.
                tree::hold_no_parent(&node);
            }
            tree::link(&node, &guardian.as_node());
        }
    }

    /// Closes the group if there is nothing to wait for and nothing to tell.
    fn close_in_silence(&self) -> bool {
        let mut core = self.core.lock();
        let silent = core.alive == 0 && core.errors.is_empty() && core.panics.is_empty();
        core.closed |= silent;
        silent
    }

    /// The nearest group around that is open; it has made room for this one.
    fn nearest_open(&self) -> Option<Arc<GroupState>> {
        let mut next = self.node.parent();
        while let Some(node) = next {
            next = node.node().parent();
            if let Some(group) = node.as_group()
                && group.admit()
            {
                return Some(group);
            }
        }
        None
    }

    fn hand_over(self: &Arc<Self>, guardian: &Arc<GroupState>) {
        let toll = self.core.lock().toll();
        for error in toll.errors {
            attempt(|| guardian.fail(error));
        }
        for payload in toll.panics {
            attempt(|| guardian.panicked_unheard(payload));
        }
        attempt(|| tree::end(self.as_node().node()));
        guardian.release();
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
    /// The services, if they are all that is left.
    fn idle_services(&self) -> Vec<NodeRef> {
        match &self.services {
            Some(services) if self.ending && services.alive() == self.alive => services.nodes(),
            _ => Vec::new(),
        }
    }

    fn toll(&mut self) -> Toll {
        Toll { errors: std::mem::take(&mut self.errors), panics: std::mem::take(&mut self.panics) }
    }
}

impl HasNode for GroupState {
    fn node(&self) -> &Node {
        &self.node
    }

    fn counted_in(&self) -> usize {
        self.core.lock().guardian.as_ref().map_or(0, |guardian| guardian.node.address())
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
            .field("alive", &core.alive)
            .field("closed", &core.closed)
            .field("errors", &core.errors)
            .finish_non_exhaustive()
    }
}
