//! A blocking job, and the call that waits for it.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::task::{Context, Poll, Waker};

use super::grant::{Grant, Lender};
use super::limiter::thread_waker;
use crate::base::payload::Payload;
use crate::base::sync::{Arc, Mutex, thread};
use crate::current::context::{self, Place, Setting};
use crate::current::handle::Handle;
use crate::current::locals::Locals;
use crate::group::{GroupState, Policy};
use crate::scope::scoped::settle;
use crate::task::{panic_message, span};
use crate::tree::moment::Moment;
use crate::tree::site::Called;
use crate::tree::{self, Cancelled, Cause, HasNode, Node, NodeRef, ScopeKind};

/// A blocking job on its way to a thread. It never panics.
///
/// If it is dropped and was not run, its caller gets [`StartError::Dropped`](crate::StartError::Dropped).
pub struct Job(Option<Arc<dyn AnyJob>>);

impl Job {
    /// Runs the job on this thread.
    pub fn run(self) {
        self.run_in_pool(&mut |_| ());
    }

    /// Runs the job on a thread of a pool. `turn` is called with `true` when the thread is about to be free,
    /// before the token comes back and the caller hears of the end; and with `false` when it is kept busy after
    /// all.
    pub(super) fn run_in_pool(mut self, turn: &mut dyn FnMut(bool)) {
        if let Some(job) = self.0.take() {
            job.run(turn);
        }
    }

    pub(super) fn label(&self) -> Option<Label> {
        self.0.as_ref().map(|job| job.label())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(job) = self.0.take() {
            job.lost();
        }
    }
}

/// Which job it is, for messages.
#[derive(Clone)]
pub(super) struct Label {
    pub(super) name: Option<Arc<str>>,
    pub(super) called: &'static Location<'static>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "blocking job `{name}` called at {}", self.called),
            None => write!(f, "blocking job called at {}", self.called),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label().map(|label| label.to_string());
        f.debug_tuple("Job").field(&format_args!("{}", label.unwrap_or_default())).finish()
    }
}

trait AnyJob: HasNode {
    fn run(self: Arc<Self>, turn: &mut dyn FnMut(bool));
    /// The job will not be run.
    fn lost(self: Arc<Self>);
    fn label(&self) -> Label;
}

/// What a running closure asks of its own job.
pub(crate) trait InJob: HasNode {
    /// The name that it was given.
    fn name(&self) -> Option<Arc<str>>;
    /// Gives the token back while the thread waits for async code.
    fn lend(&self);
    /// Takes a token again, before calls that start. Waits for it.
    fn take_back(&self);
    /// The group of the tasks that the closure has spawned; the job ends after them.
    fn spawned(self: Arc<Self>, handle: &Handle) -> Arc<GroupState>;
}

/// The one allocation of a call: closure in, result out.
///
/// It is a node of the scope tree, below the scope that the call is polled in: it holds there until the closure
/// has returned, and the closure looks there whether it is cancelled. If the future of the call is handed on to
/// another scope, the node moves with it, and so does the async code that the closure waits for, which stands
/// below it.
pub(super) struct JobCell<F, T> {
    node: Node,
    label: Label,
    work: Mutex<Option<Work<F>>>,
    grant: Mutex<Borrowed>,
    spawned: Mutex<Option<Arc<GroupState>>>,
    result: Mutex<Outcome<T>>,
}

struct Work<F> {
    closure: F,
    setting: Setting,
}

/// The grant of a job, or what is left of it.
enum Borrowed {
    Granted(Grant),
    /// Given back while the thread waits for async code.
    Lent(Lender),
    Returned,
}

enum Outcome<T> {
    Running(Option<Waker>),
    /// The caller is gone: the result is not wanted.
    Abandoned,
    /// None: it was dropped before it ran.
    Ended(Option<Result<T, Payload>>, Moment),
    Taken,
}

impl<F, T> JobCell<F, T> {
    /// The caller does not wait any more.
    pub(super) fn abandon(&self) {
        let old = {
            let mut result = self.result.lock();
            let new = match &*result {
                Outcome::Running(_) => Outcome::Abandoned,
                _ => Outcome::Taken,
            };
            std::mem::replace(&mut *result, new)
        };
        drop(old);
    }

    /// Takes back a closure that has not begun: token and hold are released, and the closure is the caller's
    /// again. None if a thread has it: only one of the two gets it.
    pub(super) fn withdraw(&self) -> Option<F> {
        let Work { closure, setting } = self.work.lock().take()?;
        tree::end(&self.node);
        self.return_token();
        drop(setting);
        Some(closure)
    }

