//! What is current on this thread while one of our futures is polled: the task, the stack of scopes around the
//! code that runs, and the task-locals.
//!
//! A scope is allocated and linked into the tree only when that is needed: it is pending, or code inside it
//! asks for its scope. Until then it is an entry of this stack and nothing more.

use std::cell::RefCell;
use std::panic::Location;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::budget;
use super::handle::Handle;
use super::locals::Locals;
use crate::base::clock;
use crate::base::sync::Arc;
#[cfg(anyrt_loom)]
use crate::base::sync::LocalCell as _;
use crate::group::GroupState;
use crate::task::Exclusive;
use crate::tree::lazy::{Lazy, ScopeNode};
use crate::tree::moment::Moment;
use crate::tree::site::{self, Before};
use crate::tree::{self, HasNode, NEVER, Node, NodeRef, Park, TaskId, TaskInfo};

/// A task, as seen by the code that runs inside it.
pub(crate) trait Tasked: HasNode {
    fn info(&self) -> &TaskInfo;

    /// The run that it belongs to.
    fn handle(&self) -> &Handle;

    /// Polls the task; for its owner only. The main task of a run has no owner: the run polls it itself.
    fn poll(&self, _exclusive: Exclusive, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    /// The runtime has dropped the task. Does nothing if it had ended.
    fn lost(&self, _exclusive: Exclusive) {}

    /// The group that it belongs to, below which its node is linked when that is needed: at its first pending
    /// poll, or when code inside asks for its scope. A task that ends before that has never been in the tree.
    fn home(&self) -> Option<&Arc<GroupState>> {
        None
    }
}

/// The current task.
pub(crate) type TaskRef = Arc<dyn Tasked>;

struct Current {
    task: Option<TaskRef>,
    /// Where the current task's part of `scopes` begins: a poll may nest in another task's poll.
    base: usize,
    scopes: Vec<Place>,
    locals: Locals,
    /// Set in threads that run blocking jobs.
    in_job: bool,
    /// Set while a task is polled, also where a handle was entered inside the poll.
    polling: bool,
    /// Set where there is no task: in blocking jobs, and in futures that foreign code polls.
    handle: Option<Handle>,
}

/// Whether a scope is in the tree.
///
/// Lazy places are always on top of the stack: linking a place links all places below it first.
pub(crate) enum Place {
    Lazy(Lazy),
    Linked(NodeRef),
}

crate::base::sync::thread_local! {
    static CURRENT: RefCell<Current> = const {
        RefCell::new(Current {
            task: None,
            base: 0,
            scopes: Vec::new(),
            locals: None,
            in_job: false,
            polling: false,
            handle: None,
        })
    };
}

/// A task was polled and is pending: if a deadline around it has passed, that is a cancellation. The clock is
/// read only if there is a deadline.
#[inline]
pub(crate) fn expire_task(node: &Node) {
    let deadline = node.deadline();
    if deadline != NEVER {
        expire_around(deadline);
    }
}

#[cold]
fn expire_around(deadline: u64) {
    if let Some(now) = try_now()
        && now >= deadline
        && let Some(top) = top()
    {
        tree::expire(&top, now);
    }
}

/// Whether `deadline` has passed on the runtime's clock; false where there is no runtime.
pub(crate) fn is_past(deadline: u64) -> bool {
    try_now().is_some_and(|now| now >= deadline)
}

/// Whether something that was given to the code that runs at the moment `given` counts as handed over: its
/// scope is not cancelled, or was cancelled later.
pub(crate) fn is_in_time(given: Option<Moment>) -> bool {
    given.is_some_and(|given| top().is_none_or(|top| top.node().is_later(given)))
}

/// Waits to be dropped with the scope around the code that runs. Polled again if that scope is not cancelled
/// any more.
pub(crate) fn wait_to_be_dropped(waker: &Waker) {
    if top().is_some_and(|top| top.node().park(waker) == Park::Free) {
        waker.wake_by_ref();
    }
}

/// Whether the code that runs is in a cancelled scope, and the earliest deadline in its sight.
pub(crate) fn view() -> (bool, u64) {
    CURRENT.with_borrow(Current::view)
}

/// Whether the code that runs was told to stop.
pub(crate) fn is_stopping() -> bool {
    CURRENT.with_borrow(Current::is_stopping)
}

/// The innermost scope around the code that runs, which is linked if it was not.
pub(crate) fn top() -> Option<NodeRef> {
    CURRENT.with_borrow_mut(|current| current.linked_top().map(|(_, top)| top))
}

/// The scopes around the code that runs, innermost first, up to the root of its task. A scope whose parent has
/// ended before it, and that is dropped now, is not linked to the next one.
pub(crate) fn all_around() -> Vec<NodeRef> {
    CURRENT.with_borrow_mut(|current| {
        current.linked_top();
        let own = current.scopes[current.base..].iter().rev();
        let mut around: Vec<_> = own.map(|place| place.node().clone()).collect();
        around.extend(current.linked_task().map(|(_, root)| root));
        around
    })
}

/// Whether this is one of the scopes around the code that runs, up to the root of its task.
pub(crate) fn is_around(node: &Node) -> bool {
    CURRENT.with_borrow(|current| {
        let own = current.scopes[current.base..].iter().rev();
        own.filter_map(|place| match place {
            Place::Linked(linked) => Some(linked.node()),
            Place::Lazy(_) => None,
        })
        .chain(current.task.as_ref().map(|task| task.node()))
        .any(|around| std::ptr::eq(around, node))
    })
}

/// Whether this is the innermost scope around the code that runs; where there is no scope, whether `parent` is
/// 0.
pub(crate) fn is_top(parent: usize) -> bool {
    CURRENT.with_borrow(|current| match current.scopes[current.base..].last() {
        Some(Place::Linked(top)) => top.node().address() == parent,
        Some(Place::Lazy(_)) => false,
        None => current.task.as_ref().map_or(0, |task| task.node().address()) == parent,
    })
}

/// The clock of the current runtime, read without cloning a handle, for code that was called at `called`.
pub(crate) fn now_for(called: &Location<'_>) -> Instant {
    known_now().unwrap_or_else(|| Handle::current_for(called).now())
}

/// The same as a number, if there is a runtime.
pub(super) fn try_now() -> Option<u64> {
    let now = known_now().or_else(|| Handle::try_current().ok().map(|handle| handle.now()));
    now.map(clock::to_u64)
}

fn known_now() -> Option<Instant> {
    CURRENT.with_borrow(|current| {
        let handle = match &current.task {
            Some(task) => Some(task.handle()),
            None => current.handle.as_ref(),
        };
        handle.map(Handle::now)
    })
}

/// Links the current task into the tree, if it is not there, with the waker of its pending poll. Returns
/// whether it was linked now.
pub(crate) fn link_task(waker: &Waker) -> bool {
    let new = CURRENT.with_borrow(|current| current.new_task().is_some());
    if new {
        // Cloned while nothing is borrowed: cloning a waker is user code.
        let waker = waker.clone();
        CURRENT.with_borrow(|current| current.link_task(Some(waker)));
    }
    new
}

pub(crate) fn current_task() -> Option<TaskRef> {
    CURRENT.try_with(|current| current.borrow().task.clone()).ok().flatten()
}

/// The id of the current task.
pub(crate) fn task_id() -> Option<TaskId> {
    CURRENT.with_borrow(|current| current.task.as_ref().map(|task| task.info().id()))
}

/// Whether the code that runs is inside the scope of a blocking job, whose thread waits for it.
pub(crate) fn is_below_job() -> bool {
    let mut next = top();
    while let Some(node) = next {
        if node.is_job() {
            return true;
        }
        next = node.node().parent();
    }
    false
}

/// The blocking job whose closure runs on this thread.
pub(crate) fn job() -> Option<NodeRef> {
    CURRENT.with_borrow(|current| match current.scopes.get(current.base) {
        Some(Place::Linked(job)) if current.in_job => Some(job.clone()),
        _ => None,
    })
}

/// Whether a task is being polled on this thread, or a future that foreign code polls inside one of our scopes.
/// A blocking job may block, although the scope of its caller is around it.
pub(crate) fn is_polling() -> bool {
    CURRENT.with_borrow(|current| current.polling || !current.in_job && current.scopes.len() > current.base)
}

/// Whether the runtime polls a task of that run on this thread. False for the main future, and for a task that
/// foreign code polls.
pub(crate) fn is_in_task_of(handle: &Handle) -> bool {
    CURRENT.with_borrow(|current| {
        let Some(task) = current.task.as_ref().filter(|_| current.polling) else { return false };
        task.home().is_some() && Arc::ptr_eq(&task.handle().0, &handle.0)
    })
}

pub(crate) fn in_job() -> bool {
    CURRENT.with_borrow(|current| current.in_job)
}

/// The handle of the current task, or the one that was entered.
pub(crate) fn handle() -> Option<Handle> {
    CURRENT.with_borrow(|current| match &current.task {
        Some(task) => Some(task.handle().clone()),
        None => current.handle.clone(),
    })
}

pub(crate) fn locals() -> Locals {
    CURRENT.with_borrow(|current| current.locals.clone())
}

pub(crate) fn with_locals<R>(read: impl FnOnce(&Locals) -> R) -> R {
    CURRENT.with_borrow(|current| read(&current.locals))
}

/// Swaps the task-locals; the caller swaps them back.
pub(crate) fn swap_locals(locals: &mut Locals) {
    CURRENT.with_borrow_mut(|current| std::mem::swap(&mut current.locals, locals));
}

impl Current {
    fn view(&self) -> (bool, u64) {
        let mut deadline = NEVER;
        let around = self.in_sight(|lazy| deadline = deadline.min(lazy.deadline));
        around.into_iter().flatten().fold((false, deadline), |(cancelled, deadline), node| {
            (cancelled || node.is_cancelled(), deadline.min(node.deadline()))
        })
    }