    fn return_token(&self) {
        let old = std::mem::replace(&mut *self.grant.lock(), Borrowed::Returned);
        drop(old);
    }

    /// Which call it is.
    pub(super) fn call(&self) -> Label {
        self.label.clone()
    }
}

impl<F, T> JobCell<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    /// `holds`: the scope waits until the closure has returned.
    pub(super) fn new(closure: F, setting: Setting, grant: Grant, holds: bool, label: Label) -> Arc<Self> {
        let work = Work { closure, setting };
        let called = label.called;
        let cell = Arc::new(JobCell {
            node: if holds {
                Node::new(ScopeKind::Blocking, called)
            } else {
                Node::without_hold(ScopeKind::Blocking, called)
            },
            label,
            work: Mutex::new(Some(work)),
            grant: Mutex::new(Borrowed::Granted(grant)),
            spawned: Mutex::new(None),
            result: Mutex::new(Outcome::Running(None)),
        });
        settle(&cell.place());
        tree::hold_parent(cell.place(), || holds);
        cell
    }

    pub(super) fn job(self: &Arc<Self>) -> Job {
        Job(Some(self.clone()))
    }

    pub(super) fn place(self: &Arc<Self>) -> NodeRef {
        self.clone()
    }

    /// As `return_token`; a panic of the limiter becomes the caller's.
    fn return_token_into<R>(&self, ended: &mut Result<R, Payload>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.return_token()))
            && ended.is_ok()
        {
            *ended = Err(payload);
        }
    }

    /// Waits for the tasks that the closure has spawned. The thread needs no token for that.
    fn end_spawned(&self, ended: &mut Result<T, Payload>) {
        let Some(group) = self.spawned.lock().take() else { return };
        self.return_token_into(ended);
        if ended.is_err() {
            group.cancel_for(Cause::SiblingFailed);
        }
        let waker = thread_waker();
        let toll = loop {
            match group.close_or_wait(&waker) {
                Some(toll) => break toll,
                None => thread::park(),
            }
        };
        tree::end(group.as_node().node());
        if let Some(payload) = toll.panics.into_iter().next()
            && ended.is_ok()
        {
            *ended = Err(payload);
        }
    }

    /// Where the call was made.
    pub(super) fn called(&self) -> Called {
        self.label.called
    }

    /// Whether no caller waits for the result.
    fn is_abandoned(&self) -> bool {
        matches!(*self.result.lock(), Outcome::Abandoned)
    }

    /// None when the job was dropped before it ran.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Payload>>> {
        let new = cx.waker().clone();
        let mut result = self.result.lock();
        match &mut *result {
            Outcome::Running(waker) => {
                let old = waker.replace(new);
                drop(result);
                drop(old);
                Poll::Pending
            }
            Outcome::Ended(..) => match std::mem::replace(&mut *result, Outcome::Taken) {
                Outcome::Ended(result, _) => Poll::Ready(result),
                _ => Poll::Pending,
            },
            Outcome::Abandoned | Outcome::Taken => {
                drop(result);
                panic!("a blocking call was polled again after it was ready")
            }
        }
    }

    /// When it ended, if it has.
    pub(super) fn ended_at(&self) -> Option<Moment> {
        match &*self.result.lock() {
            Outcome::Ended(_, at) => Some(*at),
            _ => None,
        }
    }

    /// Leaves the result for the caller; given back if it is not wanted.
    fn finish(&self, ended: Option<Result<T, Payload>>) -> Option<Result<T, Payload>> {
        let mut result = self.result.lock();
        match &mut *result {
            Outcome::Running(waker) => {
                let waker = waker.take();
                *result = Outcome::Ended(ended, Moment::now());
                drop(result);
                if let Some(waker) = waker {
                    waker.wake();
                }
                None
            }
            _ => ended,
        }
    }
}

/// Drops an unwanted value in a thread where its destructor may block, and which is marked as such.
fn discard<T>(unwanted: T) {
    let mut setting =
        Setting { task: None, locals: Locals::default(), handle: None, in_job: true, polling: false };
    context::within(&mut setting, || drop(unwanted));
}

/// Adds to a panic with a text where it happened; any other payload stays as it is.
fn tell_thread(payload: Payload, label: &Label) -> Payload {
    if !payload.is::<&str>() && !payload.is::<String>() {
        return payload;
    }
    let thread = thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let message = panic_message(&*payload);
    match &label.name {
        Some(name) => Box::new(format!("{message} (in blocking job `{name}`, thread {thread})")),
        None => Box::new(format!("{message} (in a blocking job, thread {thread})")),
    }
}

impl<F, T> HasNode for JobCell<F, T>
where
    F: Send + 'static,
    T: Send + 'static,
{
    fn node(&self) -> &Node {
        &self.node
    }

    fn is_job(&self) -> bool {
        true
    }

    fn as_job(self: Arc<Self>) -> Option<Arc<dyn InJob>> {
        Some(self)
    }
}

impl<F, T> InJob for JobCell<F, T>
where
    F: Send + 'static,
    T: Send + 'static,
{
    fn name(&self) -> Option<Arc<str>> {
        self.label.name.clone()
    }

    fn lend(&self) {
        let given_back = {
            let mut borrowed = self.grant.lock();
            let Borrowed::Granted(grant) = &*borrowed else { return };
            let lent = Borrowed::Lent(grant.lender());
            std::mem::replace(&mut *borrowed, lent)
        };
        drop(given_back);
    }

    fn take_back(&self) {
        let lender = match &*self.grant.lock() {
            Borrowed::Lent(lender) => lender.clone(),
            _ => return,
        };
        let grant = lender.take_back();
        *self.grant.lock() = Borrowed::Granted(grant);
    }

    fn spawned(self: Arc<Self>, handle: &Handle) -> Arc<GroupState> {
        let mut spawned = self.spawned.lock();
        if let Some(group) = &*spawned {
            return group.clone();
        }
        let group =
            GroupState::new(Policy::OneForAll, context::task_id(), Some(handle.clone()), self.label.called);
        let place: NodeRef = self.clone();
        tree::link_new(&group.as_node(), &place);
        *spawned = Some(group.clone());
        group
    }
}

impl<F, T> AnyJob for JobCell<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(self: Arc<Self>, turn: &mut dyn FnMut(bool)) {
        let Some(Work { closure, mut setting }) = self.work.lock().take() else { return };
        // What belongs to the caller is dropped before it hears of the end.
        let mut place = Place::Linked(self.place());
        let mut ended = catch_unwind(AssertUnwindSafe(|| {
            context::within(&mut setting, || {
                let _span = span::enter();
                context::inside(&mut place, closure)
            })
        }))
        .map_err(|payload| tell_thread(payload, &self.label));
        drop(setting);
        self.end_spawned(&mut ended);
        // The destructor of an unwanted value, or a waker, may panic: that must not cost the pool a thread.
        let told = catch_unwind(AssertUnwindSafe(|| {
            let mut ended = if self.is_abandoned() {
                discard(ended);
                None
            } else {
                Some(ended)
            };
            // The thread counts as free before the token comes back: otherwise the call that gets the token
            // finds all threads in jobs, and starts one more.
            turn(true);
            match &mut ended {
                Some(ended) => self.return_token_into(ended),
                None => self.return_token(),
            }
            let unwanted = ended.and_then(|ended| self.finish(Some(ended)));
            tree::hold_parent(self.place(), || false);
            if unwanted.is_some() {
                turn(false);
                discard(unwanted);
            }
        }));
        if let Err(payload) = told {
            self.return_token();
            tracing::error!(panic = panic_message(&*payload), "the end of a blocking job panicked");
            // If the caller has not heard of the end yet, this is it.
            drop(self.finish(Some(Err(payload))));
            tree::hold_parent(self.place(), || false);
        }
    }

    fn lost(self: Arc<Self>) {
        let Some(work) = self.work.lock().take() else { return };
        // What the closure owns may panic when it is dropped: that is the caller's panic.
        let mut dropped = catch_unwind(AssertUnwindSafe(|| drop(work)));
        self.return_token_into(&mut dropped);
        drop(self.finish(dropped.err().map(Err)));
        tree::hold_parent(self.place(), || false);
    }

    fn label(&self) -> Label {
        self.label.clone()
    }
}

/// The call is dropped while its job may still run: the code below is cancelled, and stays so when there is
/// nothing above any more.
pub(super) fn cut_off(place: &NodeRef) {
    let node = place.node();
    let location = node.opened().unwrap_or_else(Location::caller);
    let cause = node.cause();
    tree::cancel(place, || cause.unwrap_or_else(|| Cancelled::new(Cause::Dropped, None, location)));
    tree::unlink(place);
}