    fn is_stopping(&self) -> bool {
        self.in_sight(|_| ()).into_iter().flatten().any(Node::is_stopping)
    }

    /// Passes the lazy places around the code that runs to `pass`, and returns the nearest node; for a task
    /// that is not linked, also the node that it would inherit from. None behind a lazy shield.
    #[inline]
    fn in_sight(&self, mut pass: impl FnMut(&Lazy)) -> [Option<&Node>; 2] {
        for place in self.scopes[self.base..].iter().rev() {
            match place {
                Place::Lazy(lazy) => {
                    pass(lazy);
                    if lazy.shield {
                        return [None, None];
                    }
                }
                Place::Linked(node) => return [Some(node.node()), None],
            }
        }
        let Some(task) = &self.task else { return [None, None] };
        let home = if task.node().parent_address() == 0 { task.home() } else { None };
        [Some(task.node()), home.map(|home| home.node())]
    }

    /// Links the root of the task, if it was not. Returns its node and a reference to it.
    fn linked_task(&self) -> Option<(&Node, NodeRef)> {
        self.link_task(None);
        let task = self.task.as_ref()?;
        Some((task.node(), task.clone()))
    }

    /// The current task and its group, if it was never in the tree. A task that its starter hands over may be
    /// out of the tree for a moment; it comes back by itself.
    fn new_task(&self) -> Option<(&TaskRef, &Arc<GroupState>)> {
        let task = self.task.as_ref().filter(|task| !task.node().was_linked())?;
        Some((task, task.home()?))
    }

    fn link_task(&self, waker: Option<Waker>) {
        if let Some((task, home)) = self.new_task() {
            tree::link_owned((task.node(), task.clone()), (home.node(), home.as_node()), waker);
        }
    }

    /// Links the lazy places, lowest first, and returns the top of the stack: its node, and a reference to it.
    ///
    /// Their nodes are new and nothing waits in them, so linking them wakes nothing.
    fn linked_top(&mut self) -> Option<(&Node, NodeRef)> {
        let own = &self.scopes[self.base..];
        let lazy = own.iter().rev().take_while(|place| matches!(place, Place::Lazy(_))).count();
        for index in self.scopes.len() - lazy..self.scopes.len() {
            if let Place::Lazy(lazy) = self.scopes[index] {
                self.scopes[index] = Place::Linked(born_below(self.below(index), lazy, None));
            }
        }
        self.below(self.scopes.len())
    }

    /// The node below a place of the stack, where everything is linked.
    fn below(&self, index: usize) -> Option<(&Node, NodeRef)> {
        match self.scopes[self.base..index].last() {
            Some(place) => Some((place.node().node(), place.node().clone())),
            None => self.linked_task(),
        }
    }
}

fn born_below(top: Option<(&Node, NodeRef)>, lazy: Lazy, waker: Option<Waker>) -> NodeRef {
    match top {
        Some((above, parent)) => tree::new_linked(above, parent, lazy, waker),
        None => Arc::new(ScopeNode(Node::from_lazy(lazy, waker))),
    }
}

/// Links a scope below the innermost one around the code that runs. `waker` is woken when something changes
/// there.
pub(crate) fn link_here(lazy: Lazy, waker: Option<&Waker>) -> NodeRef {
    let waker = waker.cloned();
    CURRENT.with_borrow_mut(|current| born_below(current.linked_top(), lazy, waker))
}

impl Place {
    /// The node of a place that is linked.
    pub(crate) fn node(&self) -> &NodeRef {
        match self {
            Place::Linked(node) => node,
            Place::Lazy(_) => unreachable!("a place is linked before its node is asked for"),
        }
    }
}

/// Makes `place` the innermost scope while `run` runs, and removes it afterwards, also when `run` unwinds.
#[inline]
pub(crate) fn inside<R>(place: &mut Place, run: impl FnOnce() -> R) -> R {
    struct Leave<'a>(&'a mut Place);
    impl Drop for Leave<'_> {
        #[inline]
        fn drop(&mut self) {
            // A lazy scope that was not needed was copied in, and need not be moved back.
            CURRENT.with_borrow_mut(|current| {
                if let Some(place @ Place::Linked(_)) = current.scopes.pop() {
                    *self.0 = place;
                }
            });
        }
    }
    let entered = match *place {
        Place::Lazy(lazy) => Place::Lazy(lazy),
        Place::Linked(_) => std::mem::replace(place, Place::Lazy(Lazy::NOWHERE)),
    };
    CURRENT.with_borrow_mut(|current| current.scopes.push(entered));
    let _leave = Leave(place);
    run()
}

/// What is current while a task is polled, or while code runs on behalf of one.
pub(crate) struct Setting {
    pub(crate) task: Option<TaskRef>,
    pub(crate) locals: Locals,
    pub(crate) handle: Option<Handle>,
    pub(crate) in_job: bool,
    pub(crate) polling: bool,
}

/// Makes `setting` current while `run` runs, and takes it back afterwards, also when `run` unwinds.
///
/// References are moved in and out: no reference count is touched.
pub(crate) fn within<R>(setting: &mut Setting, run: impl FnOnce() -> R) -> R {
    struct Leave<'a> {
        setting: &'a mut Setting,
        base: usize,
        site: Before,
    }
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| {
                current.swap(self.setting);
                current.base = self.base;
            });
            site::end(self.site);
        }
    }
    let base = CURRENT.with_borrow_mut(|current| {
        current.swap(setting);
        std::mem::replace(&mut current.base, current.scopes.len())
    });
    let _leave = Leave { setting, base, site: site::begin() };
    run()
}

/// As [`within`], for the owner of a task: moves the task and its task-locals in, and out again.
#[inline]
pub(crate) fn within_task<R>(task: &mut Option<TaskRef>, locals: &mut Locals, run: impl FnOnce() -> R) -> R {
    struct Leave<'a> {
        task: &'a mut Option<TaskRef>,
        locals: &'a mut Locals,
        /// What was current before, mostly nothing.
        outer: Option<Setting>,
        base: usize,
        site: Before,
        budget: u8,
    }
    impl Drop for Leave<'_> {
        #[inline]
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|current| {
                *self.task = current.task.take();
                *self.locals = current.locals.take();
                current.polling = false;
                if let Some(outer) = &mut self.outer {
                    current.swap(outer);
                }
                current.base = self.base;
            });
            site::end(self.site);
            budget::end(self.budget);
        }
    }
    let (outer, base) = CURRENT.with_borrow_mut(|current| {
        let outer = current.is_set().then(|| {
            let mut outer = Setting::NOTHING;
            current.swap(&mut outer);
            outer
        });
        current.task = task.take();
        current.locals = locals.take();
        current.polling = true;
        (outer, std::mem::replace(&mut current.base, current.scopes.len()))
    });
    let _leave = Leave { task, locals, outer, base, site: site::begin(), budget: budget::begin() };
    run()
}

impl Setting {
    const NOTHING: Setting =
        Setting { task: None, locals: None, handle: None, in_job: false, polling: false };
}

impl Current {
    /// Whether anything is current.
    fn is_set(&self) -> bool {
        self.task.is_some() || self.locals.is_some() || self.handle.is_some() || self.in_job || self.polling
    }

    fn swap(&mut self, setting: &mut Setting) {
        std::mem::swap(&mut self.task, &mut setting.task);
        std::mem::swap(&mut self.locals, &mut setting.locals);
        std::mem::swap(&mut self.handle, &mut setting.handle);
        std::mem::swap(&mut self.in_job, &mut setting.in_job);
        std::mem::swap(&mut self.polling, &mut setting.polling);
    }
}
